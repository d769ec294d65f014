//! NomadNet: fourteen containers on one host, and every way in which a new one of them can be unable to start.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::{SOON, TOOLS, build, copy, edit, hasten, ids, killed_in_an_update, repository, request, run_now};
use crate::support::{Bench, Engine, Load, Process, eventually, on_an_engine_of_its_own, run};

const SERVICES: [&str; 9] =
    ["auth", "users", "listings", "bookings", "payments", "messages", "notifications", "reviews", "search"];
const FRONT_ENDS: [(&str, u16); 3] = [("web", 3100), ("hosts", 3102), ("admin", 3104)];

/// The manifests as they are in the example, with shorter times and the secrets elsewhere.
pub(super) fn manifests(bench: &Bench) {
    let (example, secrets) = (repository("manifests/examples/nomadnet"), secrets(bench));
    copy(&example, &bench.manifests);
    copy(&example.join("example-secrets"), &secrets);
    let namespace = bench.manifests.join("namespace.yaml");
    edit(&namespace, "SECRETS: /etc/nomadnet", &format!("SECRETS: {}", secrets.display()));
    for name in everyone().chain(["broker"]) {
        hasten(&bench.manifests.join(format!("{name}.yaml")));
    }
}

/// The same, and all images in version 1.
fn nomadnet(bench: &Bench) {
    bench.load_image("SYSTEMS");
    manifests(bench);
    let (node, broker) = (format!("NODE={TOOLS}"), repository("manifests/examples/nomadnet/broker"));
    build(bench, "registry.example/nomadnet/broker:1", &broker, &["--build-arg", &node]);
    for name in everyone() {
        release(bench, name, "1", "", |_| ());
    }
}

fn secrets(bench: &Bench) -> PathBuf {
    bench.directory().join("secrets")
}

fn everyone() -> impl Iterator<Item = &'static str> {
    SERVICES.into_iter().chain(["gateway"]).chain(FRONT_ENDS.map(|(name, _)| name))
}

/// A release of one service, as CI would make it: the sources with an edit, built, with further lines for its Dockerfile.
fn release(bench: &Bench, name: &str, version: &str, lines: &str, change: impl FnOnce(PathBuf)) {
    let sources = bench.directory().join(format!("{name}-{version}"));
    copy(&repository("manifests/examples/nomadnet/service"), &sources);
    let dockerfile = sources.join("Dockerfile");
    let text = fs::read_to_string(&dockerfile).unwrap();
    fs::write(&dockerfile, text + lines).unwrap();
    change(sources.join("main.js"));
    let arguments = [format!("NODE={TOOLS}"), format!("SERVICE={name}"), format!("VERSION={version}")];
    let options: Vec<&str> = arguments.iter().flat_map(|argument| ["--build-arg", argument]).collect();
    build(bench, &format!("registry.example/nomadnet/{name}:{version}"), &sources, &options);
}

fn evenkeel(bench: &Bench, words: &[&str]) -> (i32, String) {
    let (code, out, err) = bench.evenkeel_outcome(words);
    eprintln!("{}: {code}\n{out}{err}", words.join(" "));
    (code, out + &err)
}

fn set_image(bench: &Bench, name: &str, tag: &str) -> i32 {
    let deployment = format!("deployment/{name}");
    evenkeel(bench, &["set", "image", &deployment, tag, "-n", "nomadnet", "--wait", "--timeout", "2m"]).0
}

fn applied(bench: &Bench) -> i32 {
    evenkeel(bench, &["apply", "--wait", "--timeout", "4m"]).0
}

/// A text from one of two ports of the host: an update moves from one to the other.
fn get(bench: &Bench, port: u16, path: &str) -> Result<String, String> {
    let at = |port: u16| bench.get(&format!("http://127.0.0.1:{port}{path}"));
    at(port).or_else(|_| at(port + 1)).map(|text| text.trim().to_string())
}

/// Where the gateway is: on one of its two ports.
#[track_caller]
fn gateway(bench: &Bench) -> String {
    eventually("the gateway answers", SOON, || {
        let urls = [8080, 8081].map(|port| format!("http://127.0.0.1:{port}"));
        let answering = urls.into_iter().find(|url| bench.get(&format!("{url}/health")).is_ok());
        answering.ok_or_else(|| "on neither port".to_string())
    })
}

/// Everything answers: each service through the gateway, and each front end, which asks the gateway.
#[track_caller]
fn everything_answers(bench: &Bench) {
    for name in SERVICES {
        eventually(&format!("{name} answers"), SOON, || get(bench, 8080, &format!("/api/{name}/")));
    }
    for (name, port) in FRONT_ENDS {
        let page = eventually(&format!("{name} answers"), SOON, || get(bench, port, "/"));
        assert!(page.contains(&format!("<title>{name}</title>")) && page.contains("API up"), "{page}");
    }
}

/// What was booked, as the broker has it.
#[track_caller]
fn bookings(bench: &Bench) -> String {
    eventually("bookings are told", SOON, || get(bench, 8080, "/api/bookings/events"))
}

#[track_caller]
fn book(bench: &Bench, message: &str) {
    let (status, said) = request(bench, "POST", &format!("{}/api/bookings/events", gateway(bench)), message);
    assert_eq!(status, 201, "{said}");
}

/// Without a variable that they need, not one container is made; and the reason says which, of whom, and where.
fn a_missing_variable_is_told_before_anything_starts(bench: &Bench) -> Process {
    let payments = secrets(bench).join("payments.env");
    edit(&payments, "PAYMENT_KEY=", "PAYMENT_KEYS=");
    let (code, told, error) = bench.offline_outcome(&["validate"]);
    assert_eq!(code, 5, "{told}{error}");
    let wanted = "the variable 'PAYMENT_KEY' is required, and is not set";
    assert!(format!("{told}{error}").contains(wanted), "{told}{error}");
    let controller = bench.start_controller();
    assert_eq!(applied(bench), 5, "it is invalid");
    eventually("describe says so too", SOON, || {
        let (_, sources) = evenkeel(bench, &["describe", "sources"]);
        if sources.contains(wanted) && sources.contains("payments.yaml:") { Ok(()) } else { Err(sources) }
    });
    assert_eq!(bench.all_containers().len(), 0, "something was started");
    edit(&payments, "PAYMENT_KEYS=", "PAYMENT_KEY=");
    controller
}

/// The same once everything runs: it goes on with the last good state.
fn a_missing_variable_later_stops_nothing(bench: &Bench) {
    let before: Vec<_> = everyone().flat_map(|name| ids(bench, name)).collect();
    let shared = secrets(bench).join("shared.env");
    edit(&shared, "JWT_SECRET=only-an-example", "JWT_SECRET=");
    assert_eq!(applied(bench), 5, "it is invalid");
    // The next pass shows what the command was told at once.
    eventually("describe says so too", SOON, || {
        let (_, sources) = evenkeel(bench, &["describe", "sources"]);
        let told = sources.contains("the variable 'JWT_SECRET' is required, and is set to nothing");
        if told { Ok(()) } else { Err(sources) }
    });
    assert_eq!(everyone().flat_map(|name| ids(bench, name)).collect::<Vec<_>>(), before);
    edit(&shared, "JWT_SECRET=", "JWT_SECRET=only-an-example");
    assert_eq!(applied(bench), 0);
    assert_eq!(everyone().flat_map(|name| ids(bench, name)).collect::<Vec<_>>(), before);
}

/// Every service is checked, and nothing in its image could do it.
fn health_is_checked_without_curl(bench: &Bench) {
    for name in everyone() {
        let container = bench.running(name).remove(0);
        let looked = ["exec", container.id(), "sh", "-c", "command -v curl || command -v wget || echo neither"];
        assert_eq!(bench.engine.docker(&looked).trim(), "neither", "{name}");
        assert!(container.0["Config"]["Healthcheck"].is_null(), "{name}");
    }
    // One that hangs is found out, and started again.
    let users = bench.running("users").remove(0);
    let pid = users.0["State"]["Pid"].to_string();
    assert!(Command::new("kill").args(["-STOP", &pid]).status().unwrap().success());
    eventually("users is started again", SOON * 2, || {
        let now = bench.running("users");
        match now.first() {
            Some(again) if again.0["State"]["Pid"] != users.0["State"]["Pid"] => Ok(()),
            _ => Err(format!("{} run", now.len())),
        }
    });
    everything_answers(bench);
}

/// A release of all of them at once, with the controller killed in the middle: nobody who asks for listings notices.
fn everything_is_updated(bench: &Bench, controller: Process) -> Process {
    for name in SERVICES {
        release(bench, name, "2", "", |_| ());
    }
    let load = Load::start_with(
        bench,
        &format!("{}/api/listings/", gateway(bench)),
        &["1", "2"],
        &["--connections", "4", "--rate", "50"],
    );
    for name in SERVICES {
        let manifest = bench.manifests.join(format!("{name}.yaml"));
        edit(&manifest, &format!("nomadnet/{name}:1"), &format!("nomadnet/{name}:2"));
    }
    let listings = "registry.example/nomadnet/listings:2";
    let controller = killed_in_an_update(bench, controller, load, "listings", listings);
    everything_answers(bench);
    controller
}

/// What is under way when a container has to go is finished first, and it ends by itself.
fn sigterm_is_delivered_and_waited_for(bench: &Bench) {
    let old = bench.running("payments").remove(0);
    let since = bench.engine.docker(&["info", "--format", "{{.SystemTime}}"]);
    release(bench, "payments", "3", "", |_| ());
    std::thread::scope(|scope| {
        // Longer than the drain: it is still under way when the signal comes.
        let url = format!("{}/api/payments/slow?ms=16000", gateway(bench));
        let slow = scope.spawn(move || request(bench, "GET", &url, ""));
        eventually("it is under way", SOON, || {
            let said = bench.engine.docker(&["logs", old.id()]);
            if said.contains("is under way") { Ok(()) } else { Err(said) }
        });
        assert_eq!(set_image(bench, "payments", ":3"), 0);
        assert_eq!(slow.join().unwrap(), (200, "payments 2 took its time".to_string()));
    });
    let filter = format!("container={}", old.id());
    let events = ["events", "--since", since.trim(), "--until", "0s", "--filter", &filter, "--format", "{{json .}}"];
    let events = eventually("it has ended", SOON, || {
        let events = bench.engine.docker(&events);
        if events.contains("\"destroy\"") { Ok(events) } else { Err(events) }
    });
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let attribute = |action: &str, name: &str| {
        let event =
            events.iter().find(|event| event["Action"] == action).unwrap_or_else(|| panic!("no {action}: {events:?}"));
        event["Actor"]["Attributes"][name].as_str().unwrap_or_default().to_string()
    };
    assert_eq!(attribute("kill", "signal"), "15");
    assert_eq!(attribute("die", "exitCode"), "0", "it was not waited for");
}

/// One bad release: it does not replace what runs, and the reason says what was wrong with it.
#[track_caller]
fn rejected(bench: &Bench, name: &str, said: &[&str]) {
    let before = ids(bench, name);
    assert_eq!(set_image(bench, name, ":9"), 2, "it is rolled back");
    explained(bench, name, &before, said);
    assert_eq!(set_image(bench, name, ":2"), 0, "what runs is asked for again");
}

#[track_caller]
fn explained(bench: &Bench, name: &str, before: &[String], said: &[&str]) {
    assert_eq!(ids(bench, name), before, "what worked was replaced");
    let told = bench.evenkeel(&["describe", "deployment", name, "-n", "nomadnet"]);
    for words in said {
        assert!(told.contains(words), "no '{words}' in\n{told}");
    }
    assert!(get(bench, 8080, &format!("/api/{name}/")).is_ok_and(|text| text == format!("{name} 2")));
}

fn what_cannot_start_replaces_nothing(bench: &Bench) {
    // A crash on boot: the smoke run meets it, and no replica of it is made.
    release(bench, "users", "9", "", |main| {
        edit(&main, "'use strict';\n", "'use strict';\nrequire('./app.module');\n");
    });
    rejected(bench, "users", &["its gate job smoke-users failed", "Error: Cannot find module './app.module'"]);
    // An entrypoint that is not there.
    release(bench, "search", "9", "ENTRYPOINT [\"/usr/bin/node-server\"]\n", |_| ());
    rejected(bench, "search", &["its gate job smoke-search failed", "node-server"]);
    // A crash that the smoke run cannot meet.
    release(bench, "bookings", "9", "", |main| {
        edit(
            &main,
            "  server.listen(3000,",
            "  throw new Error('listen EACCES: permission denied 0.0.0.0:80');\n  server.listen(3000,",
        );
    });
    rejected(bench, "bookings", &["restarted", "Error: listen EACCES: permission denied 0.0.0.0:80"]);
    // A program that the image does not have, by a slip in the manifest.
    let before = ids(bench, "reviews");
    let manifest = bench.manifests.join("reviews.yaml");
    edit(&manifest, "    networks: [app]\n", "    networks: [app]\n    command: [/srv/bin/reviews]\n");
    assert_eq!(applied(bench), 2, "it is rolled back");
    explained(bench, "reviews", &before, &["/srv/bin/reviews", "no such file or directory"]);
    edit(&manifest, "    command: [/srv/bin/reviews]\n", "");
    assert_eq!(applied(bench), 0);
    assert_eq!(ids(bench, "reviews"), before);
}

fn backed_up_and_restored(bench: &Bench) {
    let before = bookings(bench);
    run_now(bench, "cronjob/backup", "nomadnet");
    eventually("the broker is back", SOON, || get(bench, 8080, "/api/bookings/events"));
    book(bench, "booked after the backup");
    assert_ne!(bookings(bench), before);
    run_now(bench, "cronjob/restore", "nomadnet");
    assert_eq!(applied(bench), 0);
    assert_eq!(bookings(bench), before);
}

fn restarted_without_a_controller(bench: &Bench, controller: Process) {
    let before: Vec<_> = everyone().flat_map(|name| ids(bench, name)).collect();
    let booked = bookings(bench);
    assert!(controller.terminate(SOON).success());
    bench.engine.shut_down();
    bench.engine.start_again();
    for name in everyone() {
        eventually(&format!("{name} runs again"), SOON, || match bench.running(name).len() {
            1 => Ok(()),
            count => {
                let states: Vec<_> = bench.containers(name).iter().map(|c| c.0["State"].to_string()).collect();
                Err(format!("{count} run: {}", states.join("; ")))
            }
        });
    }
    everything_answers(bench);
    assert_eq!(bookings(bench), booked);
    let _controller = bench.start_controller();
    assert_eq!(applied(bench), 0);
    assert_eq!(everyone().flat_map(|name| ids(bench, name)).collect::<Vec<_>>(), before, "something was replaced");
}

fn from_nothing(bench: &Bench) -> Process {
    nomadnet(bench);
    let controller = a_missing_variable_is_told_before_anything_starts(bench);
    assert_eq!(applied(bench), 0, "deployed from nothing");
    everything_answers(bench);
    controller
}

#[test]
fn the_core_of_nomadnet() {
    run(Engine::own(20), "nomadnet", |bench| {
        let controller = from_nothing(bench);
        book(bench, "a week in Lisbon");
        let booked = bookings(bench);
        let _controller = everything_is_updated(bench, controller);
        assert_eq!(bookings(bench), booked);
    });
}

on_an_engine_of_its_own! {
    #[ignore = "minutes: make systems"]
    fn nomadnet_from_nothing_to_a_restored_backup(bench) {
        let controller = from_nothing(bench);
        health_is_checked_without_curl(bench);
        book(bench, "a week in Lisbon");
        let controller = everything_is_updated(bench, controller);
        a_missing_variable_later_stops_nothing(bench);
        sigterm_is_delivered_and_waited_for(bench);
        what_cannot_start_replaces_nothing(bench);
        backed_up_and_restored(bench);
        restarted_without_a_controller(bench, controller);
    }
}
