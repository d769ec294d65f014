//! Fuzzes the target `engine`; what it tries is told in src/targets/engine.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| evenkeel_fuzz::try_within_budget("engine", bytes));
