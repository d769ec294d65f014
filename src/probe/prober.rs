//! Keeps the set of running checks and applies their thresholds. It starts and ends what it is told to, nothing else.

use super::Dial;
use crate::model::observed::{ContainerId, Probes};
use crate::model::status::ProbeTask;
use crate::model::time::Timestamp;

/// The running checks and their results.
pub struct Prober<D: Dial> {
    dial: D,
}

impl<D: Dial> Prober<D> {
    /// A prober without tasks. `now` is the clock that `started_at` was taken from; `wake` is called when a result changes.
    pub fn new(
        dial: D,
        now: impl Fn() -> Timestamp + Send + Sync + 'static,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let _ = (now, wake);
        Self { dial }
    }

    /// Makes `tasks` the running ones: starts new ones, keeps the others with their counts, ends the rest with their
    /// results. Must be called within a Tokio runtime.
    pub fn set(&self, tasks: Vec<ProbeTask>) {
        let _ = (&self.dial, tasks);
        todo!()
    }

    /// What the checks of this run of a container say; `None` where there is no such task.
    pub fn results(&self, container: &ContainerId, started_at: Timestamp) -> Probes {
        let _ = (container, started_at);
        todo!()
    }
}
