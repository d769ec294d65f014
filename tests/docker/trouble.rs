//! Trouble with the engine, the controller or its state changes nothing that runs, and is over when it is over.

use std::fs;
use std::time::Duration;

use crate::support::{Bench, Deployment, Process, eventually, on_an_engine_of_its_own, on_each_engine, throughout};

const SOON: Duration = Duration::from_secs(30);

fn ids(bench: &Bench) -> Vec<String> {
    bench.running("web").iter().map(|container| container.id().to_string()).collect()
}

on_each_engine! {
    fn a_controller_that_is_killed_in_the_middle_goes_on_where_it_was(bench) {
        let [one, two] = ["1", "2"].map(|version| bench.app_image(version, &["ENV WARMUP=1s"]));
        let controller = bench.start_controller();
        bench.apply("web.yaml", &Deployment::new("web", &one).replicas(3).to_string());
        bench.write("web.yaml", &Deployment::new("web", &two).replicas(3).to_string());
        let mut command = bench.command_line();
        command.args(["rollout", "status", "web", "--timeout", "1m", "--socket"]).arg(bench.socket());
        eventually("the update has begun", SOON, || bench.has_begun("web", &two));
        let mut waiting = Process::start(&mut command, &bench.directory().join("waiting.log"));
        let said = |waiting: &Process, words| match waiting.output() {
            output if output.contains(words) => Ok(()),
            output => Err(output),
        };
        eventually("somebody waits for it", SOON, || said(&waiting, "progressing"));
        controller.kill();
        eventually("who waits is told", SOON, || said(&waiting, "the daemon has stopped"));
        let _controller = bench.start_controller();
        assert_eq!(bench.applied(), 0);
        let ended = eventually("the wait ends", SOON, || waiting.ended().ok_or_else(|| waiting.output()));
        assert!(ended.success() && waiting.output().contains("successfully rolled out"), "{}", waiting.output());
        bench.settled("web", 3, &two, SOON);
        assert_eq!(bench.all_containers().len(), 3, "no orphan and no duplicate");
    }

    fn a_lost_state_directory_harms_no_container(bench) {
        let image = bench.app_image("1", &[]);
        let controller = bench.start_controller();
        bench.apply("web.yaml", &Deployment::new("web", &image).replicas(2).to_string());
        let before = ids(bench);
        controller.terminate(SOON);
        fs::remove_dir_all(bench.state_directory()).unwrap();
        let _controller = bench.start_controller();
        assert_eq!(bench.applied(), 0);
        assert_eq!(ids(bench), before);
    }

    fn workloads_go_on_when_the_controller_ends(bench) {
        let image = bench.app_image("1", &[]);
        let controller = bench.start_controller();
        bench.apply("web.yaml", &Deployment::new("web", &image).replicas(2).to_string());
        let before = ids(bench);
        assert!(controller.terminate(SOON).success());
        throughout("the replicas run", Duration::from_secs(1), || {
            let now = ids(bench);
            if now == before { Ok(()) } else { Err(format!("{now:?}")) }
        });
    }

    fn a_second_controller_refuses_to_start(bench) {
        let _controller = bench.start_controller();
        let mut second = bench.spawn_controller(&[]);
        let status = eventually("it refuses", SOON, || second.ended().ok_or_else(|| "it runs".to_string()));
        assert!(!status.success());
        let elsewhere = bench.directory().join("elsewhere");
        let mut third = bench.spawn_controller_at(&elsewhere);
        let status = eventually("the same instance with another state directory refuses too", SOON, || third.ended().ok_or_else(|| "it runs".to_string()));
        assert!(!status.success());
    }

    fn an_engine_out_of_reach_stops_nothing_and_is_taken_up_again(bench) {
        let [one, two] = ["1", "2"].map(|version| bench.app_image(version, &[]));
        bench.write("web.yaml", &Deployment::new("web", &one).replicas(2).to_string());
        let (_controller, recorder) = bench.start_recorded_controller();
        assert_eq!(bench.applied(), 0);
        let before = ids(bench);
        recorder.set_cut(true);
        bench.write("web.yaml", &Deployment::new("web", &two).replicas(2).to_string());
        throughout("nothing happens", Duration::from_secs(2), || {
            let now = ids(bench);
            if now == before { Ok(()) } else { Err(format!("{now:?}")) }
        });
        recorder.set_cut(false);
        bench.settled("web", 2, &two, SOON);
    }

    fn a_broken_manifest_leaves_the_last_good_state_in_force(bench) {
        let image = bench.app_image("1", &[]);
        let _controller = bench.start_controller();
        bench.apply("web.yaml", &Deployment::new("web", &image).replicas(2).to_string());
        let before = ids(bench);
        bench.write("web.yaml", &Deployment::new("web", &image).spec("replcas", "5").to_string());
        assert_eq!(bench.applied(), 5, "invalid");
        assert_eq!(ids(bench), before);
        let (code, out, err) = bench.offline_outcome(&["validate"]);
        assert_eq!(code, 5, "invalid");
        assert!(format!("{out}{err}").contains("replicas"), "{out}{err}");
    }
}

on_an_engine_of_its_own! {
    fn after_a_crash_of_the_engine_everything_comes_back(bench) {
        let image = bench.app_image("1", &[]);
        let _controller = bench.start_controller();
        bench.apply("web.yaml", &Deployment::new("web", &image).replicas(2).to_string());
        bench.engine.kill();
        bench.engine.start_again();
        eventually("two replicas answer", Duration::from_secs(60), || {
            let running = bench.running("web");
            let well = running.iter().filter(|c| bench.get(&format!("http://{}:8080/healthz", c.address(None))).is_ok()).count();
            if well == 2 && bench.containers("web").len() == 2 { Ok(()) } else { Err(format!("{well} are well")) }
        });
    }
}
