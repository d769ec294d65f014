//! Fuzzes the target `quantities`; what it tries is told in src/targets/quantities.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| evenkeel_fuzz::try_within_budget("quantities", bytes));
