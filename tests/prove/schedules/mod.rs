//! Random schedules: a seed makes a small world and what happens to it, the real controller lives through it on the
//! simulated engine, and at rest all is as it should be. Each seed is played twice and must go the same way.
//!
//! [`generate`] chooses, [`schedule`] writes it as a scenario, [`play`] and [`rest`] judge, [`shrink`] makes a failing one
//! small.

pub mod chance;
mod generate;
mod play;
mod rest;
mod schedule;
mod shop;
mod shrink;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use crate::crew;
use crate::support::scenario::file::Scenario;
use crate::support::sim::app::Millis;
use play::{Play, play};
use schedule::Schedule;

/// How many failing seeds are made small.
const TOLD: usize = 10;
/// How many plays making one small may take.
const TRIES: usize = 400;

/// Plays one seed, and prints its scenario with the transcript. True if all is well.
pub fn tell_all(seed: u64) -> Result<bool, String> {
    let schedule = generate::schedule(seed);
    let played = once(&schedule);
    println!("{}\n--- transcript\n{}", schedule.text(), played.transcript);
    played.findings.iter().for_each(|found| println!("{found}"));
    let found = judge(&schedule);
    if let Some(found) = &found {
        println!("{}", report(&schedule, found));
    }
    Ok(found.is_none())
}

/// What a run has done so far.
#[derive(Default)]
struct Tally {
    next: u64,
    played: u64,
    calls: u64,
    lasted: Millis,
    /// The seeds that failed, with what was found.
    failed: BTreeMap<u64, String>,
}

/// Plays the schedules of so many seeds. A failure is printed at once, and made small in the end. True if all is well.
pub fn play_many(first: u64, count: u64) -> Result<bool, String> {
    let tally = Mutex::new(Tally { next: first, ..Tally::default() });
    let began = std::time::Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..crew::threads() {
            scope.spawn(|| {
                while let Some(seed) = take(&tally, first + count) {
                    play_one(&tally, seed);
                }
            });
        }
    });
    let Tally { played, calls, lasted, failed, .. } = tally.into_inner().expect("no thread has panicked");
    let (seconds, hours) = (began.elapsed().as_secs(), lasted / 3_600_000);
    for (seed, what) in failed.iter().take(TOLD) {
        println!("{}", report(&generate::schedule(*seed), what));
    }
    println!(
        "schedules from seed {first}: {count} asked for, {played} played (each twice) in {seconds} s, {calls} calls, \
         {hours} virtual hours, {} failed",
        failed.len()
    );
    Ok(failed.is_empty() && played == count)
}

/// The next seed, while there is one.
fn take(tally: &Mutex<Tally>, end: u64) -> Option<u64> {
    let mut tally = hold(tally);
    let seed = tally.next;
    tally.next += 1;
    (seed < end).then_some(seed)
}

fn play_one(tally: &Mutex<Tally>, seed: u64) {
    let found = found(&generate::schedule(seed));
    let mut tally = hold(tally);
    tally.played += 1;
    match found {
        Ok(played) => {
            tally.calls += played.calls as u64;
            tally.lasted += played.lasted;
        }
        Err(what) => {
            println!("FAILED seed {seed}: {what}");
            tally.failed.insert(seed, what);
        }
    }
}

fn hold(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().expect("no thread panics while it holds this")
}

fn once(schedule: &Schedule) -> Play {
    match Scenario::parse("schedule.txt", &schedule.text()) {
        Ok(scenario) => play(&scenario, &schedule.shop_in_the_end()),
        Err(problem) => Play { findings: vec![problem], ..Play::default() },
    }
}

/// Plays a schedule twice.
fn found(schedule: &Schedule) -> Result<Play, String> {
    let (played, again) = (once(schedule), once(schedule));
    if let Some(finding) = played.findings.first() {
        return Err(finding.clone());
    }
    if played.trace != again.trace {
        return Err(format!("two plays differ: {}", difference(&played.transcript, &again.transcript)));
    }
    Ok(played)
}

fn judge(schedule: &Schedule) -> Option<String> {
    found(schedule).err()
}

/// The first line in which two transcripts differ.
fn difference(one: &str, other: &str) -> String {
    let differs = one.lines().zip(other.lines()).find(|(one, other)| one != other);
    differs.map_or("in calls that change nothing".into(), |(one, other)| format!("'{one}' and '{other}'"))
}

/// What was found, and the smallest schedule that still fails as a scenario's file.
fn report(schedule: &Schedule, what: &str) -> String {
    let smallest = shrink::shrink(schedule, |candidate| judge(candidate).is_some(), TRIES);
    let (played, text) = (once(&smallest), smallest.text());
    let instead = judge(&smallest).unwrap_or_default();
    let kept = text.lines().enumerate().filter(|(index, _)| !played.refused.contains(&(index + 1)));
    let script: Vec<&str> = kept.map(|(_, line)| line).collect();
    format!(
        "seed {}: {what}\nplay it again with scripts/prove --seed {}; the smallest that fails ({instead}):\n\n{}\n",
        schedule.seed,
        schedule.seed,
        script.join("\n")
    )
}
