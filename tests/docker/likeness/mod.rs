//! The simulated engine is like a real one: random sequences of requests go to both, and what a client sees after each must
//! be the same. A difference is shrunk to the fewest requests that show it, and belongs into the rules of `tests/support/sim`
//! (or is a fault of the house's own door). `scripts/likeness` plays chosen ones. Start reading in [`operation`], then
//! [`client`].

mod client;
mod operation;
mod side;
#[path = "../../support/sim/mod.rs"]
#[allow(dead_code, reason = "the simulated engine can do more than a client asks of it here")]
mod sim;

use std::sync::atomic::{AtomicU32, Ordering};

use client::{Client, Place};
use operation::{Chance, Operation};
use side::{Fake, Real};

use crate::support::{Bench, Engine, attempt, commit};

/// Sequences of a sample on one generation, and their length.
const SAMPLED: u64 = 4;
/// The same of those in which the engine itself goes away, each on an engine of its own.
const SAMPLED_WITH_ENGINE: u64 = 1;
const LENGTH: usize = 25;
/// How often a sequence is tried with something left out.
const SHRINKING: u32 = 60;

/// Names and addresses for one more sequence.
fn place(bench: &Bench) -> Place {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let base = NEXT.fetch_add(3, Ordering::SeqCst);
    let subnets = [0, 1, 2].map(|n| format!("{}.{}", 100 + (base + n) / 256, (base + n) % 256));
    Place { instance: bench.instance.clone(), subnets, port: bench.free_port() }
}

/// The first request after which the two engines do not look alike, and what is seen.
fn difference(bench: &Bench, operations: &[Operation]) -> Option<(usize, String)> {
    let place = place(bench);
    let real = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let seen = real.block_on(async { Client::new(&Real::new(bench), &place).send(operations).await });
    let virtual_time = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let fake = || Fake::new(&place.instance, bench.engine.generation);
    let simulated = virtual_time.block_on(async { Client::new(&fake(), &place).send(operations).await });
    clear(bench);
    let at = seen.iter().zip(&simulated).position(|(real, fake)| real != fake)?;
    let request = operations.get(at).map_or("all".to_string(), ToString::to_string);
    Some((at, format!("after {request}\nthe engine says    {}the simulation says {}", seen[at], simulated[at])))
}

/// What is not seen twice was a matter of time, not of the engines.
fn steady_difference(bench: &Bench, operations: &[Operation]) -> Option<(usize, String)> {
    let (at, _) = difference(bench, operations)?;
    difference(bench, operations).filter(|(again, _)| *again == at)
}

/// Volumes that the engine made up have no label.
fn clear(bench: &Bench) {
    bench.clean();
    let filter = format!("name={}", bench.instance);
    let volumes = bench.engine.docker(&["volume", "ls", "--quiet", "--filter", &filter]);
    for volume in volumes.lines() {
        bench.engine.docker(&["volume", "rm", volume]);
    }
}

/// Leaves out what is not needed to see a difference.
fn shrink(bench: &Bench, mut operations: Vec<Operation>) -> Vec<Operation> {
    let (mut size, mut left) = (operations.len() / 2, SHRINKING);
    while size > 0 && left > 0 {
        let mut at = 0;
        while at < operations.len() && left > 0 {
            let shorter: Vec<_> = operations
                .iter()
                .enumerate()
                .filter(|(n, _)| !(at..at + size).contains(n))
                .map(|(_, o)| o.clone())
                .collect();
            left -= 1;
            match steady_difference(bench, &shorter) {
                Some(_) => operations = shorter,
                None => at += size,
            }
        }
        size /= 2;
    }
    operations
}

/// The shortest sequence that shows a difference, if this seed's shows any.
fn compare(generation: u32, seed: u64, engine_goes: bool) -> Result<(), String> {
    let name = format!("likeness of seed {seed}");
    let engine = if engine_goes { Engine::own(generation) } else { Engine::shared(generation) };
    let compared = attempt(engine, &name, |bench| {
        let operations = Chance::new(seed, engine_goes).sequence(LENGTH);
        let (at, first) = steady_difference(bench, &operations)?;
        let shrunk = shrink(bench, operations.into_iter().take(at + 1).collect());
        let lines: Vec<String> = shrunk.iter().map(|operation| format!("  {operation}")).collect();
        let (_, last) = difference(bench, &shrunk).unwrap_or((at, first));
        let whose = if engine_goes { "--engine-goes " } else { "" };
        let replay = format!("scripts/likeness {whose}--generation {generation} {seed}");
        Some(format!("{replay} shows it with\n{}\n{last}", lines.join("\n")))
    });
    match compared {
        Ok(None) => Ok(()),
        Ok(Some(difference)) => Err(difference),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn commit_number() -> u64 {
    u64::from_str_radix(&commit(), 16).unwrap_or_default()
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// From the seed that is given, or that the commit gives.
fn compare_some(generation: u32, count: u64, engine_goes: bool) {
    let first = number("EVENKEEL_LIKENESS_SEED").unwrap_or_else(commit_number);
    let seeds = first..first + number("EVENKEEL_LIKENESS_COUNT").unwrap_or(count);
    let unlike: Vec<String> = seeds
        .clone()
        .filter_map(|seed| compare(generation, seed, engine_goes).inspect_err(|d| eprintln!("{d}")).err())
        .collect();
    println!("likeness {generation}: {} sequences of {LENGTH}, unlike {}", seeds.count(), unlike.len());
    assert!(unlike.is_empty(), "{}", unlike.join("\n"));
}

mod the_simulated_engine_is_like_a_real_one {
    use super::*;

    #[test]
    fn on_engine_20() {
        compare_some(20, SAMPLED, false);
    }

    #[test]
    fn on_engine_26() {
        compare_some(26, SAMPLED, false);
    }
}

mod the_simulated_engine_goes_and_comes_back_like_a_real_one {
    use super::*;

    #[test]
    fn on_engine_20() {
        compare_some(20, SAMPLED_WITH_ENGINE, true);
    }

    #[test]
    fn on_engine_26() {
        compare_some(26, SAMPLED_WITH_ENGINE, true);
    }
}
