//! What somebody else does to our containers is healed; what is not ours is left alone.

use std::time::Duration;

use crate::support::{
    Bench, Container, Deployment, Fault, Process, Proxy, eventually, object, on_each_engine, throughout,
};

const SOON: Duration = Duration::from_secs(30);

/// Three replicas that are ready.
fn three(bench: &Bench) -> (String, Vec<Container>) {
    let image = bench.app_image("1", &[]);
    bench.apply("web.yaml", &Deployment::new("web", &image).replicas(3).to_string());
    let three = bench.settled("web", 3, &image, SOON);
    (image, three)
}

/// Three that run, answer and have the name.
fn healed(bench: &Bench) {
    eventually("three replicas have the name and answer", SOON, || {
        let running = bench.running("web");
        let well = running.iter().filter(|c| {
            c.aliases(None).contains(&"web".to_string())
                && bench.get(&format!("http://{}:8080/healthz", c.address(None))).is_ok()
        });
        let (running, well) = (running.len(), well.count());
        if (running, well) == (3, 3) { Ok(()) } else { Err(format!("{running} run, {well} are well")) }
    });
}

on_each_engine! {
    fn replicas_that_are_killed_stopped_removed_or_paused_are_healed(bench) {
        let _controller = bench.start_controller();
        let (_, before) = three(bench);
        bench.engine.docker(&["kill", before[0].id()]);
        healed(bench);
        bench.engine.docker(&["stop", bench.running("web")[0].id()]);
        healed(bench);
        bench.engine.docker(&["rm", "--force", bench.running("web")[0].id()]);
        healed(bench);
        bench.engine.docker(&["pause", bench.running("web")[0].id()]);
        healed(bench);
        assert_eq!(bench.applied(), 0);
        assert_eq!(bench.containers("web").len(), 3, "no remains");
    }

    fn a_replica_that_is_disconnected_from_its_network_is_connected_again(bench) {
        let _controller = bench.start_controller();
        let (_, before) = three(bench);
        bench.engine.docker(&["network", "disconnect", &bench.engine_name("shop", "default"), before[0].id()]);
        healed(bench);
    }

    fn a_replica_that_is_alive_no_more_is_restarted(bench) {
        let image = bench.app_image("1", &[]);
        let _controller = bench.start_controller();
        let probe = "{httpGet: {port: 8080, path: /healthz}, period: 200ms, failureThreshold: 2}";
        bench.apply("web.yaml", &Deployment::new("web", &image).replicas(2).template("livenessProbe", probe).to_string());
        let before = bench.running("web").remove(0);
        bench.get(&format!("http://{}:8080/sick", before.address(None))).unwrap();
        eventually("it was started again", SOON, || {
            let now = bench.running("web");
            let again = now.iter().any(|c| c.started_at() > before.started_at() && bench.get(&format!("http://{}:8080/healthz", c.address(None))).is_ok());
            if again && now.len() == 2 { Ok(()) } else { Err(format!("{} run", now.len())) }
        });
    }

    fn what_is_not_ours_is_never_touched(bench) {
        let image = bench.app_image("1", &[]);
        let name = format!("{}-neighbour", bench.instance);
        let foreign = bench.run_foreign(&["--name", &name, "--label", "evenkeel.dev/kind=deployment", "--label", "evenkeel.dev/name=web", &image]);
        // It says that it is ours, but its name is not the one that its labels imply.
        let liar = bench.run_foreign(&["--label", &format!("evenkeel.dev/instance={}", bench.instance), &image]);
        let _controller = bench.start_controller();
        bench.apply("web.yaml", &Deployment::new("web", &image).to_string());
        bench.remove("web.yaml");
        bench.apply("other.yaml", &object("Network", "other", "{}"));
        throughout("it runs", Duration::from_secs(2), || {
            for id in [&foreign, &liar] {
                let container = bench.engine.inspect(id).map(Container).ok_or("it is gone")?;
                if !container.running() { return Err("it was stopped".to_string()); }
            }
            Ok(())
        });
    }

    fn a_removed_manifest_takes_its_containers_and_network_but_never_its_volume(bench) {
        let image = bench.app_image("1", &[]);
        let web = Deployment::new("web", &image).template("networks", "[front]").template("mounts", "[{volume: data, path: /data}]");
        let rest = format!("{}{}", object("Network", "front", "{}"), object("Volume", "data", "{}"));
        let _controller = bench.start_controller();
        bench.write("keep.yaml", &Deployment::new("keep", &image).to_string());
        bench.apply("web.yaml", &format!("{web}{rest}"));
        bench.remove("web.yaml");
        eventually("containers and network are gone", SOON, || {
            let network = bench.engine.try_docker(&["network", "inspect", &bench.engine_name("shop", "front")]);
            if bench.containers("web").is_empty() && network.is_err() { Ok(()) } else { Err(format!("{network:?}")) }
        });
        bench.engine.docker(&["volume", "inspect", &bench.engine_name("shop", "data")]);
        assert_eq!(bench.running("keep").len(), 1);
    }

    fn a_volume_that_somebody_removed_is_not_made_anew_before_somebody_says_so(bench) {
        let image = bench.app_image("1", &[]);
        bench.write("data.yaml", &object("Volume", "data", "{}"));
        let web = Deployment::new("web", &image).template("mounts", "[{volume: data, path: /data}]");
        let controller = bench.start_controller();
        bench.apply("web.yaml", &web.to_string());
        assert!(controller.terminate(SOON).success());
        let (container, volume) = (bench.running("web").remove(0), bench.engine_name("shop", "data"));
        bench.engine.docker(&["rm", "--force", container.id()]);
        bench.engine.docker(&["volume", "rm", &volume]);

        // No event comes: what a person has done is seen all the same when somebody asks for a look.
        let proxy = Proxy::start(&bench.directory().join("proxy.sock"), &bench.engine.socket, Box::new(drop));
        proxy.arm(Some(("get-events", 1, Fault::Stall)));
        let (mut command, log) = bench.controller_through(&proxy.socket);
        let _controller = Process::start(&mut command, &log);
        eventually("the controller answers", SOON, || bench.try_evenkeel(&["get", "deployments"]));
        assert_eq!(bench.applied(), 3, "a person has to look");
        assert!(proxy.fired().is_some(), "{:?}", proxy.seen());
        let told = bench.evenkeel(&["describe", "volume/data", "-n", "shop"]);
        assert!(told.contains(&format!("docker volume create {volume}")), "{told}");
        assert_eq!(bench.containers("web").len(), 0, "it runs with an empty volume");
        assert!(!bench.engine.docker(&["volume", "ls", "--quiet"]).contains(&volume), "it was made anew");
        bench.engine.docker(&["volume", "create", &volume]);
        assert_eq!(bench.applied(), 0);
    }

    fn an_emptied_directory_means_nothing(bench) {
        let _controller = bench.start_controller();
        let (_, before) = three(bench);
        bench.remove("web.yaml");
        throughout("the replicas stay", Duration::from_secs(3), || {
            let now = bench.running("web");
            if now.len() == before.len() { Ok(()) } else { Err(format!("{} left", now.len())) }
        });
    }
}
