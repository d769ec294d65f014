//! Fuzzes the target `state`; what it tries is told in src/targets/state.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| evenkeel_fuzz::try_within_budget("state", bytes));
