//! Versions that are no good: they go back by themselves, are explained, and are not tried again.

use std::time::Duration;

use crate::support::{Bench, Deployment, Registry, eventually, on_each_engine, throughout};

const SOON: Duration = Duration::from_secs(30);
const ROLLED_BACK: i32 = 2;

/// Two replicas of a good version; their ids.
fn good(bench: &Bench, image: &str) -> Vec<String> {
    bench.apply("web.yaml", &Deployment::new("web", image).replicas(2).to_string());
    bench.running("web").iter().map(|container| container.id().to_string()).collect()
}

/// The very containers that ran before run alone, and stay alone.
fn only_these(bench: &Bench, ids: &[String]) -> Result<(), String> {
    let now: Vec<_> = bench.containers("web").iter().map(|container| container.id().to_string()).collect();
    if now == ids { Ok(()) } else { Err(format!("{now:?} instead of {ids:?}")) }
}

on_each_engine! {
    fn a_version_that_never_becomes_ready_goes_back_and_is_not_tried_again(bench) {
        let (one, sick) = (bench.app_image("1", &[]), bench.app_image("2", &["ENV NEVER_READY=1"]));
        let controller = bench.start_controller();
        let before = good(bench, &one);
        bench.write("web.yaml", &Deployment::new("web", &sick).replicas(2).spec("progressDeadline", "2s").to_string());
        assert_eq!(bench.applied(), ROLLED_BACK);
        eventually("only the old ones are left", SOON, || only_these(bench, &before));
        controller.kill();
        let _controller = bench.start_controller();
        throughout("it is not tried again, not by a new controller either", Duration::from_secs(3), || only_these(bench, &before));
        let described = bench.evenkeel(&["describe", "deployment", "web", "-n", "shop"]);
        assert!(described.contains("ejected"), "{described}");
    }

    fn a_version_that_crashes_is_explained_by_its_last_words(bench) {
        let (one, crashing) = (bench.app_image("1", &[]), bench.app_image("2", &["ENV CRASH=7"]));
        let _controller = bench.start_controller();
        let before = good(bench, &one);
        bench.write("web.yaml", &Deployment::new("web", &crashing).replicas(2).spec("progressDeadline", "10s").to_string());
        assert_eq!(bench.applied(), ROLLED_BACK);
        eventually("only the old ones are left", SOON, || only_these(bench, &before));
        let described = bench.evenkeel(&["describe", "deployment", "web", "-n", "shop"]);
        assert!(described.contains("told to crash with 7"), "{described}");
    }

    fn an_entrypoint_that_does_not_exist_never_replaces_what_works(bench) {
        let one = bench.app_image("1", &[]);
        let _controller = bench.start_controller();
        let before = good(bench, &one);
        let wrong = Deployment::new("web", &one).replicas(2).spec("progressDeadline", "5s").template("command", "[/no/such/program]");
        bench.write("web.yaml", &wrong.to_string());
        assert_eq!(bench.applied(), ROLLED_BACK);
        eventually("only the old ones are left", SOON, || only_these(bench, &before));
        let described = bench.evenkeel(&["describe", "deployment", "web", "-n", "shop"]);
        assert!(described.contains("/no/such/program"), "{described}");
    }

    fn a_newer_version_in_the_middle_supersedes(bench) {
        let (one, slow) = (bench.app_image("1", &[]), bench.app_image("2", &["ENV WARMUP=60s"]));
        let three = bench.app_image("3", &[]);
        let _controller = bench.start_controller();
        good(bench, &one);
        bench.write("web.yaml", &Deployment::new("web", &slow).replicas(2).spec("progressDeadline", "2m").to_string());
        eventually("the slow one has begun", SOON, || bench.has_begun("web", &slow));
        bench.apply("web.yaml", &Deployment::new("web", &three).replicas(2).to_string());
        bench.settled("web", 2, &three, SOON);
    }

    fn a_tag_that_is_not_in_the_registry_yet_changes_nothing_until_it_is(bench) {
        let [one, two] = ["1", "2"].map(|version| bench.app_image(version, &[]));
        let registry = Registry::open(bench);
        let _controller = bench.start_controller();
        let before = good(bench, &registry.push(&one, "shop:1"));
        bench.write("web.yaml", &Deployment::new("web", &registry.reference("shop:2")).replicas(2).to_string());
        eventually("it is told", SOON, || {
            let described = bench.try_evenkeel(&["describe", "deployment", "web", "-n", "shop"])?;
            if described.contains("shop:2") && described.contains("not found") { Ok(()) } else { Err(described) }
        });
        only_these(bench, &before).unwrap();
        let reference = registry.push(&two, "shop:2");
        bench.settled("web", 2, &reference, SOON);
    }

    fn a_registry_that_is_down_stops_nothing(bench) {
        let [one, two] = ["1", "2"].map(|version| bench.app_image(version, &[]));
        let mut registry = Registry::open(bench);
        let _controller = bench.start_controller();
        let before = good(bench, &registry.push(&one, "shop:1"));
        let reference = registry.push(&two, "shop:2");
        registry.stop();
        bench.write("web.yaml", &Deployment::new("web", &reference).replicas(2).to_string());
        throughout("nothing is stopped", Duration::from_secs(2), || only_these(bench, &before));
        registry.start();
        bench.settled("web", 2, &reference, SOON);
    }
}
