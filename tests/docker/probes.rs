//! Probes that need more than an address: of a program that listens on its container's loopback only, and of gRPC's health
//! service.

use std::time::Duration;

use crate::support::{Bench, Deployment, eventually, object, on_each_engine};

const SOON: Duration = Duration::from_secs(30);
const ROLLED_BACK: i32 = 2;
const STALLED: i32 = 3;

/// Two replicas that are probed at their own loopback.
fn hidden(image: &str) -> Deployment {
    Deployment::new("agent", image)
        .replicas(2)
        .template("networks", "[inside]")
        .template("readinessProbe", "{httpGet: {port: 8080, path: /healthz, host: 127.0.0.1}, period: 200ms}")
        .template("livenessProbe", "{tcpSocket: {port: 8080, host: 127.0.0.1}, period: 200ms}")
}

fn ids(bench: &Bench, name: &str) -> Vec<String> {
    bench.running(name).iter().map(|container| container.id().to_string()).collect()
}

/// Waits until `describe` says this of a Deployment.
fn said(bench: &Bench, name: &str, words: &str) {
    eventually(&format!("it says '{words}'"), SOON, || {
        let told = bench.try_evenkeel(&["describe", "deployment", name, "-n", "shop"])?;
        if told.contains(words) { Ok(()) } else { Err(told) }
    });
}

on_each_engine! {
    fn a_program_on_its_loopback_only_is_probed_there_on_an_internal_network(bench) {
        let [one, two] = ["1", "2"].map(|version| bench.app_image(version, &["ENV LISTEN=127.0.0.1"]));
        let sick = bench.app_image("3", &["ENV LISTEN=127.0.0.1", "ENV NEVER_READY=1"]);
        let _controller = bench.start_controller();
        bench.write("network.yaml", &object("Network", "inside", "{internal: true}"));
        bench.apply("agent.yaml", &hidden(&one).to_string());
        for replica in bench.settled("agent", 2, &one, SOON) {
            let address = replica.address(None);
            let reached = bench.get(&format!("http://{address}:8080/healthz"));
            assert!(reached.is_err_and(|why| why.contains("refused")), "the host reaches what it should not");
        }
        bench.apply("agent.yaml", &hidden(&two).to_string());
        let before: Vec<_> = bench.settled("agent", 2, &two, SOON).iter().map(|c| c.id().to_string()).collect();

        bench.write("agent.yaml", &hidden(&sick).spec("progressDeadline", "3s").to_string());
        assert_eq!(bench.applied(), ROLLED_BACK);
        said(bench, "agent", "GET http://127.0.0.1:8080/healthz within the container: 503 Service Unavailable");
        bench.settled("agent", 2, &two, SOON);
        assert_eq!(ids(bench, "agent"), before);

        // Another run is another process, which is found again.
        bench.engine.docker(&["restart", "--time", "1", &before[0]]);
        bench.apply("agent.yaml", &hidden(&two).to_string());
        assert_eq!(ids(bench, "agent"), before);
    }

    fn the_health_service_of_grpc_decides(bench) {
        let service = |version: &str, lines: &[&str]| bench.app_image(version, &[&["ENV GRPC_PORT=50051"], lines].concat());
        let [one, two] = ["1", "2"].map(|version| service(version, &["ENV WARMUP=1s"]));
        let sick = service("3", &["ENV NEVER_READY=1"]);
        let api = |image: &str| {
            Deployment::new("api", image)
                .replicas(2)
                .template("ports", "[{name: grpc, port: 50051}]")
                .template("startupProbe", "{grpc: {port: grpc}, period: 200ms, failureThreshold: 100}")
                .template("readinessProbe", "{grpc: {port: grpc, service: shop.v1.Orders}, period: 200ms}")
                .template("livenessProbe", "{grpc: {port: 50051, host: 127.0.0.1}, period: 1s}")
                .spec("gates", "{after: [{grpc: {port: grpc}}]}")
        };
        let _controller = bench.start_controller();
        bench.apply("api.yaml", &api(&one).to_string());
        bench.apply("api.yaml", &api(&two).to_string());
        let before: Vec<_> = bench.settled("api", 2, &two, SOON).iter().map(|c| c.id().to_string()).collect();
        bench.write("api.yaml", &api(&sick).spec("progressDeadline", "3s").to_string());
        assert_eq!(bench.applied(), ROLLED_BACK);
        said(bench, "api", ": NOT_SERVING");
        bench.settled("api", 2, &two, SOON);
        assert_eq!(ids(bench, "api"), before);

        // A port where something else is spoken.
        let web = Deployment::new("web", &two).template("readinessProbe", "{grpc: {port: 8080}, period: 200ms}");
        bench.write("web.yaml", &web.to_string());
        said(bench, "web", "it speaks no HTTP/2 without TLS");
    }

    fn in_a_container_it_says_what_it_lacks_to_probe_a_loopback_and_blames_nobody(bench) {
        bench.load_image("CONTROLLER");
        let image = bench.app_image("1", &["ENV LISTEN=127.0.0.1"]);
        let agent = Deployment::new("agent", &image)
            .spec("progressDeadline", "2s")
            .template("readinessProbe", "{tcpSocket: {port: 8080, host: 127.0.0.1}, period: 200ms}")
            .template("livenessProbe", "{tcpSocket: {port: 8080, host: 127.0.0.1}, period: 200ms, failureThreshold: 1}");
        bench.write("agent.yaml", &agent.to_string());
        let start = |options: &[&str]| {
            let directory = bench.directory().display().to_string();
            let socket = format!("{}:/var/run/docker.sock", bench.engine.socket.display());
            let mount = format!("{directory}:{directory}");
            let manifests = bench.manifests.display().to_string();
            let state = bench.state_directory().display().to_string();
            let control = bench.socket().display().to_string();
            let metrics = bench.metrics_address();
            let run = [
                "--network", "host", "--volume", &socket, "--volume", &mount, "evenkeel:local", "run", "--source", &manifests,
                "--state-dir", &state, "--socket", &control, "--metrics-listen", &metrics, "--instance", &bench.instance,
            ];
            let controller = bench.run_foreign(&[options, &run].concat());
            eventually("it answers", Duration::from_secs(15), || bench.try_evenkeel(&["get", "deployments"]));
            controller
        };
        let without_processes = start(&[]);
        said(bench, "agent", "is not seen here; in a container Evenkeel needs --pid host");
        let before = ids(bench, "agent");
        // Longer than its deadline.
        let words = ["rollout", "status", "agent", "-n", "shop", "--timeout", "30s"];
        let (code, status, _) = bench.evenkeel_outcome(&words);
        assert!(code == STALLED && status.contains("needs attention") && status.contains("--pid host"), "{code}: {status}");
        bench.engine.docker(&["rm", "--force", &without_processes]);

        let without_rights = start(&["--pid", "host"]);
        said(bench, "agent", "--cap-add SYS_ADMIN --cap-add SYS_PTRACE");
        std::thread::sleep(Duration::from_secs(4));
        bench.engine.docker(&["rm", "--force", &without_rights]);

        start(&["--pid", "host", "--cap-add", "SYS_ADMIN", "--cap-add", "SYS_PTRACE"]);
        assert_eq!(bench.applied(), 0);
        let after = bench.settled("agent", 1, &image, SOON);
        assert_eq!(ids(bench, "agent"), before);
        assert_eq!(after[0].0["RestartCount"], 0);
    }
}
