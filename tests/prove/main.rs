//! Every fault at every call and at every write of every scenario: `scripts/prove` runs it. It proves by exhaustion and
//! keeps no list of what is expected: the undisturbed play says how each scenario must end.
//!
//! `scripts/prove good-update` plays all points of one, `scripts/prove good-update 137 crash-after` plays one point and
//! prints its transcript. `scripts/prove --schedules 1000` plays random schedules instead, `scripts/prove --seed 17` one.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests and their helpers may")]

mod crew;
mod points;
mod schedules;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use crew::{Crew, Subject};
use support::scenario::fault;
use support::scenario::file::{Scenario, paths};
use support::scenario::{play, play_with_faults};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        [] => sweep("", None),
        ["--sample", seed] => number(seed).and_then(|seed| sweep("", Some(seed))),
        ["--schedules", count] => number(count).and_then(|count| schedules::play_many(0, count)),
        ["--schedules", count, "--seed", first] => {
            number(count).and_then(|count| schedules::play_many(number(first)?, count))
        }
        ["--seed", seed] => number(seed).and_then(schedules::tell_all),
        [name] => sweep(name, None),
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

/// Plays every point of these scenarios, or with a seed a sample of them. True if all end well.
fn sweep(wanted: &str, sample: Option<u64>) -> Result<bool, String> {
    let subjects = scenarios(wanted)?.into_iter().map(|scenario| {
        let undisturbed = play(&scenario, &[]);
        let points = points::of(&scenario, &undisturbed, sample);
        Arc::new(Subject { scenario, undisturbed, points })
    });
    Ok(Crew::new(subjects.collect()).work())
}

/// Plays one point and prints what happened.
fn replay(name: &str, point: &[&str]) -> Result<bool, String> {
    let faults = fault::parse(point)?;
    let all = scenarios(name)?;
    let exact = all.iter().find(|scenario| scenario.path == name).or(all.first());
    let scenario = exact.ok_or_else(|| format!("no scenario is called {name}"))?;
    println!("{}", play(scenario, &faults).transcript);
    let problems = play_with_faults(scenario, &play(scenario, &[]), &faults);
    problems.iter().for_each(|problem| println!("{problem}"));
    Ok(problems.is_empty())
}
