//! Fuzzes the target `reference`; what it tries is told in src/targets/reference.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| evenkeel_fuzz::try_within_budget("reference", bytes));
