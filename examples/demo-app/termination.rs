//! Waiting for SIGTERM or SIGINT without any crate. The only `unsafe` here.
//!
//! The signals are blocked in every thread and taken out of the queue by `sigwait` in one: no handler runs, so nothing
//! has to be async-signal-safe, and nobody polls.

#![allow(unsafe_code, reason = "std has no signals; see the proof at each call")]

use std::ffi::c_int;

const SIGINT: c_int = 2;
const SIGTERM: c_int = 15;
const SIG_BLOCK: c_int = 0;

/// `sigset_t` of Linux's C libraries: 1024 bits (glibc and musl, every architecture).
#[repr(C)]
struct SignalSet([u64; 16]);

unsafe extern "C" {
    fn sigemptyset(set: *mut SignalSet) -> c_int;
    fn sigaddset(set: *mut SignalSet, signal: c_int) -> c_int;
    fn pthread_sigmask(how: c_int, set: *const SignalSet, old: *mut SignalSet) -> c_int;
    fn sigwait(set: *const SignalSet, signal: *mut c_int) -> c_int;
}

/// Proof that the signals are blocked. Made before any thread is started: threads inherit it.
pub struct Termination(SignalSet);

impl Termination {
    pub fn block() -> Self {
        let mut set = SignalSet([0; 16]);
        // SAFETY: `set` is a live, exclusively borrowed object of sigset_t's size; the signal numbers are valid; a null
        // `old` is allowed.
        unsafe {
            sigemptyset(&mut set);
            sigaddset(&mut set, SIGINT);
            sigaddset(&mut set, SIGTERM);
            pthread_sigmask(SIG_BLOCK, &set, std::ptr::null_mut());
        }
        Termination(set)
    }

    /// Blocks until one of the signals arrives, and names it.
    pub fn wait(&self) -> &'static str {
        let mut signal = 0;
        // SAFETY: both pointers are to live objects, and the set's signals are blocked in every thread (`block`).
        unsafe { sigwait(&self.0, &mut signal) };
        if signal == SIGINT { "SIGINT" } else { "SIGTERM" }
    }
}
