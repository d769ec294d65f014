//! Hubnity: three backends that need a while to start, behind nginx, with PostgreSQL and Redis.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::{
    SOON, TOOLS, applied, build, copy, edit, exec, hub, ids, killed_in_an_update, nobody_noticed, repository, request,
    run_now,
};
use crate::support::{Bench, Engine, Load, Process, eventually, on_an_engine_of_its_own, run};

const BACKEND: &str = "ghcr.io/hubnity/backend";
const URL: &str = "http://127.0.0.1:9090/api/v1/";

/// The manifests as they are in the example, with shorter times and the secrets elsewhere.
pub(super) fn manifests(bench: &Bench) {
    let (example, secrets) = (repository("manifests/examples/hubnity"), bench.directory().join("secrets"));
    copy(&example, &bench.manifests);
    copy(&example.join("example-secrets"), &secrets);
    let namespace = bench.manifests.join("namespace.yaml");
    edit(&namespace, "SECRETS: /etc/hubnity", &format!("SECRETS: {}", secrets.display()));
    edit(&namespace, "WARMUP: \"90\"", "WARMUP: \"6\"");
    let backend = bench.manifests.join("backend.yaml");
    for (from, to) in [
        ("failureThreshold: 120", "failureThreshold: 25"),
        ("delay: 10s", "delay: 2s"),
        ("minReady: 10s", "minReady: 2s"),
        ("drain: 15s", "drain: 12s"),
        ("preStop: {sleep: 5s}", "preStop: {sleep: 1s}"),
    ] {
        edit(&backend, from, to);
    }
}

/// A release of the backend, as CI would make it: the sources with an edit, built.
fn release(bench: &Bench, version: &str, change: impl FnOnce(PathBuf)) {
    let sources = bench.directory().join(format!("backend-{version}"));
    copy(&repository("manifests/examples/hubnity/backend"), &sources);
    change(sources.clone());
    let (node, version_argument) = (format!("NODE={TOOLS}"), format!("VERSION={version}"));
    let options = ["--build-arg", &node, "--build-arg", &version_argument];
    build(bench, &format!("{BACKEND}:{version}"), &sources, &options);
}

fn set_image(bench: &Bench, tag: &str) -> i32 {
    let arguments = ["set", "image", "deployment/backend", tag, "-n", "hubnity", "--wait", "--timeout", "8m"];
    let (code, out, err) = bench.evenkeel_outcome(&arguments);
    eprintln!("set image {tag}: {code}\n{out}{err}");
    code
}

fn sql(bench: &Bench, query: &str) -> Vec<String> {
    let out = exec(bench, "db", &["psql", "--username", "hubnity", "--tuples-only", "--no-align", "--command", query]);
    out.lines().map(str::to_string).collect()
}

/// Which versions have migrated, each time that one did.
fn migrations(bench: &Bench) -> Vec<String> {
    sql(bench, "SELECT version FROM migration_runs ORDER BY at")
}

/// What users have: notes in PostgreSQL, a file, and how often notes were read, from Redis.
fn data(bench: &Bench) -> (String, String, u64) {
    let (status, notes) = request(bench, "GET", &format!("{URL}notes"), "");
    assert_eq!(status, 200, "{notes}");
    let (status, upload) = request(bench, "GET", &format!("{URL}uploads/plan.txt"), "");
    assert_eq!(status, 200, "{upload}");
    let told: serde_json::Value = serde_json::from_str(&notes).unwrap();
    (told["notes"].to_string(), upload, told["reads"].as_u64().unwrap())
}

fn write(bench: &Bench, note: &str, upload: &str) {
    assert_eq!(request(bench, "POST", &format!("{URL}notes"), note).0, 201);
    assert_eq!(request(bench, "PUT", &format!("{URL}uploads/plan.txt"), upload).0, 201);
}

fn answers(bench: &Bench) {
    // Often enough to have come to each of the three, which are not ready at the same time after a restart of the engine.
    eventually("the backends answer through nginx", SOON, || (0..12).try_for_each(|_| bench.get(URL).map(drop)));
}

/// Version 2 has a migration that version 1 can live with.
fn second_release(bench: &Bench) {
    release(bench, "2", |sources| {
        let migration = "ALTER TABLE notes ADD COLUMN author text NOT NULL DEFAULT 'unknown';\n";
        fs::write(sources.join("migrations/002-authors.sql"), migration).unwrap();
    });
}

/// The controller is killed in the middle of it, and nobody notices.
fn updated_while_the_controller_dies(bench: &Bench, controller: Process) -> Process {
    second_release(bench);
    let load = Load::start_with(bench, URL, &["1", "2"], &["--connections", "4", "--rate", "100"]);
    bench.evenkeel(&["set", "image", "deployment/backend", ":2", "-n", "hubnity"]);
    let controller = killed_in_an_update(bench, controller, load, "backend", &format!("{BACKEND}:2"));
    bench.settled("backend", 3, &format!("{BACKEND}:2"), SOON);
    assert_eq!(migrations(bench), ["1", "2"]);
    controller
}

fn bad_releases_go_back(bench: &Bench) {
    let before = ids(bench, "backend");
    // Its queries want a table that no migration makes: it never becomes ready.
    release(bench, "3", |sources| edit(&sources.join("dist/main.js"), "count(*) FROM notes", "count(*) FROM settings"));
    let load = Load::start_with(bench, URL, &["2"], &["--connections", "4", "--rate", "100"]);
    assert_eq!(set_image(bench, ":3"), 2, "it is rolled back");
    nobody_noticed("failed update", &load.stop());
    assert_eq!(ids(bench, "backend"), before, "the old replicas were not touched");
    assert_eq!(migrations(bench), ["1", "2", "3"]);
    // Its migration fails: it is undone, and no replica of it is made.
    release(bench, "4", |sources| {
        let migration = "ALTER TABLE notes DROP COLUMN text;\nALTER TABLE note ADD COLUMN title text;\n";
        fs::write(sources.join("migrations/004-titles.sql"), migration).unwrap();
    });
    assert_eq!(set_image(bench, ":4"), 2, "it is rejected");
    assert_eq!(ids(bench, "backend"), before, "the old replicas were not touched");
    let told = bench.evenkeel(&["describe", "deployment/backend", "-n", "hubnity"]);
    assert!(told.contains("relation \"note\" does not exist"), "{told}");
    assert_eq!(set_image(bench, ":2"), 0, "what runs is asked for again");
    assert_eq!(ids(bench, "backend"), before, "nothing was replaced for it");
    assert_eq!(migrations(bench), ["1", "2", "3", "4"], "each image has migrated once");
}

/// Back to the revision before, and to the present one again.
fn undone(bench: &Bench) {
    let before = migrations(bench);
    let undo = ["rollout", "undo", "deployment/backend", "-n", "hubnity"];
    for (tag, number) in [("1", &[][..]), ("2", &["--to", "2"])] {
        eprintln!("undo: {}", bench.evenkeel(&[&undo, number].concat()));
        bench.evenkeel(&["rollout", "status", "deployment/backend", "-n", "hubnity", "--timeout", "8m"]);
        bench.settled("backend", 3, &format!("{BACKEND}:{tag}"), SOON);
        assert_eq!(migrations(bench), before, "it has migrated");
    }
}

fn backed_up_and_restored(bench: &Bench) {
    let (notes, upload, _) = data(bench);
    run_now(bench, "cronjob/backup", "hubnity");
    write(bench, "written after the backup", "another plan");
    sql(bench, "DELETE FROM notes WHERE text = 'the first note'");
    assert_ne!(data(bench).0, notes);
    run_now(bench, "cronjob/restore", "hubnity");
    assert_eq!(applied(bench), 0);
    answers(bench);
    let (restored_notes, restored_upload, _) = data(bench);
    assert_eq!((restored_notes, restored_upload), (notes, upload));
}

fn restarted_without_a_controller(bench: &Bench, controller: Process) {
    let before = data(bench);
    let containers = ids(bench, "backend");
    assert!(controller.terminate(SOON).success());
    bench.engine.shut_down();
    bench.engine.start_again();
    answers(bench);
    let after = data(bench);
    assert_eq!((after.0, after.1), (before.0, before.1));
    assert_eq!(after.2, before.2 + 1, "Redis has forgotten something");
    let _controller = bench.start_controller();
    assert_eq!(applied(bench), 0);
    assert_eq!(ids(bench, "backend"), containers, "nothing was replaced");
}

fn from_nothing_to_the_second_release(bench: &Bench) -> Process {
    hub(bench, &["postgres:15", "redis:7", "nginx:1.22"]);
    manifests(bench);
    release(bench, "1", |_| ());
    let controller = bench.start_controller();
    assert_eq!(applied(bench), 0, "deployed from nothing");
    answers(bench);
    write(bench, "the first note", "a plan");
    updated_while_the_controller_dies(bench, controller)
}

#[test]
fn the_core_of_hubnity() {
    run(Engine::own(26), "hubnity", |bench| {
        let _controller = from_nothing_to_the_second_release(bench);
        let (notes, upload, _) = data(bench);
        assert!(notes.contains("the first note"), "{notes}");
        assert_eq!(upload, "a plan");
    });
}

on_an_engine_of_its_own! {
    #[ignore = "minutes: make systems"]
    fn hubnity_from_nothing_to_a_restored_backup(bench) {
        let controller = from_nothing_to_the_second_release(bench);
        bad_releases_go_back(bench);
        undone(bench);
        backed_up_and_restored(bench);
        restarted_without_a_controller(bench, controller);
    }

    #[ignore = "minutes: make systems"]
    fn nobody_notices_an_update_behind_nginx_on_the_host(bench) {
        hub(bench, &["postgres:15", "redis:7", "nginx:1.22"]);
        manifests(bench);
        bench.remove("nginx.yaml");
        release(bench, "1", |_| ());
        let _controller = bench.start_controller();
        assert_eq!(applied(bench), 0, "deployed from nothing");
        // A container that is not Evenkeel's, in the host's network, stands for the host's own nginx.
        let config = bench.manifests.join("nginx/on-the-host.conf").display().to_string();
        bench.run_foreign(&["--network", "host", "--volume", &format!("{config}:/etc/nginx/conf.d/hubnity.conf"), "nginx:1.22"]);
        answers(bench);
        second_release(bench);
        let load = Load::start_with(bench, URL, &["1", "2"], &["--connections", "4", "--rate", "100"]);
        assert_eq!(set_image(bench, ":2"), 0, "the update");
        let counted = load.stop();
        nobody_noticed("update", &counted);
        assert!(counted.of_version("2") > 0, "{counted:?}");
        release(bench, "3", |sources| edit(&sources.join("dist/main.js"), "count(*) FROM notes", "count(*) FROM settings"));
        let load = Load::start_with(bench, URL, &["2"], &["--connections", "4", "--rate", "100"]);
        assert_eq!(set_image(bench, ":3"), 2, "it is rolled back");
        nobody_noticed("failed update", &load.stop());
        eventually("three are left", Duration::from_secs(60), || match bench.containers("backend").len() {
            3 => Ok(()),
            count => Err(format!("{count}")),
        });
    }
}
