//! Fuzzes the target `ownership`; what it tries is told in src/targets/ownership.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| evenkeel_fuzz::try_within_budget("ownership", bytes));
