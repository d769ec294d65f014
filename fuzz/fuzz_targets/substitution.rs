//! Fuzzes the target `substitution`; what it tries is told in src/targets/substitution.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| evenkeel_fuzz::try_within_budget("substitution", bytes));
