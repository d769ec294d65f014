//! The controller from its own image, with the engine's socket mounted, behaves as it does on the host.

use std::time::Duration;

use crate::support::{Deployment, eventually, on_each_engine};

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
