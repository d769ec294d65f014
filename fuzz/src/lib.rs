//! What every fuzz target shares: the table of them, and the price that an input may cost. It knows no input's meaning.

pub mod targets;

use std::sync::LazyLock;

use peak_alloc::PeakAlloc;

/// Counts what is allocated, so that an input's price in memory is known exactly.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What a MiB of input may cost in memory, in bytes; a started MiB counts whole.
const BYTES_PER_MIB: usize = 64 << 20;
/// What a MiB of input may cost in time on the processor, in milliseconds.
const MILLIS_PER_MIB: u64 = 100;

/// What is fuzzed.
static TARGET: LazyLock<targets::Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
    targets::TARGETS.iter().find(|(known, _)| *known == name).expect("FUZZ_TARGET names a folder of fuzz/corpus").1
});

/// Tries an input, and panics if it costs too much. Panics of the code itself pass through.
pub fn try_within_budget(bytes: &[u8]) {
    let target = *TARGET;
    let mebibytes = bytes.len() / (1 << 20) + 1;
    let (before, began) = (MEMORY.current_usage(), processor_millis());
    MEMORY.reset_peak_usage();
    target(bytes);
    let (taken, lasted) = (MEMORY.peak_usage().saturating_sub(before), processor_millis() - began);
    assert!(taken <= BYTES_PER_MIB * mebibytes, "{} bytes of input took {taken} bytes of memory", bytes.len());
    assert!(lasted <= MILLIS_PER_MIB * mebibytes as u64, "{} bytes of input took {lasted} ms", bytes.len());
}

/// How long this thread has computed, in milliseconds: a busy machine must not look like an expensive input.
fn processor_millis() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos: u64 = text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0);
    nanos / 1_000_000
}
