//! The simulated engine is like a real one: random sequences of requests go to both, and what a client sees after each must
//! be the same. A difference is shrunk to the fewest requests that show it, and belongs into the rules of `tests/support/sim`
//! (or is a fault of the house's own door). `scripts/likeness` plays chosen ones. Start reading in [`operation`], then
//! [`client`].

mod client;
mod images;
mod operation;
mod side;
#[path = "../../support/sim/mod.rs"]
#[allow(dead_code, reason = "the simulated engine can do more than a client asks of it here")]
mod sim;

use std::fmt::Display;
use std::sync::atomic::{AtomicU32, Ordering};

use client::{Client, Place};
use images::Stock;
use operation::{Chance, Operation};
use side::{Fake, Real};

use crate::support::{Bench, Engine, attempt, commit};

/// How much is asked for in a sequence.
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

/// How two engines are compared by a sequence.
type Differ<'a, O> = &'a dyn Fn(&[O]) -> Option<(usize, String)>;

/// What is not seen twice was a matter of time, not of the engines.
fn steady_difference<O>(differ: Differ<O>, operations: &[O]) -> Option<(usize, String)> {
    let (at, _) = differ(operations)?;
    differ(operations).filter(|(again, _)| *again == at)
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
fn shrink<O: Clone>(differ: Differ<O>, mut operations: Vec<O>) -> Vec<O> {
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
            match steady_difference(differ, &shorter) {
                Some(_) => operations = shorter,
                None => at += size,
            }
        }
        size /= 2;
    }
    operations
}

/// What a sequence is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    Containers,
    /// The same, and the engine itself goes away now and then.
    EngineGoes,
    Images,
}

impl About {
    /// Its sequences in a sample on one generation.
    fn sampled(self) -> u64 {
        match self {
            About::Containers | About::Images => 4,
            // Each on an engine of its own.
            About::EngineGoes => 1,
        }
    }

    /// The word that `scripts/likeness` knows it by.
    fn word(self) -> &'static str {
        match self {
            About::Containers => "",
            About::EngineGoes => "--engine-goes ",
            About::Images => "--images ",
        }
    }
}

/// The shortest sequence that shows a difference, if this seed's shows any.
fn compare(generation: u32, seed: u64, about: About) -> Result<(), String> {
    let name = format!("likeness of {about:?} {seed}");
    let engine = if about == About::EngineGoes { Engine::own(generation) } else { Engine::shared(generation) };
    let compared = attempt(engine, &name, |bench| {
        let mut chance = Chance::new(seed, about == About::EngineGoes);
        match about {
            About::Containers | About::EngineGoes => {
                shortest(&|operations| difference(bench, operations), chance.sequence(LENGTH))
            }
            About::Images => {
                let stock = Stock::new(bench);
                shortest(&|operations| stock.difference(operations), chance.of_images(LENGTH))
            }
        }
    });
    match compared {
        Ok(None) => Ok(()),
        Ok(Some(found)) => {
            Err(format!("scripts/likeness {}--generation {generation} {seed} shows it with\n{found}", about.word()))
        }
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn shortest<O: Clone + Display>(differ: Differ<O>, operations: Vec<O>) -> Option<String> {
    let (at, first) = steady_difference(differ, &operations)?;
    let shrunk = shrink(differ, operations.into_iter().take(at + 1).collect());
    let lines: Vec<String> = shrunk.iter().map(|operation| format!("  {operation}")).collect();
    let (_, last) = differ(&shrunk).unwrap_or((at, first));
    Some(format!("{}\n{last}", lines.join("\n")))
}

fn commit_number() -> u64 {
    u64::from_str_radix(&commit(), 16).unwrap_or_default()
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// From the seed that is given, or that the commit gives.
fn compare_some(generation: u32, about: About) {
    let first = number("EVENKEEL_LIKENESS_SEED").unwrap_or_else(commit_number);
    let seeds = first..first + number("EVENKEEL_LIKENESS_COUNT").unwrap_or(about.sampled());
    let unlike: Vec<String> = seeds
        .clone()
        .filter_map(|seed| compare(generation, seed, about).inspect_err(|d| eprintln!("{d}")).err())
        .collect();
    println!("likeness {generation}: {} sequences of {LENGTH}, unlike {}", seeds.count(), unlike.len());
    assert!(unlike.is_empty(), "{}", unlike.join("\n"));
}

mod the_simulated_engine_is_like_a_real_one {
    use super::*;

    #[test]
    fn on_engine_20() {
        compare_some(20, About::Containers);
    }

    #[test]
    fn on_engine_26() {
        compare_some(26, About::Containers);
    }
}

mod the_simulated_engine_goes_and_comes_back_like_a_real_one {
    use super::*;

    #[test]
    fn on_engine_20() {
        compare_some(20, About::EngineGoes);
    }

    #[test]
    fn on_engine_26() {
        compare_some(26, About::EngineGoes);
    }
}

mod the_simulated_engine_has_images_like_a_real_one {
    use super::*;

    #[test]
    fn on_engine_20() {
        compare_some(20, About::Images);
    }

    #[test]
    fn on_engine_26() {
        compare_some(26, About::Images);
    }
}
