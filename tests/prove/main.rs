//! Every fault at every call and at every write of every scenario: `scripts/prove` runs it. It proves by exhaustion and
//! keeps no list of what is expected: the undisturbed play says how each scenario must end.
//!
//! `scripts/prove good-update` plays all points of one, `scripts/prove good-update 137 crash-after` plays one point and
//! prints its transcript. `scripts/prove --schedules 1000` plays random schedules instead, `scripts/prove --seed 17` one.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests and their helpers may")]

mod crew;
mod end;
mod endurance;
mod play;
mod points;
mod rest;
mod schedules;
#[path = "../support/mod.rs"]
mod support;
mod verdict;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;

use crew::{Crew, Point, Subject, judge};
use play::{Play, play};
use points::Sample;
use support::scenario::fault;
use support::scenario::file::{Scenario, paths};

/// What stands for the scenarios of [`CORE`].
const CORE_WORD: &str = "core";
/// What pairs are played of unless somebody names others: each goes another way through the controller, from nothing, to the
/// new revision or back from it, with and without a gap between the old and the new, past a Job, and to less than there was.
const CORE: [&str; 8] = [
    "first-start",
    "good-update",
    "bad-image-never-ready",
    "stop-first",
    "gate-migration",
    "config-change",
    "scale-up-and-down",
    "prune",
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        [] => scenarios("").and_then(|all| sweep(all, points::of, Sample::ALL)),
        ["--sample", seed] => number(seed).and_then(|seed| sample("", seed, points::SAMPLED)),
        ["--sample", seed, "of", one_in, ref name @ ..] => {
            number(seed).and_then(|seed| sample(name.first().unwrap_or(&""), seed, number(one_in)?))
        }
        ["--pairs"] => pairs(CORE_WORD, 0, points::FIRSTS),
        ["--pairs", name] => pairs(name, 0, points::FIRSTS),
        ["--pairs", name, seed] => number(seed).and_then(|seed| pairs(name, seed, points::FIRSTS)),
        ["--pairs", name, seed, "of", one_in] => number(seed).and_then(|seed| pairs(name, seed, number(one_in)?)),
        ["--schedules", count] => number(count).and_then(|count| schedules::play_many(0, count)),
        ["--schedules", count, "--seed", first] => {
            number(count).and_then(|count| schedules::play_many(number(first)?, count))
        }
        ["--crashes", count] => number(count).and_then(|count| endurance::crashes(count, 1)),
        ["--crashes", count, "--seed", seed] => {
            number(count).and_then(|count| endurance::crashes(count, number(seed)?))
        }
        ["--days", count] => number(count).and_then(endurance::days),
        ["--seed", seed] => number(seed).and_then(schedules::tell_all),
        [name] => scenarios(name).and_then(|all| sweep(all, points::of, Sample::ALL)),
        [name, ref point @ ..] => replay(name, point),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(2)
        }
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("'{text}' is not a number"))
}

/// The scenarios whose name contains `wanted`.
fn scenarios(wanted: &str) -> Result<Vec<Scenario>, String> {
    let read = |path: &PathBuf| {
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Scenario::parse(&name, &fs::read_to_string(path).map_err(|error| error.to_string())?)
    };
    paths(wanted).iter().map(read).collect()
}

/// How the points of a scenario are found.
type Enumeration = fn(&Scenario, &Play, Sample) -> Vec<Point>;

fn sample(wanted: &str, seed: u64, one_in: u64) -> Result<bool, String> {
    sweep(scenarios(wanted)?, points::of, Sample { seed, one_in })
}

fn pairs(wanted: &str, seed: u64, one_in: u64) -> Result<bool, String> {
    let chosen = if wanted == CORE_WORD { core()? } else { scenarios(wanted)? };
    sweep(chosen, points::pairs, Sample { seed, one_in })
}

fn core() -> Result<Vec<Scenario>, String> {
    CORE.into_iter().map(scenario).collect()
}

/// The scenario of that name, or the first one that has it in its own.
fn scenario(name: &str) -> Result<Scenario, String> {
    let mut all = scenarios(name)?;
    all.sort_by_key(|scenario| scenario.path != name);
    all.into_iter().next().ok_or_else(|| format!("no scenario is called {name}"))
}

/// Plays these points of these scenarios. True if all end well, and the undisturbed plays too.
fn sweep(scenarios: Vec<Scenario>, enumeration: Enumeration, sample: Sample) -> Result<bool, String> {
    let subjects = subjects(scenarios, enumeration, sample);
    let mut is_well = true;
    for subject in &subjects {
        for wrong in subject.undisturbed.wrongs.iter().chain(&subject.undisturbed.departures) {
            println!("FAILED {} without any fault: {wrong}", subject.scenario.path);
            is_well = false;
        }
    }
    Ok(Crew::new(subjects).work() && is_well)
}

/// Plays each scenario undisturbed, some at a time, and so finds the points.
fn subjects(scenarios: Vec<Scenario>, enumeration: Enumeration, sample: Sample) -> Vec<Subject> {
    let waiting = Mutex::new(scenarios.into_iter().enumerate());
    let found = Mutex::new(BTreeMap::new());
    let work = || {
        let next = || waiting.lock().unwrap().next();
        while let Some((number, scenario)) = next() {
            let undisturbed = play(&scenario, &[]);
            let points = enumeration(&scenario, &undisturbed, sample);
            found.lock().unwrap().insert(number, Subject { scenario, undisturbed, points });
        }
    };
    std::thread::scope(|scope| (0..crew::threads()).for_each(|_| drop(scope.spawn(work))));
    found.into_inner().unwrap().into_values().collect()
}

/// Plays one point and prints what happened.
fn replay(name: &str, point: &[&str]) -> Result<bool, String> {
    let point = fault::parse(point)?;
    let scenario = scenario(name)?;
    println!("{}", play(&scenario, &point).transcript);
    let subject = Subject { undisturbed: play(&scenario, &[]), scenario, points: Vec::new() };
    let found = judge(&subject, &point);
    found.iter().for_each(|problem| println!("{problem}"));
    Ok(found.is_empty())
}
