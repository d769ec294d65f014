//! `measure COMMAND…`: runs a command and tells on standard error, as one JSON line, how long it took and how much memory
//! it had at most. Its exit code is the command's.

#![allow(unsafe_code, reason = "std does not tell a child's memory; see the proof at the call")]

use std::ffi::c_int;
use std::process::{Command, ExitCode};
use std::time::Instant;

use crate::args::Args;

const RUSAGE_CHILDREN: c_int = -1;
/// Where `struct rusage` of 64-bit Linux has `ru_maxrss` (in KiB): after two `struct timeval` of two words each.
const MAX_RSS: usize = 4;

unsafe extern "C" {
    fn getrusage(who: c_int, usage: *mut [i64; 18]) -> c_int;
}

pub fn run(args: &Args) -> Result<ExitCode, String> {
    let [program, arguments @ ..] = args.all() else { return Err("measure needs a command".to_string()) };
    let started = Instant::now();
    let status = Command::new(program).args(arguments).status().map_err(|e| format!("{program}: {e}"))?;
    let took = started.elapsed();
    let mut usage = [0; 18];
    // SAFETY: `usage` is a live, exclusively borrowed object of `struct rusage`'s size (18 words on 64-bit Linux).
    unsafe { getrusage(RUSAGE_CHILDREN, &mut usage) };
    eprintln!("{{\"seconds\":{:.4},\"max_rss_kib\":{}}}", took.as_secs_f64(), usage[MAX_RSS]);
    Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(255)).unwrap_or(255)))
}
