//! How the daemon asks the system for memory. It changes how much stays behind after a busy time, nothing else.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::model::view::View;

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

/// How long the daemon is at rest before what its last busy time has left behind is given back.
const REST: Duration = Duration::from_secs(5);

/// Gives memory back whenever the daemon has come to rest: what was freed between blocks that are still in use goes only so.
pub async fn give_back_at_rest(mut views: watch::Receiver<Arc<View>>) {
    while views.wait_for(|view| view.converged).await.is_ok() {
        tokio::time::sleep(REST).await;
        if views.borrow().converged {
            give_back();
            if views.wait_for(|view| !view.converged).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(target_env = "gnu")]
#[allow(unsafe_code, reason = "malloc_trim takes a number and no memory of ours")]
fn give_back() {
    // SAFETY: it takes the locks of the allocator like any call of malloc, and touches free memory alone.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(not(target_env = "gnu"))]
fn give_back() {}
