//! The binary that pushes large inputs through every door, or those that are named, and measures how long each takes. It allocates as
//! every program does: counting that would take time.

use std::process::ExitCode;

use evenkeel_fuzz::{Measured, measure_large};

// What counts the branches of an instrumented build is in there. It also looks at every comparison of bytes, which takes time.
#[cfg(fuzzing)]
use libfuzzer_sys as _;

fn main() -> ExitCode {
    let named: Vec<String> = std::env::args().skip(1).collect();
    if measure_large(Measured::Time, &named) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
