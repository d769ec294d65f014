//! The corpus of the fuzzer, replayed without it: every input of fuzz/corpus, and a bounded number of changes to each,
//! go through the same doors; so do inputs of a MiB that are made to cost much, with the memory that each takes. Time is measured
//! where the code is optimised: by `scripts/fuzz`, which searches further, too.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests and their helpers may")]

#[path = "../fuzz/src/targets/mod.rs"]
mod targets;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, Once, PoisonError};

use peak_alloc::PeakAlloc;
use targets::{TARGETS, Target};

/// Counts what is allocated, so that an input's price in memory is known exactly.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What a MiB of input may cost in memory, in bytes; a started MiB counts whole.
const BYTES_PER_MIB: usize = 64 << 20;
/// Of so many inputs of the corpus one is grown large; the fuzzer's own run grows all.
const GROWN_OF: usize = 40;
/// What a large input has, in bytes.
const LARGE: usize = (1 << 20) - 4096;

/// One test at a time: panics and memory are counted for all threads.
static TURN: Mutex<()> = Mutex::new(());

/// Changes of each input.
const CHANGES: u64 = 40;

/// Panics in any thread or task: one in a task of a server ends only that task.
static PANICS: AtomicUsize = AtomicUsize::new(0);

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// A small generator of numbers, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

/// An input with one thing changed: cut, a byte flipped, a part doubled or left out, or another input's end.
fn changed(bytes: &[u8], other: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let (from, to) = (numbers.below(bytes.len() + 1), numbers.below(bytes.len() + 1));
    let (from, to) = (from.min(to), from.max(to));
    match numbers.below(5) {
        0 => bytes[..to].to_vec(),
        1 => {
            bytes.iter().enumerate().map(|(at, byte)| if at == from { byte ^ (1 << (to % 8)) } else { *byte }).collect()
        }
        2 => [&bytes[..to], &bytes[from..]].concat(),
        3 => [&bytes[..from], &bytes[to..]].concat(),
        _ => [&bytes[..from], &other[numbers.below(other.len())..]].concat(),
    }
}

/// Whether an input goes through without a panic anywhere.
fn passes(target: Target, bytes: &[u8]) -> bool {
    let before = PANICS.load(Ordering::SeqCst);
    let outcome = catch_unwind(AssertUnwindSafe(|| target(bytes)));
    outcome.is_ok() && PANICS.load(Ordering::SeqCst) == before
}

/// Counts panics from now on, beside telling them.
fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let default = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |what| {
            PANICS.fetch_add(1, Ordering::SeqCst);
            default(what);
        }));
    });
}

#[test]
fn a_mebibyte_of_the_worst_takes_no_more_than_64_mebibytes_at_any_door() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    count_panics();
    let mut failed = Vec::new();
    for (name, target) in TARGETS {
        let corpus: Vec<Vec<u8>> = corpus(name).into_iter().map(|(_, bytes)| bytes).step_by(GROWN_OF).collect();
        for (what, bytes) in targets::large::inputs(name, &corpus, LARGE) {
            let before = MEMORY.current_usage();
            MEMORY.reset_peak_usage();
            let is_quiet = passes(target, &bytes);
            let taken = MEMORY.peak_usage().saturating_sub(before);
            let may_take_more = targets::large::is_beyond_us(name, &what);
            if !is_quiet || !may_take_more && taken > BYTES_PER_MIB * (bytes.len() / (1 << 20) + 1) {
                let outcome = if is_quiet { "took" } else { "panicked and took" };
                failed.push(format!("{name}: {what}: {} bytes {outcome} {} KiB", bytes.len(), taken >> 10));
            }
        }
    }
    assert!(failed.is_empty(), "{} inputs fail:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn every_input_of_the_corpus_and_changes_of_it_go_through_every_door() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    count_panics();
    let mut failed = Vec::new();
    for (name, target) in TARGETS {
        let corpus = corpus(name);
        assert!(!corpus.is_empty(), "{name} has no corpus");
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        for (index, (path, bytes)) in corpus.iter().enumerate() {
            if !passes(target, bytes) {
                failed.push(path.display().to_string());
            }
            let other = &corpus[(index * 7 + 3) % corpus.len()].1;
            for _ in 0..CHANGES {
                let bytes = changed(bytes, other, &mut numbers);
                if !passes(target, &bytes) {
                    failed.push(format!("{name}: {:?}", String::from_utf8_lossy(&bytes)));
                }
            }
        }
    }
    assert!(failed.is_empty(), "{} inputs fail:\n{}", failed.len(), failed.join("\n"));
}
