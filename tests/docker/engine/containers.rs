//! One container's life, and everything that can go wrong in it.

use std::time::Instant;

use evenkeel::model::container::{Adjustable, Files, MountSource, MountSpec};
use evenkeel::model::observed::{Health, StartError};
use evenkeel::model::quantity::{Cpu, Memory};
use evenkeel::model::revision::ContentId;
use evenkeel::model::secret::SecretBytes;
use evenkeel::model::spec::{Limits, Requests};
use evenkeel::model::time::Span;

use super::*;
use crate::support::on_each_engine;

fn mount(path: &str, source: MountSource, read_only: bool) -> MountSpec {
    MountSpec { path: path.into(), source, read_only }
}

on_each_engine! {
    fn ours_and_theirs_are_told_apart_in_the_list(bench) {
        let (door, image) = (Door::new(bench), bench.app_image("1", &[]));
        let name = door.spec(&image, json!({})).name;
        bench.run_foreign(&["--name", &name, "--label", &format!("evenkeel.dev/instance={}", bench.instance), &image]);
        let theirs = door.listed(&name);
        assert!(matches!(theirs.whose, Whose::Foreign), "its labels say nothing of a slot");
        assert_eq!(door.run(door.docker.inspect(&theirs.id)).unwrap(), None);
        let spec = door.spec(&image, json!({}));
        door.created(&spec);
        assert_eq!(door.listed(&spec.name).whose, Whose::Ours);
    }

    fn a_created_container_is_what_was_asked_for(bench) {
        let (door, image) = (Door::new(bench), bench.app_image("1", &[]));
        let network = door.network_created("app");
        let mut spec = door.spec(&image, json!({
            "workingDir": "/", "user": "1000:1000", "groupAdd": ["44"], "readOnlyRootFilesystem": true, "init": true,
            "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}, "securityOptions": ["no-new-privileges"],
            "sysctls": {"net.core.somaxconn": "1024"}, "ulimits": {"nofile": {"soft": 1024, "hard": 4096}},
            "shmSize": "128Mi", "hostname": "box", "extraHosts": {"db.local": "10.0.0.9"}, "stopSignal": "SIGINT",
            "dns": {"servers": ["9.9.9.9"], "search": ["example.org"]}, "ipcMode": "shareable", "pidMode": "host",
            "runtime": "runc", "stdin": true, "devices": ["/dev/null:/dev/nothing:r"],
            "ports": [{"port": 8080, "hostPort": bench.free_port()}, {"port": 8081, "hostPort": "23000-23999"}],
            "healthCheck": {"command": ["/app", "check"], "interval": "1s", "startPeriod": "2s"},
        }));
        let directory = bench.directory().join("files");
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("greeting"), "hello").unwrap();
        let files = Files { content: ContentId("c-1".into()), key: None, mode: 0o444, uid: 0, gid: 0 };
        spec.networks = vec![attachment(&network, &["web", "www"])];
        spec.mounts = vec![
            mount("/etc/web", MountSource::Files(files.clone()), true),
            mount("/tmp", MountSource::Tmpfs { size: Some(1 << 20), mode: Some(0o1777) }, false),
            mount("/host", MountSource::HostPath(directory.display().to_string()), true),
        ];
        let secret = SecretBytes::new("p=?~é".as_bytes().to_vec());
        let provided = Provided { env: vec![("KEY".into(), secret)], files: [(files, directory)].into() };
        door.run(door.docker.create(free(&spec), &provided)).unwrap();
        let id = door.listed(&spec.name).id;
        door.run(door.docker.start(&id)).unwrap();
        let container = door.eventually(&id, "it is healthy", |container| container.health == Health::Healthy);
        let endpoint = &container.networks[&network];
        assert_eq!(endpoint.aliases, names(&["web", "www"]));
        let url = format!("http://{}:8080", endpoint.address.unwrap());
        assert_eq!(bench.get(&format!("{url}/file?path=/etc/web/greeting")).unwrap().trim(), "hello");
        assert_eq!(bench.get(&format!("{url}/env?name=KEY")).unwrap().trim(), "p=?~é");
        let found = bench.engine.inspect(&id.0).unwrap();
        assert_eq!(found["HostConfig"]["Binds"], json!(null));
        assert_eq!(found["HostConfig"]["LogConfig"]["Type"], "local");
        assert_eq!(found["HostConfig"]["DnsOptions"], json!(["ndots:1"]));
        assert_eq!(found["Config"]["StopSignal"], "SIGINT");
        assert!(found["NetworkSettings"]["Ports"]["8081/tcp"][0]["HostPort"].as_str().unwrap().starts_with("23"));
    }

    fn creating_twice_is_one_container(bench) {
        let (door, image) = (Door::new(bench), bench.app_image("1", &[]));
        let spec = door.spec(&image, json!({}));
        let first = door.created(&spec);
        assert_eq!(door.created(&spec), first);
        let mut other = spec.clone();
        other.labels.insert("evenkeel.dev/template".into(), "11".into());
        fails(door.create(&other), Fault::Conflict, "already in use");
        let spec = door.spec(&image, json!({}));
        bench.run_foreign(&["--name", &spec.name, &image]);
        fails(door.create(&spec), Fault::Conflict, "already in use");
    }

    fn what_cannot_be_created_says_why(bench) {
        let (door, image) = (Door::new(bench), bench.app_image("1", &[]));
        fails(door.create(&door.spec("evenkeel-test/nowhere:1", json!({}))), Fault::ImageMissing, "no such image");
        let mut spec = door.spec(&image, json!({}));
        spec.mounts = vec![mount("/x", MountSource::HostPath("/no/such/path".into()), false)];
        fails(door.create(&spec), Fault::Invalid, "/no/such/path");
        let wrong = [
            (json!({"resources": {"limits": {"memory": "1Mi"}}}), "memory"),
            (json!({"resources": {"limits": {"cpu": "9999"}}}), "CPUs"),
            (json!({"capabilities": {"add": ["NO_SUCH"]}}), "NO_SUCH"),
            (json!({"runtime": "no-such-runtime"}), "runtime"),
            (json!({"logging": {"driver": "no-such-driver"}}), "no-such-driver"),
            (json!({"logging": {"driver": "local", "options": {"no-such-option": "1"}}}), "no-such-option"),
            (json!({"ipcMode": "nonsense"}), "ipc"),
            (json!({"stopSignal": "SIGNONSENSE"}), "signal"),
        ];
        for (template, words) in wrong {
            let spec = door.spec(&image, template);
            let result = door.create(&spec).and_then(|id| door.run(door.docker.start(&id)));
            fails(result, Fault::Invalid, words);
        }
    }

    fn a_start_that_fails_is_told_and_kept_with_its_reason(bench) {
        let (door, image) = (Door::new(bench), bench.app_image("1", &[]));
        let wrong = [
            (json!({"command": ["/no/such/program"]}), 127, "/no/such/program"),
            (json!({"command": ["no-such-program"]}), 127, "no-such-program"),
            (json!({"command": ["/tmp"]}), 126, "permission denied"),
            (json!({"user": "nobody-here"}), 0, "nobody-here"),
            (json!({"devices": ["/dev/no-such-device"]}), 0, "no-such-device"),
            (json!({"gpus": "all"}), 0, "gpu"),
            (json!({"sysctls": {"kernel.hostname": "x"}}), 0, "sysctl"),
        ];
        for (template, exit_code, words) in wrong {
            let mut spec = door.spec(&image, template);
            spec.mounts = vec![mount("/tmp", MountSource::Tmpfs { size: None, mode: None }, false)];
            let id = match door.create(&spec) {
                // Some engines find fault with it earlier.
                Err(error) => {
                    assert_eq!(error.fault, Fault::Invalid, "{error}");
                    continue;
                }
                Ok(id) => id,
            };
            fails(door.run(door.docker.start(&id)), Fault::Invalid, words);
            let ContainerState::Created { error: Some(StartError { exit_code: code, message }) } = door.look(&id).state else {
                panic!("{words}: {:?}", door.look(&id).state);
            };
            assert!(message.contains(words), "{message}");
            assert!(exit_code == 0 || code == exit_code, "{words}: {code}");
        }
    }

    fn a_taken_port_is_a_conflict_that_passes(bench) {
        let (door, image) = (Door::new(bench), bench.app_image("1", &[]));
        let port = bench.free_port();
        let template = json!({"ports": [{"port": 8080, "hostPort": port}]});
        let network = door.network_created("app");
        let spec = |template: &Value| ContainerSpec {
            networks: vec![attachment(&network, &[])],
            ..door.spec(&image, template.clone())
        };
        let holder = door.started(&spec(&template));
        let waiting = door.created(&spec(&template));
        fails(door.run(door.docker.start(&waiting)), Fault::Conflict, "already allocated");
        assert!(matches!(door.look(&waiting).state, ContainerState::Created { error: Some(_) }));
        door.run(door.docker.stop(&holder, Span::ZERO)).unwrap();
        door.run(door.docker.start(&waiting)).unwrap();
        assert!(runs(&door.look(&waiting)));
        let elsewhere = json!({"ports": [{"port": 8080, "hostPort": port, "hostIP": "192.0.2.1"}]});
        let id = door.created(&spec(&elsewhere));
        fails(door.run(door.docker.start(&id)), Fault::Conflict, "cannot assign requested address");
    }

    fn limits_come_back_as_they_were_asked_for(bench) {
        let (door, image) = (Door::new(bench), bench.app_image("1", &[]));
        let plain = door.created(&door.spec(&image, json!({})));
        let nothing = Adjustable {
            limits: Limits::default(),
            requests: Requests::default(),
            restart_policy: RestartPolicy::Never,
        };
        assert_eq!(door.look(&plain).adjustable, nothing);

        let resources = json!({"limits": {"cpu": "1500m", "memory": "64Mi", "pids": 100}, "requests": {"cpu": "333m", "memory": "16Mi"}});
        let mut spec = door.spec(&image, json!({"resources": resources}));
        spec.restart_policy = RestartPolicy::Always;
        let id = door.started(&spec);
        let mut wanted = Adjustable {
            limits: Limits { cpu: Some(Cpu(1500)), memory: Some(Memory(64 << 20)), pids: Some(100) },
            requests: Requests { cpu: Some(Cpu(333)), memory: Some(Memory(16 << 20)) },
            restart_policy: RestartPolicy::Always,
        };
        let before = door.look(&id);
        assert_eq!(before.adjustable, wanted);

        // Far beyond what was the limit of memory and swap together, and no limit of processes any more.
        wanted.limits = Limits { cpu: Some(Cpu(700)), memory: Some(Memory(512 << 20)), pids: None };
        wanted.requests.cpu = Some(Cpu(1001));
        wanted.restart_policy = RestartPolicy::OnFailure;
        door.run(door.docker.update(&id, &wanted)).unwrap();
        let after = door.look(&id);
        assert_eq!(after.adjustable, wanted);
        assert_eq!(after.state, before.state, "the same run of it");
        wanted.limits.memory = Some(Memory(32 << 20));
        door.run(door.docker.update(&id, &wanted)).unwrap();
        assert_eq!(door.look(&id).adjustable, wanted);
        assert_eq!(bench.engine.inspect(&id.0).unwrap()["HostConfig"]["MemorySwap"], 32 << 20);

        wanted.limits.memory = None;
        fails(door.run(door.docker.update(&id, &wanted)), Fault::Unavailable, "kept cpu 700m, memory 32Mi");

        let none = Adjustable { restart_policy: RestartPolicy::Always, ..nothing };
        door.run(door.docker.update(&plain, &none)).unwrap();
        assert_eq!(door.look(&plain).adjustable, none);
    }

    fn a_stop_gives_the_grace_and_no_more(bench) {
        let (door, image) = (Door::new(bench), bench.app_image("1", &["ENV IGNORE_TERM=1"]));
        let id = door.serving(&image);
        door.eventually(&id, "it runs", runs);
        let asked = Instant::now();
        door.run(door.docker.stop(&id, Span::secs(1))).unwrap();
        assert!((0.9..8.0).contains(&asked.elapsed().as_secs_f64()), "{:?}", asked.elapsed());
        let ContainerState::Exited(exit) = door.look(&id).state else { panic!("{:?}", door.look(&id).state) };
        assert_eq!(exit.code, 137);
        assert!(exit.finished_at > exit.started_at);
        door.run(door.docker.stop(&id, Span::secs(1))).expect("stopped is stopped");
        door.run(door.docker.start(&id)).unwrap();
        door.run(door.docker.start(&id)).expect("running is running");
        let first = door.look(&id).state;
        door.run(door.docker.restart(&id, Span::ZERO)).unwrap();
        let second = door.eventually(&id, "it runs again", runs).state;
        assert_ne!(first, second);
    }

    fn a_paused_container_is_resumed_and_can_be_stopped(bench) {
        let (door, image) = (Door::new(bench), bench.app_image("1", &[]));
        let id = door.serving(&image);
        door.run(door.docker.pause(&id)).unwrap();
        door.run(door.docker.pause(&id)).expect("paused is paused");
        assert_eq!(door.look(&id).state, ContainerState::Paused);
        door.run(door.docker.exec(&id, &["/app".into(), "check".into()], Span::secs(2))).expect("is no error");
        door.run(door.docker.unpause(&id)).unwrap();
        assert!(runs(&door.look(&id)));
        door.run(door.docker.unpause(&id)).expect("running is running");
        bench.engine.docker(&["pause", &id.0]);
        door.run(door.docker.stop(&id, Span::secs(1))).unwrap();
        assert!(matches!(door.look(&id).state, ContainerState::Exited(_)));
        door.run(door.docker.unpause(&id)).expect("a stopped one is not paused");
    }

    fn a_removal_takes_anonymous_volumes_along_and_never_what_runs(bench) {
        let (door, image) = (Door::new(bench), bench.app_image("1", &["VOLUME /data"]));
        let id = door.serving(&image);
        let volume = bench.engine.inspect(&id.0).unwrap()["Mounts"][0]["Name"].as_str().unwrap().to_owned();
        fails(door.run(door.docker.remove(&id)), Fault::Conflict, "running");
        door.run(door.docker.stop(&id, Span::ZERO)).unwrap();
        door.run(door.docker.remove(&id)).unwrap();
        door.run(door.docker.remove(&id)).expect("gone is gone");
        assert_eq!(door.run(door.docker.inspect(&id)).unwrap(), None);
        assert!(bench.engine.inspect(&volume).is_none(), "{volume} is left");
        door.run(door.docker.stop(&id, Span::ZERO)).expect("gone is stopped");
        fails(door.run(door.docker.restart(&id, Span::ZERO)), Fault::Unavailable, "no such container");
    }

    fn what_is_not_ours_is_left_alone(bench) {
        let (door, image) = (Door::new(bench), bench.app_image("1", &[]));
        let network = door.network_created("app");
        let theirs = ContainerId(bench.run_foreign(&["--network", &network, &image]));
        let nothing = Adjustable {
            limits: Limits::default(),
            requests: Requests::default(),
            restart_policy: RestartPolicy::Never,
        };
        fails(door.run(door.docker.stop(&theirs, Span::ZERO)), Fault::Conflict, "not ours");
        fails(door.run(door.docker.restart(&theirs, Span::ZERO)), Fault::Conflict, "not ours");
        fails(door.run(door.docker.remove(&theirs)), Fault::Conflict, "not ours");
        fails(door.run(door.docker.update(&theirs, &nothing)), Fault::Conflict, "not ours");
        fails(door.run(door.docker.reconnect(&connection(&theirs, &network, &[]))), Fault::Conflict, "not ours");
        assert_eq!(bench.engine.inspect(&theirs.0).unwrap()["State"]["Running"], true);
    }

    fn a_fingerprint_changes_with_a_restart_and_not_with_time(bench) {
        let (door, image) = (Door::new(bench), bench.app_image("1", &[]));
        let network = door.network_created("app");
        let spec = ContainerSpec { networks: vec![attachment(&network, &[])], ..door.spec(&image, json!({})) };
        let id = door.started(&spec);
        let first = door.listed(&spec.name).fingerprint;
        std::thread::sleep(Duration::from_millis(1200));
        assert_eq!(door.listed(&spec.name).fingerprint, first);
        door.run(door.docker.restart(&id, Span::ZERO)).unwrap();
        assert_ne!(door.listed(&spec.name).fingerprint, first);
    }

    fn a_crash_loop_is_seen_with_its_code_and_count(bench) {
        let (door, image) = (Door::new(bench), bench.app_image("1", &["ENV CRASH=3"]));
        let mut spec = door.spec(&image, json!({}));
        spec.restart_policy = RestartPolicy::Always;
        let id = door.started(&spec);
        let again = ContainerState::Restarting { exit_code: 3, out_of_memory: false };
        let restarting = |container: &Container| container.state == again;
        let container = door.eventually(&id, "it restarts", |container| restarting(container) && container.restart_count > 1);
        assert!(container.created_at.0 > 1_700_000_000_000);
        let said = |until| door.run(door.docker.last_log(&id, 50, until)).unwrap();
        let crashed = |line: &String| line.contains("told to crash with 3") && !line.contains("Z ");
        assert!(said(None).iter().any(crashed));
        assert!(said(Some(container.created_at + Span::secs(86_400))).iter().any(crashed));
        assert_eq!(said(Some(container.created_at)), [""; 0]);
        door.run(door.docker.stop(&id, Span::ZERO)).unwrap();
        assert!(matches!(door.look(&id).state, ContainerState::Exited(exit) if exit.code == 3));
    }

    fn an_unhealthy_container_says_why(bench) {
        let (door, image) = (Door::new(bench), bench.app_image("1", &["ENV NEVER_READY=1"]));
        let check = json!({"healthCheck": {"command": ["/app", "check"], "interval": "200ms", "retries": 1}});
        let id = door.started(&door.spec(&image, check));
        assert_eq!(door.look(&id).health, Health::Starting);
        let unhealthy = |container: &Container| matches!(container.health, Health::Unhealthy { .. });
        let container = door.eventually(&id, "it is unhealthy", unhealthy);
        let Health::Unhealthy { message } = container.health else { unreachable!() };
        assert!(!message.is_empty() && !message.contains('\n'), "{message:?}");
        bench.engine.docker(&["pause", &id.0]);
        assert_eq!(door.look(&id).health, Health::None);
        bench.engine.docker(&["unpause", &id.0]);
    }

    fn the_last_lines_of_a_log_are_read_from_every_driver_that_can(bench) {
        let (door, image) = (Door::new(bench), bench.app_image("1", &[]));
        let job = |logging: Value, tty| {
            let words = ["job", "--print", "one\u{1b}[31m", "--exit", "3"];
            let spec = door.spec(&image, json!({"command": ["/app"], "args": words, "logging": logging, "tty": tty}));
            let id = door.started(&spec);
            door.eventually(&id, "it ends", |container| matches!(container.state, ContainerState::Exited(_)));
            door.run(door.docker.last_log(&id, 2, None)).unwrap()
        };
        let wanted = ["one[31m", "job of version 1 ends with 3"];
        assert_eq!(job(json!(null), false), wanted);
        assert_eq!(job(json!({"driver": "json-file"}), false), wanted);
        assert_eq!(job(json!(null), true), wanted);
        assert!(job(json!({"driver": "none"}), false).is_empty());
        let fresh = door.created(&door.spec(&image, json!({})));
        assert!(door.run(door.docker.last_log(&fresh, 10, None)).unwrap().is_empty());
        assert!(door.run(door.docker.last_log(&ContainerId("0".repeat(64)), 10, None)).unwrap().is_empty());
    }

    fn a_command_in_a_container_is_waited_for_but_not_for_ever(bench) {
        let (door, image) = (Door::new(bench), bench.app_image("1", &[]));
        let id = door.serving(&image);
        let exec = |words: &[&str], limit| {
            let command: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            door.run(door.docker.exec(&id, &command, limit))
        };
        let asked = Instant::now();
        exec(&["/app", "job", "--sleep", "500ms", "--write", "/done", "--exit", "7"], Span::secs(10)).unwrap();
        assert!((0.5..5.0).contains(&asked.elapsed().as_secs_f64()), "{:?}", asked.elapsed());
        assert_eq!(bench.engine.docker(&["exec", &id.0, "/app", "job", "--show", "/done"]).matches("version 1\n").count(), 1);
        exec(&["/no/such/program"], Span::secs(10)).expect("its failure is no error");
        let asked = Instant::now();
        exec(&["/app", "job", "--sleep", "20s"], Span::secs(1)).expect("its length is no error");
        assert!(asked.elapsed() < Duration::from_secs(5));
        door.run(door.docker.stop(&id, Span::ZERO)).unwrap();
        exec(&["/app", "check"], Span::secs(1)).expect("a stopped container is no error");
    }
}
