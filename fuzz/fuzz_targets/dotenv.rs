//! Fuzzes the target `dotenv`; what it tries is told in src/targets/dotenv.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| evenkeel_fuzz::try_within_budget("dotenv", bytes));
