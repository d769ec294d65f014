//! The binary that pushes large inputs through every door, or those that are named, and measures what each costs.

use std::process::ExitCode;

// What counts the branches of an instrumented build is in there.
use libfuzzer_sys as _;

fn main() -> ExitCode {
    let named: Vec<String> = std::env::args().skip(1).collect();
    if evenkeel_fuzz::measure_large(&named) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
