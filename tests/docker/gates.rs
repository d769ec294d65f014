//! What has to go well around a rollout: migrations before it, checks after it.

use std::time::Duration;

use crate::support::{Bench, Deployment, eventually, object, on_each_engine};

const SOON: Duration = Duration::from_secs(30);

/// A Job that takes everything but its command from the Deployment that it is a gate of.
fn migrate(arguments: &str) -> String {
    object("Job", "migrate", &format!("{{template: {{args: {arguments}, mounts: [{{volume: data, path: /data}}]}}}}"))
}

fn web(image: &str, gates: &str) -> String {
    Deployment::new("web", image).replicas(2).spec("gates", gates).to_string()
}

fn ids(bench: &Bench) -> Vec<String> {
    bench.containers("web").iter().map(|container| container.id().to_string()).collect()
}

on_each_engine! {
    fn a_migration_runs_once_for_each_image_before_a_replica_of_it_whatever_crashes(bench) {
        let [one, two] = ["1", "2"].map(|version| bench.app_image(version, &[]));
        let volume = bench.engine_name("shop", "data");
        let runs = || {
            let lines = bench.engine.docker(&["run", "--rm", "--volume", &format!("{volume}:/data"), &one, "job", "--show", "/data/runs"]);
            lines.lines().filter(|line| line.starts_with("version ")).map(str::to_string).collect::<Vec<_>>()
        };
        bench.write("data.yaml", &object("Volume", "data", "{}"));
        bench.write("job.yaml", &migrate("[job, --sleep, 1s, --write, /data/runs]"));
        let controller = bench.start_controller();
        bench.apply("web.yaml", &web(&one, "{before: [{job: migrate}]}"));
        assert_eq!(runs(), ["version 1"]);
        bench.write("web.yaml", &web(&two, "{before: [{job: migrate}]}"));
        let second = bench.image_id(&two).unwrap();
        eventually("the migration of the new image runs", SOON, || {
            let running = bench.running("migrate");
            if running.iter().any(|c| c.image() == second) { Ok(()) } else { Err(format!("{} run", running.len())) }
        });
        assert!(bench.containers("web").iter().all(|c| c.image() != second), "a replica is made before the gate is passed");
        controller.kill();
        let _controller = bench.start_controller();
        bench.settled("web", 2, &two, SOON);
        assert_eq!(bench.applied(), 0);
        bench.evenkeel(&["rollout", "restart", "web", "-n", "shop"]);
        bench.evenkeel(&["rollout", "status", "web", "-n", "shop"]);
        bench.evenkeel(&["rollout", "undo", "web", "--to", "1", "-n", "shop"]);
        bench.settled("web", 2, &one, SOON);
        assert_eq!(runs(), ["version 1", "version 2"]);
    }

    fn a_migration_that_fails_rejects_the_revision_and_touches_nothing(bench) {
        let [one, two] = ["1", "2"].map(|version| bench.app_image(version, &[]));
        bench.write("data.yaml", &object("Volume", "data", "{}"));
        bench.write("job.yaml", &migrate("[job, --print, all is migrated]"));
        let _controller = bench.start_controller();
        bench.apply("web.yaml", &web(&one, "{before: [{job: migrate}]}"));
        let before = ids(bench);
        let both = format!("{}{}", web(&two, "{before: [{job: migrate}]}"), migrate("[job, --print, relation users exists, --exit, '1']"));
        bench.remove("job.yaml");
        bench.write("web.yaml", &both);
        assert_eq!(bench.applied(), 2, "it is rolled back");
        assert_eq!(ids(bench), before);
        let told = bench.evenkeel(&["rollout", "history", "web", "--revision", "2", "-n", "shop"]);
        assert!(told.contains("Failed") && told.contains("| relation users exists"), "{told}");
        let metrics = bench.get(&format!("http://{}/metrics", bench.metrics_address())).unwrap();
        assert!(metrics.contains("evenkeel_gates_total{result=\"failed\"} 1"), "{metrics}");
    }

    fn a_check_that_fails_afterwards_takes_the_update_back(bench) {
        let [one, two] = ["1", "2"].map(|version| bench.app_image(version, &[]));
        let gates = "{after: [{httpGet: {port: 8080, path: /, status: 200, body: version 1}, retries: 1, period: 200ms}]}";
        let _controller = bench.start_controller();
        bench.apply("web.yaml", &web(&one, gates));
        bench.write("web.yaml", &web(&two, gates));
        assert_eq!(bench.applied(), 2, "it is rolled back");
        bench.settled("web", 2, &one, SOON);
        let told = bench.evenkeel(&["describe", "deployment", "web", "-n", "shop"]);
        assert!(told.contains("the answer does not contain 'version 1'"), "{told}");
    }

    fn a_check_by_name_comes_to_it_as_a_neighbour_does_on_an_internal_network(bench) {
        let [one, two] = ["1", "2"].map(|version| bench.app_image(version, &[]));
        bench.write("data.yaml", &object("Network", "data", "{internal: true}"));
        let gates = "{after: [{httpGet: {port: 8080, path: /, body: version 1}, byName: true, retries: 1, period: 200ms}, {tcpSocket: {port: 8080}, byName: true}]}";
        let web = |image: &str| Deployment::new("web", image).replicas(2).spec("gates", gates).template("networks", "[data]").to_string();
        let _controller = bench.start_controller();
        bench.apply("web.yaml", &web(&one));
        let told = bench.evenkeel(&["rollout", "history", "web", "--revision", "1", "-n", "shop"]);
        assert!(told.contains("GET / at port 8080 by name afterwards") && told.contains("TCP connection to port 8080 by name afterwards"), "{told}");
        assert_eq!(told.matches("Passed").count(), 2, "{told}");
        bench.write("web.yaml", &web(&two));
        assert_eq!(bench.applied(), 2, "it is rolled back");
        bench.settled("web", 2, &one, SOON);
        let told = bench.evenkeel(&["describe", "deployment", "web", "-n", "shop"]);
        let failure = "GET http://web:8080/ within the container at ";
        assert!(told.contains(failure) && told.contains("the answer does not contain 'version 1'"), "{told}");
    }

    fn an_update_waits_for_a_recent_backup_which_is_made_if_there_is_none(bench) {
        let [one, two] = ["1", "2"].map(|version| bench.app_image(version, &[]));
        let spec = format!("{{schedule: '0 0 29 2 *', template: {{image: '{one}', args: [job, --sleep, 1s, --print, all is dumped]}}}}");
        bench.write("backup.yaml", &object("CronJob", "backup", &spec));
        let _controller = bench.start_controller();
        bench.apply("web.yaml", &web(&one, "{before: [{cronJob: backup, within: 1h}]}"));
        assert_eq!(bench.containers("backup").len(), 1);
        let told = bench.evenkeel(&["rollout", "history", "web", "--revision", "1", "-n", "shop"]);
        assert!(told.contains("cronjob backup") && told.contains("Passed"), "{told}");
        bench.apply("web.yaml", &web(&two, "{before: [{cronJob: backup, within: 1h}]}"));
        bench.settled("web", 2, &two, SOON);
        assert_eq!(bench.containers("backup").len(), 1, "the one that there is is recent");
    }

    fn what_belongs_together_goes_back_together_and_forward_again(bench) {
        let [one, two] = ["1", "2"].map(|version| bench.app_image(version, &[]));
        let sick = bench.app_image("3", &["ENV NEVER_READY=1"]);
        let both = |api: &str, web: &str| {
            let of_group = |name, image| Deployment::new(name, image).spec("releaseGroup", "shop").spec("progressDeadline", "3s");
            format!("{}{}", of_group("api", api), of_group("web", web).template("dependsOn", "[{deployment: api}]"))
        };
        let _controller = bench.start_controller();
        bench.apply("both.yaml", &both(&one, &one));
        bench.write("both.yaml", &both(&two, &sick));
        assert_eq!(bench.applied(), 2, "they are rolled back");
        for name in ["api", "web"] {
            bench.settled(name, 1, &one, SOON);
        }
        let told = bench.evenkeel(&["describe", "deployment/api", "-n", "shop"]);
        assert!(told.contains("release group 'shop' goes back together"), "{told}");
        bench.apply("both.yaml", &both(&two, &two));
        for name in ["api", "web"] {
            bench.settled(name, 1, &two, SOON);
        }
    }
}
