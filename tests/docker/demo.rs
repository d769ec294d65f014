//! `make demo`, and what `make demo-keep` leaves for `make demo-down`, on an engine that is there already: the script itself.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::registry::tool;
use crate::support::{Bench, Engine, evenkeel_binary, run};

#[test]
fn the_demo_shows_what_it_says_and_leaves_nothing_behind() {
    run(Engine::own(20), "demo", |bench| {
        let cache = cache(bench);
        let before = everything(bench);
        let said = demo(bench, &cache, &[&evenkeel_binary().display().to_string()]);
        summed_up(&said);
        assert_eq!(everything(bench), before, "it has left something on the engine");
        assert!(!cache.join("demo").exists(), "it has left something in the cache");
    });
}

#[test]
fn a_kept_demo_can_be_played_with_until_it_is_removed() {
    run(Engine::own(26), "demo", |bench| {
        let cache = cache(bench);
        let before = everything(bench);
        let said = demo(bench, &cache, &[&evenkeel_binary().display().to_string(), "--keep"]);
        summed_up(&said);
        // The command that it has told.
        let told = said.lines().find(|line| line.contains("evenkeel get deployments") && line.contains("--socket"));
        let socket = told.and_then(|line| line.split_once("--socket ")).expect("it says where the controller is").1;
        let mut look = bench.engine.command(cache.join("demo/evenkeel"));
        let seen = look.args(["get", "deployments", "-n", "demo", "--socket", socket.trim()]).output().unwrap();
        assert!(seen.status.success() && String::from_utf8_lossy(&seen.stdout).contains("3/3"), "{seen:?}");
        demo(bench, &cache, &["--down"]);
        assert_eq!(everything(bench), before, "it has left something on the engine");
        assert!(!cache.join("demo").exists(), "it has left something in the cache");
    });
}

#[test]
fn make_runs_the_demo_that_is_tested() {
    let mut make = Command::new("make");
    make.args(["--dry-run", "demo", "demo-keep", "demo-down"]).current_dir(root());
    let output = make.env_remove("MAKEFLAGS").env_remove("MAKELEVEL").output().expect("make can be run");
    let said = String::from_utf8_lossy(&output.stdout);
    let calls: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("scripts/demo ")).collect();
    let [plain, keep, down] = calls[..] else { panic!("{said}") };
    assert!(plain.ends_with("/release/evenkeel"), "{plain}");
    assert_eq!((keep, down), (&*format!("{plain} --keep"), "--down"));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A cache of the test's own, where no demo of somebody else is, with the images that are made already.
fn cache(bench: &Bench) -> PathBuf {
    let cache = bench.directory().join("cache");
    fs::create_dir(&cache).unwrap();
    symlink(tool("DEMO").parent().expect("it is in the cache"), cache.join("images")).unwrap();
    cache
}

/// Runs the script, which has to end well, and returns what it says.
fn demo(bench: &Bench, cache: &Path, arguments: &[&str]) -> String {
    let mut command = bench.engine.command(root().join("scripts/demo"));
    let path = format!("{}:{}", bench.engine.programs().display(), std::env::var("PATH").unwrap());
    command.args(arguments).env("PATH", path).env("EVENKEEL_CACHE", cache).env("EVENKEEL_CONFIG", bench.settings());
    let output = command.output().expect("the script can be run");
    let (said, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    eprintln!("{said}{err}");
    assert!(output.status.success(), "{}", output.status);
    said.into_owned()
}

/// The end of the demonstration has a figure for each act, and no request has failed.
fn summed_up(said: &str) {
    let (_, summary) = said.split_once("Summary").expect("there is a summary");
    for act in ["three replicas ready", "update, one at a time", "bad version back to the old", "killed replica healed"]
    {
        let line = summary.lines().find(|line| line.contains(act)).unwrap_or_else(|| panic!("no {act} in {summary}"));
        assert!(line.chars().any(|letter| letter.is_ascii_digit()), "{line}");
    }
    assert!(summary.contains(", of them failed: 0\n"), "{summary}");
}

/// What is on the engine: containers, networks, volumes and images.
fn everything(bench: &Bench) -> String {
    let lists = [&["ps", "--all"][..], &["network", "ls"], &["volume", "ls"], &["images"]];
    lists.map(|list| bench.engine.docker(&[list, &["--quiet"]].concat())).concat()
}
