//! Configuration, secrets, jobs and private registries.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::support::registry::{PASSWORD, USER};
use crate::support::{Bench, Deployment, Registry, eventually, object, on_each_engine, throughout};

const SOON: Duration = Duration::from_secs(30);

fn file(bench: &Bench, path: &str) -> Result<String, String> {
    let web = bench.running("web").pop().ok_or("web does not run")?;
    bench.get(&format!("http://{}:8080/file?path={path}", web.address(None)))
}

fn variable(bench: &Bench, name: &str) -> Result<String, String> {
    let web = bench.running("web").pop().ok_or("web does not run")?;
    bench.get(&format!("http://{}:8080/env?name={name}", web.address(None)))
}

fn job(image: &str, arguments: &str) -> String {
    object(
        "Job",
        "migrate",
        &format!(
            "{{template: {{image: '{image}', imagePullPolicy: Never, args: {arguments}, mounts: [{{volume: data, path: /data}}]}}}}"
        ),
    )
}

on_each_engine! {
    fn a_changed_config_map_rolls_out_and_is_seen(bench) {
        let image = bench.app_image("1", &[]);
        let web = Deployment::new("web", &image)
            .template("mounts", "[{configMap: settings, path: /etc/web, readOnly: true}]")
            .template("env", "{COLOUR: {configMap: settings, key: colour}}");
        let config = |colour: &str| object("ConfigMap", "settings", &format!("{{data: {{colour: {colour}}}}}"));
        let _controller = bench.start_controller();
        bench.write("web.yaml", &web.to_string());
        bench.apply("settings.yaml", &config("red"));
        assert_eq!((file(bench, "/etc/web/colour").unwrap(), variable(bench, "COLOUR").unwrap()), ("red".to_string(), "red".to_string()));
        bench.apply("settings.yaml", &config("blue"));
        assert_eq!((file(bench, "/etc/web/colour").unwrap(), variable(bench, "COLOUR").unwrap()), ("blue".to_string(), "blue".to_string()));
    }

    fn a_secret_reaches_the_container_and_nothing_else(bench) {
        let image = bench.app_image("1", &[]);
        let secrets = bench.directory().join("secrets.env");
        fs::write(&secrets, "TOKEN=sesame-open\n").unwrap();
        fs::set_permissions(&secrets, fs::Permissions::from_mode(0o600)).unwrap();
        let web = Deployment::new("web", &image).template("envFrom", "[{secret: tokens}]").template("mounts", "[{secret: tokens, path: /run/secrets}]");
        bench.write("tokens.yaml", &object("Secret", "tokens", &format!("{{envFiles: ['{}']}}", secrets.display())));
        let controller = bench.start_controller();
        bench.apply("web.yaml", &web.to_string());
        assert_eq!(variable(bench, "TOKEN").unwrap(), "sesame-open");
        assert_eq!(file(bench, "/run/secrets/TOKEN").unwrap(), "sesame-open");
        let web = bench.running("web").remove(0);
        assert!(!web.0["Config"]["Labels"].to_string().contains("sesame"));
        assert!(!controller.output().contains("sesame"));
        assert!(!bench.evenkeel(&["describe", "deployment", "web", "-n", "shop"]).contains("sesame"));
        let (_, plan, _) = bench.offline_outcome(&["plan", "-o", "json"]);
        assert!(!plan.contains("sesame"));
    }

    fn a_job_runs_once_for_its_revision_whatever_crashes(bench) {
        let [one, two] = ["1", "2"].map(|version| bench.app_image(version, &[]));
        let volume = bench.engine_name("shop", "data");
        let runs = || {
            let lines = bench.engine.docker(&["run", "--rm", "--volume", &format!("{volume}:/data"), &one, "job", "--show", "/data/runs"]);
            lines.lines().filter(|line| line.starts_with("version ")).map(str::to_string).collect::<Vec<_>>()
        };
        let write = |image: &str| format!("{}{}", object("Volume", "data", "{}"), job(image, "[job, --write, /data/runs]"));
        let controller = bench.start_controller();
        bench.apply("job.yaml", &write(&one));
        assert_eq!(runs(), ["version 1"]);
        controller.kill();
        let _controller = bench.start_controller();
        assert_eq!(bench.applied(), 0);
        assert_eq!(runs(), ["version 1"]);
        bench.apply("job.yaml", &write(&two));
        assert_eq!(runs(), ["version 1", "version 2"]);
    }

    fn a_job_that_fails_is_told_with_its_last_words_and_not_run_again(bench) {
        let image = bench.app_image("1", &[]);
        bench.write("job.yaml", &format!("{}{}", object("Volume", "data", "{}"), job(&image, "[job, --print, out of cheese, --exit, '3']")));
        let _controller = bench.start_controller();
        eventually("it is told", SOON, || {
            let described = bench.try_evenkeel(&["describe", "job", "migrate", "-n", "shop"])?;
            if described.contains("Failed") && described.contains("out of cheese") { Ok(()) } else { Err(described) }
        });
        throughout("it is not run again", Duration::from_secs(2), || {
            let runs = bench.containers("migrate").len();
            if runs <= 1 { Ok(()) } else { Err(format!("{runs} runs")) }
        });
    }

    fn a_private_registry_is_opened_by_a_secret(bench) {
        let image = bench.app_image("1", &[]);
        let registry = Registry::private(bench);
        let reference = registry.push(&image, "shop:1");
        let login = bench.directory().join("login.env");
        fs::write(&login, format!("username='{USER}'\npassword='{PASSWORD}'\n")).unwrap();
        bench.write("login.yaml", &object("Secret", "login", &format!("{{envFiles: ['{}']}}", login.display())));
        bench.write("web.yaml", &Deployment::new("web", &reference).template("imagePullSecrets", "[login]").to_string());
        let _controller = bench.start_controller();
        bench.settled("web", 1, &reference, SOON);
    }

    fn the_metrics_are_in_order(bench) {
        let image = bench.app_image("1", &[]);
        let _controller = bench.start_controller();
        bench.apply("web.yaml", &Deployment::new("web", &image).replicas(2).to_string());
        let metrics = bench.directory().join("metrics");
        fs::write(&metrics, bench.metrics()).unwrap();
        let check = std::process::Command::new(crate::support::registry::tool("PROMTOOL"))
            .args(["check", "metrics"])
            .stdin(fs::File::open(&metrics).unwrap())
            .output()
            .unwrap();
        assert!(check.status.success() && check.stderr.is_empty(), "{check:?}");
    }
}
