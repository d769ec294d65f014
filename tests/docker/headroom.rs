//! Room on the host, asked for before an update takes it: it waits and says so, what runs serves on, and it goes on when there
//! is room, or when it asks for less.

use std::time::Duration;

use crate::support::{Bench, Deployment, Registry, eventually, on_each_engine, throughout};

const SOON: Duration = Duration::from_secs(30);
const TIMED_OUT: i32 = 4;

/// Waits until `describe` says these words, and the metric that something lacks room.
fn lacks(bench: &Bench, words: &str) {
    eventually("it says what the host lacks", SOON, || {
        let told = bench.try_evenkeel(&["describe", "deployment/web", "-n", "shop"])?;
        let metrics = bench.metrics();
        let mut lines = metrics.lines();
        let is_counted = lines.any(|line| line.starts_with("evenkeel_object_host_short{") && line.ends_with(" 1"));
        if told.contains(words) && is_counted { Ok(()) } else { Err(told) }
    });
}

/// The ids of what runs, if each of them answers.
fn serving(bench: &Bench) -> Result<Vec<String>, String> {
    let running = bench.running("web");
    for replica in &running {
        bench.get(&format!("http://{}:8080/healthz", replica.address(None)))?;
    }
    Ok(running.iter().map(|replica| replica.id().to_string()).collect())
}

/// The very replicas that ran before serve on, alone.
fn only_these(bench: &Bench, before: &[String]) {
    throughout("the old replicas serve on", Duration::from_secs(2), || {
        let count = bench.containers("web").len();
        let now = serving(bench)?;
        if now == before && count == before.len() { Ok(()) } else { Err(format!("{now:?} of {count}")) }
    });
}

on_each_engine! {
    fn an_update_that_asks_for_more_memory_than_there_is_waits_until_it_asks_for_less(bench) {
        let [one, two] = ["1", "2"].map(|version| bench.app_image(version, &[]));
        let web = |image: &str, memory: &str| {
            let web = Deployment::new("web", image).replicas(2).spec("progressDeadline", "2s");
            web.template("resources", &format!("{{limits: {{memory: {memory}}}}}")).to_string()
        };
        let _controller = bench.start_controller();
        bench.apply("web.yaml", &web(&one, "64Mi"));
        let before = serving(bench).unwrap();
        bench.write("web.yaml", &web(&two, "4Ti"));
        lacks(bench, "memory on the host: one more replica asks for 4Ti, and ");
        only_these(bench, &before);
        let (code, said, _) =
            bench.evenkeel_outcome(&["rollout", "status", "web", "-n", "shop", "--timeout", "1s"]);
        assert!(code == TIMED_OUT && said.contains("waiting for memory on the host"), "{code}: {said}");
        assert!(bench.evenkeel(&["events", "-n", "shop"]).contains("InsufficientMemory"));
        // Far beyond its progressDeadline, it goes on: no time has counted.
        bench.apply("web.yaml", &web(&two, "64Mi"));
        bench.settled("web", 2, &two, SOON);
    }

    fn below_the_free_disk_that_the_operator_keeps_no_pull_begins(bench) {
        let [one, two] = ["1", "2"].map(|version| bench.app_image(version, &[]));
        let registry = Registry::open(bench);
        let [one, two] = [registry.push(&one, "shop:1"), registry.push(&two, "shop:2")];
        let web = |image: &str| Deployment::new("web", image).replicas(2).to_string();
        let controller = bench.start_controller();
        bench.apply("web.yaml", &web(&one));
        let before = serving(bench).unwrap();
        controller.kill();
        let config = bench.directory().join("evenkeel.yaml");
        std::fs::write(&config, "minFreeDisk: 4000Gi\n").unwrap();
        let controller = bench.start_controller_with(&["--config", &config.display().to_string()]);
        bench.write("web.yaml", &web(&two));
        lacks(bench, "no pull begins below 4000.0Gi (minFreeDisk)");
        only_these(bench, &before);
        controller.kill();
        let _controller = bench.start_controller();
        bench.settled("web", 2, &two, SOON);
    }
}
