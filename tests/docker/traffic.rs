//! The first real system in small: real nginx, by Docker's DNS, in front of Node.js backends that take fifteen seconds to
//! warm up, with requests all the time. Nobody may notice an update, a scale down or a rollback.

use std::fs;
use std::time::Duration;

use crate::support::{Bench, Counted, Deployment, Load, eventually, object, on_each_engine};

const IMAGE: &str = "evenkeel-test/systems:1";
/// Longer than nginx remembers a name (`valid=10s`).
const DRAIN: &str = "12s";

fn backend(version: &str, warmup: &str, replicas: usize) -> String {
    Deployment::new("backend", IMAGE)
        .replicas(replicas)
        .spec("progressDeadline", "25s")
        .template("command", "[node, /srv/backend.js]")
        .template("env", &format!("{{VERSION: '{version}', WARMUP: '{warmup}'}}"))
        .template("mounts", "[{configMap: backend, path: /srv}]")
        .template("networks", "[app]")
        .template("readinessProbe", "{httpGet: {port: 3001, path: /api/v1/}, period: 1s}")
        .template("drain", DRAIN)
        .template("terminationGracePeriod", "10s")
        .to_string()
}

fn nginx() -> String {
    Deployment::new("nginx", IMAGE)
        .template("command", "[nginx, -c, /etc/front/nginx.conf]")
        .template("mounts", "[{configMap: front, path: /etc/front}]")
        .template("networks", "[app]")
        .template("readinessProbe", "{httpGet: {port: 8080, path: /nginx}, period: 1s}")
        .to_string()
}

/// nginx and three backends of version 1; the URL of nginx.
fn deploy(bench: &Bench) -> String {
    for name in ["nginx.conf", "backend.js"] {
        let path = format!("{}/tests/systems/{name}", env!("CARGO_MANIFEST_DIR"));
        bench.write(name, &fs::read_to_string(path).unwrap());
    }
    let config = format!(
        "{}{}{}",
        object("Network", "app", "{}"),
        object("ConfigMap", "front", "{files: {nginx.conf: nginx.conf}}"),
        object("ConfigMap", "backend", "{files: {backend.js: backend.js}}"),
    );
    bench.write("config.yaml", &config);
    bench.write("nginx.yaml", &nginx());
    bench.apply("backend.yaml", &backend("1", "1", 3));
    let url = format!("http://{}:8080/", bench.running("nginx").remove(0).address(None));
    eventually("nginx answers for the backends", Duration::from_secs(15), || bench.get(&url));
    url
}

fn nobody_noticed(counted: &Counted) {
    eprintln!("{}", counted.0);
    assert_eq!(counted.failed(), 0, "{counted:?}");
    assert!(counted.requests() > 1000, "{counted:?}");
}

on_each_engine! {
    fn nobody_notices_an_update_a_rollback_or_a_scale_down(bench) {
        bench.load_image("SYSTEMS");
        let _controller = bench.start_controller();
        let url = deploy(bench);

        let load = Load::start(bench, &url, &["1", "2"]);
        bench.write("backend.yaml", &backend("2", "15", 3));
        assert_eq!(bench.applied(), 0, "the update");
        let update = load.stop();
        nobody_noticed(&update);
        assert!(update.of_version("2") > 0, "{update:?}");

        let load = Load::start(bench, &url, &["2"]);
        bench.write("backend.yaml", &backend("3", "9999", 3));
        assert_eq!(bench.applied(), 2, "the rollback");
        nobody_noticed(&load.stop());

        let load = Load::start(bench, &url, &["2"]);
        bench.apply("backend.yaml", &backend("2", "15", 1));
        eventually("one is left", Duration::from_secs(60), || {
            let left = bench.containers("backend").len();
            if left == 1 { Ok(()) } else { Err(format!("{left}")) }
        });
        nobody_noticed(&load.stop());
    }
}
