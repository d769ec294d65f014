//! Counting what a probe's dial comes to: `probe` knows no metrics.

use std::sync::Arc;

use crate::metrics::Metrics;
use crate::model::status::ProbeTask;
use crate::probe::{Check, Dial};

/// A dial whose failures are counted, and its checks that could not be made.
pub(super) struct Counted<D> {
    pub(super) dial: D,
    pub(super) metrics: Arc<Metrics>,
}

impl<D: Dial> Dial for Counted<D> {
    async fn check(&self, task: &ProbeTask) -> Check {
        let check = self.dial.check(task).await;
        match check {
            Check::Success => {}
            Check::Failure(_) => self.metrics.probe_failure(),
            Check::Unmade(_) => self.metrics.probe_unmade(),
        }
        check
    }
}
