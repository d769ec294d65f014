//! The binary that pushes large inputs through every door, or those that are named, and measures what memory each takes.

use std::process::ExitCode;

use evenkeel_fuzz::{Measured, measure_large};
use peak_alloc::PeakAlloc;

// What counts the branches of an instrumented build is in there. It also looks at every comparison of bytes, which takes time.
#[cfg(fuzzing)]
use libfuzzer_sys as _;

/// Counts what is allocated, so that an input's price in memory is known exactly.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

fn main() -> ExitCode {
    let named: Vec<String> = std::env::args().skip(1).collect();
    if measure_large(Measured::Memory, &named) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
