//! Every file in tests/scenarios is played: the real controller on the simulated engine, in virtual time.
//!
//! `SCENARIO=first-start cargo test --test scenarios` plays one; `UPDATE_SCENARIOS=1` writes the transcripts anew.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests and their helpers may")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::parallel::on_all_cores;
use support::scenario::file::{Scenario, paths};
use support::scenario::play;

/// The scenarios, those that `SCENARIO` names a part of (or several, with commas between them) if it is set.
fn scenarios() -> Vec<(PathBuf, String)> {
    let wanted = std::env::var("SCENARIO").unwrap_or_default();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("it can be read");
        (path, text)
    };
    paths(&wanted).into_iter().map(read).collect()
}

/// Does something with every scenario on all cores, and fails with everything that was wrong.
fn with_every(check: impl Fn(&Path, &Scenario) -> Vec<String> + Sync) {
    let scenarios = scenarios();
    let problems = on_all_cores(&scenarios, |(path, text)| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match Scenario::parse(&name, text) {
            Ok(scenario) => check(path, &scenario),
            Err(problem) => vec![problem],
        }
    })
    .concat();
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn every_scenario_plays_as_its_file_says() {
    with_every(|path, scenario| {
        let began = std::time::Instant::now();
        let outcome = play(scenario);
        println!("{} took {} ms", scenario.path, began.elapsed().as_millis());
        let mut problems = outcome.problems.clone();
        if std::env::var_os("UPDATE_SCENARIOS").is_some() {
            // What a file says was played by another process before. What is new is played twice: it has to be the same.
            let again = play(scenario);
            if outcome.transcript != again.transcript {
                problems.push(format!("{}: {}", scenario.path, difference(&outcome.transcript, &again.transcript)));
            }
            fs::write(path, scenario.with_transcript(&outcome.transcript)).expect("it can be written");
        } else if outcome.transcript != scenario.transcript {
            problems.push(format!("{}: {}", scenario.path, difference(&scenario.transcript, &outcome.transcript)));
        }
        problems
    });
}

#[test]
fn a_mistake_in_a_scenario_is_reported_with_its_line() {
    let text = "image web:1 redy\n--- script\nrun until converged\nexpect 3 of web\n";
    let problems = Scenario::parse("x.txt", text).unwrap_err();
    for line in ["x.txt:1: 'redy'", "x.txt:3: 'run until converged'", "x.txt:4: '3 of web'"] {
        assert!(problems.contains(line), "{line} is not in:\n{problems}");
    }
}

#[test]
fn a_secret_that_is_told_is_found() {
    // What no Secret holds is not known for one, so it is told: in place of a secret that leaks.
    let text = "image web:1 exits with 1 after 1s, says \"the password is canary-planted\"\n\
                --- manifests/web.yaml\n\
                apiVersion: evenkeel.dev/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\n\
                spec: {template: {image: \"web:1\"}}\n\
                # canary-planted\n\
                --- script\nrun for 5m\n";
    let problems = play(&Scenario::parse("x.txt", text).unwrap()).problems.join("\n");
    for place in ["what is shown", "what happened", "the state directory"] {
        assert!(problems.contains(&format!("the secret canary-planted is in {place}")), "{place}: {problems}");
    }
}

/// The first lines in which two transcripts differ.
fn difference(expected: &str, found: &str) -> String {
    let pairs = expected.lines().map(Some).chain(std::iter::repeat(None)).zip(found.lines().map(Some).chain([None]));
    let first = pairs.enumerate().find(|(_, (expected, found))| expected != found);
    let (at, (expected, found)) = first.unwrap_or((0, (None, None)));
    let (expected, found) = (expected.unwrap_or("(the end)"), found.unwrap_or("(the end)"));
    format!("another transcript, from its line {}:\n  expected: {expected}\n  found:    {found}", at + 1)
}
