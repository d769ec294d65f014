//! Wake: the one bell that says "look again". It carries reasons for metrics and for how far to look, never data for a
//! decision: a lost or doubled ring changes when something happens, never what.
//!
//! [`files`] rings when a manifest changes, [`events`] when the engine does; the reconciler rings for the rest.

pub mod events;
pub mod files;
mod scope;

use std::collections::BTreeSet;
use std::mem;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// What to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interest {
    /// A directory with all that is in it, or a single file. It need not exist.
    Whole(PathBuf),
    /// What is in a directory itself, and not below.
    Folder(PathBuf),
}

/// Why to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The process has just started.
    Start,
    /// A manifest, a file that it reads, or a root directory changed.
    Files,
    /// The engine reported an event, or its event stream was opened or broke.
    Engine,
    /// An action ended, well or not.
    Finished,
    /// A probe's result changed.
    Probe,
    /// A registry answered, or did not.
    Registry,
    /// `wake_at` is reached.
    Timer,
    /// Somebody asked, over the socket or by a signal.
    Request,
}

impl Reason {
    /// The word for logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Reason::Start => "start",
            Reason::Files => "files",
            Reason::Engine => "engine",
            Reason::Finished => "finished",
            Reason::Probe => "probe",
            Reason::Registry => "registry",
            Reason::Timer => "timer",
            Reason::Request => "request",
        }
    }
}

/// A bell that any thread may ring and one task waits for. Rings between two waits become one.
#[derive(Debug, Clone, Default)]
pub struct Wake {
    bell: Arc<Bell>,
}

#[derive(Debug, Default)]
struct Bell {
    reasons: Mutex<BTreeSet<Reason>>,
    rung: Notify,
}

impl Wake {
    /// A silent bell.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says "look again". Never blocks; needs no runtime.
    pub fn ring(&self, reason: Reason) {
        self.reasons().insert(reason);
        self.bell.rung.notify_one();
    }

    /// Waits for a ring and takes all reasons since the last time. Dropping the future loses none.
    pub async fn wait(&self) -> BTreeSet<Reason> {
        loop {
            let reasons = self.take();
            if !reasons.is_empty() {
                return reasons;
            }
            self.bell.rung.notified().await;
        }
    }

    /// Takes the reasons that have gathered, perhaps none, without waiting.
    pub fn take(&self) -> BTreeSet<Reason> {
        mem::take(&mut *self.reasons())
    }

    fn reasons(&self) -> MutexGuard<'_, BTreeSet<Reason>> {
        // A set of flags is whole after every statement, so a panic elsewhere cannot have spoiled it.
        self.bell.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn rings_before_the_wait_are_taken_together() {
        let wake = Wake::new();
        wake.ring(Reason::Files);
        wake.ring(Reason::Engine);
        wake.ring(Reason::Files);
        assert_eq!(wake.wait().await, BTreeSet::from([Reason::Files, Reason::Engine]));
        assert_eq!(wake.take(), BTreeSet::new());
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_ring_the_wait_goes_on() {
        let wake = Wake::new();
        // A permit left over from a ring that `take` has already answered must not end the wait.
        wake.ring(Reason::Probe);
        wake.take();
        assert!(tokio::time::timeout(Duration::from_secs(3600), wake.wait()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_given_up_loses_no_ring() {
        let wake = Wake::new();
        for _ in 0..3 {
            let waiting = tokio::time::timeout(Duration::from_millis(1), wake.wait());
            assert!(waiting.await.is_err());
        }
        wake.clone().ring(Reason::Request);
        assert_eq!(wake.wait().await, BTreeSet::from([Reason::Request]));
    }

    #[tokio::test]
    async fn a_ring_from_a_thread_without_a_runtime_ends_the_wait() {
        let wake = Wake::new();
        let other = wake.clone();
        let thread = std::thread::spawn(move || other.ring(Reason::Files));
        assert_eq!(wake.wait().await, BTreeSet::from([Reason::Files]));
        thread.join().unwrap();
    }
}
