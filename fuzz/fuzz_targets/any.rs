//! The binary that fuzzes: any target of src/targets, the one that FUZZ_TARGET names. One for all of them, because a
//! build of its own for each would take longer than the short run.
#![no_main]

use peak_alloc::PeakAlloc;

/// Counts what is allocated, so that an input's price in memory is known exactly.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| evenkeel_fuzz::try_within_budget(bytes));
