//! Fuzzes the target `manifest`; what it tries is told in src/targets/manifest.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| evenkeel_fuzz::try_within_budget("manifest", bytes));
