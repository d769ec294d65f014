//! How the daemon asks the system for memory. It changes how much stays behind after a busy time, nothing else.

/// Blocks of this size and more get pages of their own, which go back when they are freed; and free memory beyond it at the
/// end of the heap goes back too. Left alone, the C library raises both to megabytes as it goes, and the answers of a busy
/// start stay in the resident memory of a daemon that is at rest for weeks.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 64 * 1024;

/// Keeps the resident memory small. To be called before any other thread is there.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code, reason = "mallopt takes two numbers and no memory of ours, and no other thread exists yet")]
pub fn keep_small() {
    // SAFETY: both are parameters that mallopt(3) documents, with values in their ranges; it refuses others and does nothing.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
    }
}

/// Other C libraries give memory back by themselves.
#[cfg(not(target_env = "gnu"))]
pub fn keep_small() {}
