//! Replicas and their updates.

use std::time::Duration;

use crate::support::{Bench, Container, Deployment, eventually, object, on_each_engine, throughout};

const SOON: Duration = Duration::from_secs(30);

/// A container on the Deployment's network whose `get http://NAME:8080/` tells what the name leads to.
fn asking(bench: &Bench, image: &str) -> String {
    let network = bench.engine_name("shop", "default");
    bench.run_foreign(&["--network", &network, image])
}

fn ask(bench: &Bench, client: &str, name: &str) -> Result<String, String> {
    bench.engine.try_docker(&["exec", client, "/app", "get", &format!("http://{name}:8080/")])
}

fn named(container: &Container) -> bool {
    container.aliases(None).contains(&"web".to_string())
}

/// The ids of an object's containers.
fn ids(bench: &Bench, object: &str) -> Vec<String> {
    bench.containers(object).iter().map(|container| container.id().to_string()).collect()
}

on_each_engine! {
    fn three_replicas_start_and_are_found_by_name_once_they_are_ready(bench) {
        let image = bench.app_image("1", &["ENV WARMUP=2s"]);
        bench.write("web.yaml", &Deployment::new("web", &image).replicas(3).to_string());
        let _controller = bench.start_controller();
        let three = bench.settled("web", 3, &image, SOON);
        let warming = three.iter().filter(|c| bench.get(&format!("http://{}:8080/healthz", c.address(None))).is_err());
        assert_eq!(warming.filter(|c| named(c)).count(), 0, "a replica that warms up has the name already");

        assert_eq!(bench.applied(), 0);
        let client = asking(bench, &image);
        let answer = eventually("the name answers", SOON, || ask(bench, &client, "web"));
        assert!(answer.starts_with("version 1 on "), "{answer}");
        assert_eq!(bench.running("web").iter().filter(|c| named(c)).count(), 3);
    }

    fn scaling_touches_only_what_it_must(bench) {
        let image = bench.app_image("1", &[]);
        let web = Deployment::new("web", &image);
        let _controller = bench.start_controller();
        bench.apply("web.yaml", &web.clone().replicas(2).to_string());
        let two = ids(bench, "web");
        bench.apply("web.yaml", &web.clone().replicas(4).to_string());
        let four = ids(bench, "web");
        assert!(two.iter().all(|id| four.contains(id)), "{two:?} {four:?}");
        assert_eq!(four.len(), 4);
        bench.apply("web.yaml", &web.clone().replicas(1).to_string());
        let one = bench.settled("web", 1, &image, SOON);
        assert!(four.contains(&one[0].id().to_string()));
        bench.apply("web.yaml", &web.replicas(0).to_string());
        eventually("none is left", SOON, || if ids(bench, "web").is_empty() { Ok(()) } else { Err(String::new()) });
    }

    fn an_update_never_goes_below_the_wanted_number_nor_more_than_one_above(bench) {
        let [one, two] = ["1", "2"].map(|version| bench.app_image(version, &["ENV WARMUP=1s"]));
        let _controller = bench.start_controller();
        bench.apply("web.yaml", &Deployment::new("web", &one).replicas(3).to_string());
        bench.write("web.yaml", &Deployment::new("web", &two).replicas(3).to_string());
        let two = bench.image_id(&two).unwrap();
        let mut most = 0;
        eventually("the new version runs alone", SOON, || {
            let running = bench.running("web");
            most = most.max(running.len());
            assert!(running.len() >= 3 && running.len() <= 4, "{} replicas run", running.len());
            if running.len() == 3 && running.iter().all(|c| c.image() == two) { Ok(()) } else { Err(String::new()) }
        });
        assert_eq!(most, 4, "start-first");
        assert_eq!(bench.applied(), 0);
    }

    fn a_single_replica_is_replaced_without_its_name_ever_leading_nowhere(bench) {
        let [one, two] = ["1", "2"].map(|version| bench.app_image(version, &["ENV WARMUP=1s"]));
        let web = |image: &str| Deployment::new("web", image).template("drain", "1s").to_string();
        let _controller = bench.start_controller();
        bench.apply("web.yaml", &web(&one));
        let network = bench.engine_name("shop", "default");
        let load = ["load", "http://web:8080/", "--new-connections", "--connections", "2", "--rate", "100", "--seconds", "60", "--expect-version-in", "1,2"];
        let client = bench.run_foreign(&[&["--network", network.as_str(), one.as_str()][..], &load].concat());
        bench.apply("web.yaml", &web(&two));
        bench.settled("web", 1, &two, SOON);
        bench.engine.docker(&["stop", &client]);
        let counted = bench.engine.docker(&["logs", &client]);
        assert!(counted.contains("\"failed\":0,") && counted.contains("\"2\":"), "{counted}");
    }

    fn a_fixed_host_port_is_updated_stop_first(bench) {
        let [one, two] = ["1", "2"].map(|version| bench.app_image(version, &[]));
        let port = bench.free_port();
        let web = |image: &str| {
            Deployment::new("web", image)
                .spec("strategy", "{maxSurge: 0, maxUnavailable: 1}")
                .template("ports", &format!("[{{port: 8080, hostPort: {port}}}]"))
                .to_string()
        };
        let _controller = bench.start_controller();
        let url = format!("http://127.0.0.1:{port}/");
        bench.apply("web.yaml", &web(&one));
        eventually("the port serves", SOON, || match bench.get(&url) {
            Ok(answer) if answer.starts_with("version 1") => Ok(()),
            other => Err(format!("{other:?}")),
        });
        bench.apply("web.yaml", &web(&two));
        // A reconnection for the name interrupts a published port for a moment.
        eventually("the port serves the new version", SOON, || match bench.get(&url) {
            Ok(answer) if answer.starts_with("version 2") => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }

    fn a_command_in_the_container_says_whether_it_is_ready(bench) {
        let [one, two] = [("1", "ENV WARMUP=1s"), ("2", "ENV WARMUP=3600s")].map(|(version, warm)| bench.app_image(version, &[warm]));
        let web = |image: &str| {
            Deployment::new("web", image)
                .spec("progressDeadline", "4s")
                .template("readinessProbe", "{exec: {command: [/app, check]}, period: 200ms}")
                .to_string()
        };
        let _controller = bench.start_controller();
        bench.apply("web.yaml", &web(&one));
        bench.write("web.yaml", &web(&two));
        assert_eq!(bench.applied(), 2, "it is rolled back");
        bench.settled("web", 1, &one, SOON);
        let told = bench.evenkeel(&["describe", "deployment", "web", "-n", "shop"]);
        assert!(told.contains("readiness probe: /app: exit code 1"), "{told}");
    }

    fn the_health_check_of_an_image_gates_readiness(bench) {
        let image = bench.app_image("1", &["ENV WARMUP=1s", "HEALTHCHECK --interval=200ms --retries=100 CMD [\"/app\", \"check\"]"]);
        let _controller = bench.start_controller();
        bench.apply("web.yaml", &Deployment::new("web", &image).without("readinessProbe").to_string());
        let web = bench.running("web").remove(0);
        assert_eq!(web.0["State"]["Health"]["Status"], "healthy");
    }

    fn a_change_of_limits_is_made_in_place(bench) {
        let image = bench.app_image("1", &[]);
        let web = |memory: &str| {
            Deployment::new("web", &image).template("resources", &format!("{{limits: {{memory: {memory}, cpu: 500m}}}}")).to_string()
        };
        let _controller = bench.start_controller();
        bench.apply("web.yaml", &web("64Mi"));
        let before = bench.running("web").remove(0);
        bench.apply("web.yaml", &web("128Mi"));
        let after = eventually("the limit is changed", SOON, || {
            let web = bench.running("web").remove(0);
            if web.0["HostConfig"]["Memory"] == 128 << 20 { Ok(web) } else { Err(web.0["HostConfig"]["Memory"].to_string()) }
        });
        assert_eq!((before.id(), before.started_at()), (after.id(), after.started_at()));
    }

    fn a_deployment_waits_for_what_it_depends_on(bench) {
        let image = bench.app_image("1", &[]);
        let db = Deployment::new("db", &image).template("env", "{WARMUP: 2s}");
        let web = Deployment::new("web", &image).template("dependsOn", "[{deployment: db, condition: Available}]");
        bench.write("all.yaml", &format!("{db}{web}"));
        let _controller = bench.start_controller();
        let web = eventually("web runs", SOON, || bench.running("web").pop().ok_or_else(|| "not yet".to_string()));
        let db = bench.running("db").remove(0);
        let answer = bench.get(&format!("http://{}:8080/healthz", db.address(None)));
        assert!(answer.is_ok(), "web was started at {} while db, started at {}, said {answer:?}", web.started_at(), db.started_at());
    }

    fn forty_networks_are_more_than_the_engine_can_address_by_itself(bench) {
        let networks: String = (0..40).map(|number| object("Network", &format!("n{number}"), "{}")).collect();
        bench.write("networks.yaml", &networks);
        let _controller = bench.start_controller();
        assert_eq!(bench.applied(), 0);
        let filter = format!("label=evenkeel.dev/instance={}", bench.instance);
        assert_eq!(bench.engine.docker(&["network", "ls", "-q", "--filter", &filter]).lines().count(), 40);
    }

    fn nothing_is_done_when_there_is_nothing_to_do(bench) {
        let image = bench.app_image("1", &[]);
        bench.write("web.yaml", &Deployment::new("web", &image).replicas(2).to_string());
        let (_controller, recorder) = bench.start_recorded_controller();
        assert_eq!(bench.applied(), 0);
        recorder.forget();
        throughout("nothing is changed", Duration::from_secs(3), || {
            let calls = recorder.calls();
            calls.iter().find(|call| !call.reads()).map_or(Ok(()), |call| Err(format!("{call:?}")))
        });
        assert_eq!(bench.offline_outcome(&["plan"]).0, 0);
    }

    fn a_database_under_a_new_name_starts_when_the_one_under_the_old_name_has_ended(bench) {
        let image = bench.app_image("1", &[]);
        bench.write("data.yaml", &object("Volume", "data", "{accessMode: ReadWriteOncePod}"));
        let db = |name: &str| {
            let db = Deployment::new(name, &image).template("mounts", "[{volume: data, path: /data}]");
            db.template("drain", "1s").to_string()
        };
        let (_controller, recorder) = bench.start_recorded_controller();
        bench.apply("db.yaml", &db("db"));
        let old = bench.settled("db", 1, &image, SOON);
        bench.apply("db.yaml", &db("postgres"));
        let new = bench.settled("postgres", 1, &image, SOON);
        let calls = recorder.calls();
        let call = |id: &str, verb: &str| calls.iter().position(|call| call.path.contains(&format!("{id}/{verb}")));
        let [stopped, started] = [call(old[0].id(), "stop"), call(new[0].id(), "start")];
        assert!(stopped.is_some() && stopped < started, "{stopped:?} {started:?} in {calls:?}");
    }

    fn a_plan_tells_what_would_be_done_and_does_nothing(bench) {
        let image = bench.app_image("1", &[]);
        bench.write("web.yaml", &Deployment::new("web", &image).to_string());
        let (code, out, err) = bench.offline_outcome(&["plan"]);
        assert_eq!(code, 2, "{out}{err}");
        assert!(out.contains("web"), "{out}");
        assert!(bench.all_containers().is_empty());
    }

    fn a_version_that_collapses_within_the_monitor_time_goes_back(bench) {
        let [one, two] = ["1", "2"].map(|version| bench.app_image(version, &[]));
        let web = |image: &str| Deployment::new("web", image).replicas(2).spec("monitor", "1m").to_string();
        let _controller = bench.start_controller();
        bench.apply("web.yaml", &web(&one));
        bench.apply("web.yaml", &web(&two));
        for replica in bench.settled("web", 2, &two, SOON) {
            bench.get(&format!("http://{}:8080/sick", replica.address(None))).unwrap();
        }
        bench.settled("web", 2, &one, SOON);
        let (code, said, _) = bench.evenkeel_outcome(&["rollout", "status", "web", "-n", "shop", "--timeout", "30s"]);
        assert_eq!(code, 2, "{said}");
        assert!(bench.metrics().contains("evenkeel_rollout_duration_seconds_count{result=\"rolled_back\"} 1"));
    }
}
