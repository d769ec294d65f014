//! Versions that are no good: they go back by themselves, are explained, and are not tried again.

use std::time::Duration;

use crate::support::{Bench, Deployment, Process, Registry, eventually, object, on_each_engine, throughout};

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

/// `evenkeel logs … -f`, with its output in a file.
fn following(bench: &Bench, words: &[&str]) -> Process {
    let mut command = bench.command_line();
    command.arg("logs").args(words).args(["--follow", "-n", "shop", "--socket"]).arg(bench.socket());
    Process::start(&mut command, &bench.directory().join(format!("log-of-{}", words[0].replace('/', "-"))))
}

on_each_engine! {
    fn a_log_that_is_followed_goes_on_after_a_crash_and_ends_with_a_job(bench) {
        let image = bench.app_image("1", &[]);
        let _controller = bench.start_controller();
        let job = format!("{{template: {{image: '{image}', imagePullPolicy: Never, args: [job, --print, all is migrated]}}}}");
        bench.write("job.yaml", &object("Job", "migrate", &job));
        bench.apply("web.yaml", &Deployment::new("web", &image).to_string());
        let mut of_job = following(bench, &["job/migrate"]);
        let of_web = following(bench, &["web"]);
        for crash in 1..=2 {
            eventually("it crashes and is started again", SOON, || {
                let web = bench.running("web").pop().ok_or("web does not run")?;
                let restarts = web.0["RestartCount"].as_u64().unwrap_or(0);
                if restarts == crash {
                    return Ok(());
                }
                // Its connection breaks with it; a moment after a start it may not have come through at all.
                let _ = bench.get(&format!("http://{}:8080/exit?code=3", web.address(None)));
                Err(format!("{restarts} restarts"))
            });
            eventually("each crash is shown, and each start", SOON, || {
                let said = of_web.output();
                let counts = (said.matches("told to crash").count() as u64, said.matches("listens").count() as u64);
                if counts.0 == crash && counts.1 > crash { Ok(()) } else { Err(said) }
            });
        }
        let ended = eventually("the job's log ends", SOON, || of_job.ended().ok_or_else(|| of_job.output()));
        assert!(ended.success() && of_job.output().contains("all is migrated"), "{}", of_job.output());
    }

    fn what_a_replica_wrote_before_it_was_restarted_is_shown_alone(bench) {
        let image = bench.app_image("1", &[]);
        let _controller = bench.start_controller();
        bench.apply("web.yaml", &Deployment::new("web", &image).to_string());
        let previous = || bench.evenkeel(&["logs", "web", "--previous", "--tail", "3", "-n", "shop"]);
        assert!(!previous().contains("listens"), "it runs for the first time: {}", previous());
        let web = bench.running("web").pop().expect("web runs");
        let _ = bench.get(&format!("http://{}:8080/exit?code=3", web.address(None)));
        eventually("its first run is shown, and not its second", SOON, || {
            let said = previous();
            let counts = (said.matches("told to crash").count(), said.matches("listens").count());
            let lines = said.lines().count();
            if counts == (1, 1) && lines <= 3 { Ok(()) } else { Err(said) }
        });
    }

    fn an_image_of_another_platform_is_the_fault_of_its_revision(bench) {
        let (one, arm) = (bench.app_image("1", &[]), bench.app_image_for("linux/arm64", "2"));
        let _controller = bench.start_controller();
        let before = good(bench, &one);
        let web = |image: &str| Deployment::new("web", image).replicas(2);
        // What the engine refuses: the image is here, and not for what is asked for.
        bench.write("web.yaml", &web(&one).template("platform", "linux/arm64").to_string());
        assert_eq!(bench.applied(), ROLLED_BACK);
        let told = bench.evenkeel(&["describe", "deployment/web", "-n", "shop"]);
        assert!(told.contains("wanted linux/arm64, actual: linux/amd64"), "{told}");
        // What the kernel refuses: it is started, and ends at once.
        bench.write("web.yaml", &web(&arm).to_string());
        assert_eq!(bench.applied(), ROLLED_BACK);
        let told = bench.evenkeel(&["describe", "deployment/web", "-n", "shop"]);
        assert!(told.contains("its image is for linux/arm64, and this engine runs linux/amd64"), "{told}");
        // What the registry has for that platform only, with either policy.
        let registry = Registry::open(bench);
        let pushed = registry.push(&arm, "shop:3");
        for policy in ["IfNotPresent", "Always"] {
            let web = web(&pushed).template("platform", "linux/amd64").template("imagePullPolicy", policy);
            bench.write("web.yaml", &web.to_string());
            assert_eq!(bench.applied(), ROLLED_BACK, "{policy}");
            let told = bench.evenkeel(&["describe", "deployment/web", "-n", "shop"]);
            assert!(told.contains("wanted linux/amd64, actual: linux/arm64"), "{told}");
        }
        only_these(bench, &before).expect("nothing old was touched");
    }

    fn a_host_port_that_a_renamed_container_keeps_is_told_with_its_holder_and_the_way_out(bench) {
        let image = bench.app_image("1", &[]);
        let port = bench.free_port();
        let ports = format!("[{{port: 8080, hostPort: {port}}}]");
        let _controller = bench.start_controller();
        bench.apply("web.yaml", &Deployment::new("web", &image).template("ports", &ports).to_string());
        let web = bench.running("web").pop().expect("web runs");
        let name = format!("{}-for-a-look", bench.instance);
        bench.engine.docker(&["rename", web.id(), &name]);
        let wanted = format!("host port {port}, which the container {name} has");
        eventually("its holder is named", SOON, || {
            let told = bench.evenkeel(&["get", "deployment/web", "-o", "yaml", "-n", "shop"]);
            if told.contains(&wanted) && told.contains(&format!("docker rm -f {name}")) { Ok(()) } else { Err(told) }
        });
        bench.engine.docker(&["rm", "--force", &name]);
        bench.settled("web", 1, &image, SOON);
    }

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

    fn a_version_that_wants_more_memory_than_its_limit_is_told_so(bench) {
        let (one, hungry) = (bench.app_image("1", &[]), bench.app_image("2", &["ENV HUNGRY=1"]));
        let _controller = bench.start_controller();
        let before = good(bench, &one);
        let limited = Deployment::new("web", &hungry).replicas(2).spec("progressDeadline", "10s");
        bench.write("web.yaml", &limited.template("resources", "{limits: {memory: 32Mi}}").to_string());
        assert_eq!(bench.applied(), ROLLED_BACK);
        eventually("only the old ones are left", SOON, || only_these(bench, &before));
        let described = bench.evenkeel(&["describe", "deployment", "web", "-n", "shop"]);
        assert!(described.contains("exited with code 137 (out of memory"), "{described}");
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
