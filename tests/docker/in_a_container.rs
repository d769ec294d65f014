//! The controller from its own image, with the engine's socket mounted, behaves as it does on the host.

use std::fs;
use std::time::Duration;

use crate::support::reader::commands;
use crate::support::{Bench, Deployment, Reader, eventually, object, on_an_engine_of_its_own, on_each_engine};

on_each_engine! {
    fn the_controller_in_a_container_behaves_as_on_the_host(bench) {
        bench.load_image("CONTROLLER");
        let [one, two] = ["1", "2"].map(|version| bench.app_image(version, &[]));
        let directory = bench.directory().display().to_string();
        let socket = format!("{}:/var/run/docker.sock", bench.engine.socket.display());
        bench.write("web.yaml", &Deployment::new("web", &one).replicas(2).to_string());
        bench.run_foreign(&[
            "--network", "host", "--volume", &socket, "--volume", &format!("{directory}:{directory}"), "evenkeel:local", "run",
            "--source", &bench.manifests.display().to_string(), "--state-dir", &bench.state_directory().display().to_string(),
            "--socket", &bench.socket().display().to_string(), "--metrics-listen", &bench.metrics_address(), "--instance", &bench.instance,
        ]);
        eventually("it answers", Duration::from_secs(15), || bench.try_evenkeel(&["get", "deployments"]));
        assert_eq!(bench.applied(), 0);
        bench.settled("web", 2, &one, Duration::from_secs(30));
        bench.apply("web.yaml", &Deployment::new("web", &two).replicas(2).to_string());
        bench.settled("web", 2, &two, Duration::from_secs(30));
        assert!(bench.metrics().contains("evenkeel_"));
    }
}

on_an_engine_of_its_own! {
    fn the_readmes_command_starts_it(bench) {
        for kind in ["CONTROLLER", "DEMO"] {
            bench.load_image(kind);
        }
        bench.engine.docker(&["tag", "evenkeel:local", "evenkeel"]);
        let web = Deployment::new("web", "evenkeel-demo:1").replicas(2).template("mounts", "[{configMap: web, path: /etc/web}]");
        bench.write("web.yaml", &web.to_string());
        bench.write("config.yaml", &object("ConfigMap", "web", "{data: {greeting: hello}}"));
        let job = "{template: {image: 'evenkeel-demo:1', args: [job, --show, /etc/web/greeting], mounts: [{configMap: web, path: /etc/web}]}}";
        bench.write("job.yaml", &object("Job", "greet", job));
        let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
        let command = commands(&page).into_iter().find(|command| command.starts_with("docker run")).expect("README has it");
        let mut reader = reader(bench);
        reader.types(&command);
        eventually("it answers", Duration::from_secs(15), || bench.try_evenkeel(&["get", "deployments"]));
        reader.types("evenkeel apply --wait --timeout 2m");
        assert!(bench.evenkeel(&["get", "deployment/web", "-n", "shop"]).contains("2/2"), "its probes reach them");
        assert!(bench.evenkeel(&["logs", "job/greet", "-n", "shop"]).contains("hello"), "what it renders is mounted");
    }
}

/// A reader of README whose host's directories are the bench's; of those that are the defaults the controller has to be told.
fn reader(bench: &Bench) -> Reader<'_> {
    let (state, socket) = (bench.state_directory().display().to_string(), bench.socket().display().to_string());
    let directory = bench.directory().display().to_string();
    Reader::new(bench)
        .with("/var/run/docker.sock:/", &format!("{}:/", bench.engine.socket.display()))
        .with("/var/lib/evenkeel", &state)
        .with("/run/evenkeel:/run/evenkeel", &format!("{directory}:{directory}"))
        .with("/srv/manifests", &bench.manifests.display().to_string())
        .with("evenkeel run ", &format!("evenkeel run --state-dir {state} --socket {socket} "))
}
