//! Fuzzes the target `socket`; what it tries is told in src/targets/socket.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| evenkeel_fuzz::try_within_budget("socket", bytes));
