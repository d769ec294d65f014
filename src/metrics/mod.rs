//! Metrics: every name in one place. Counters and histograms are fed as things happen; gauges are read off the view at
//! each scrape, so an object that is gone leaves no series behind. It decides nothing.

use crate::model::action::Call;
use crate::model::status::Event;
use crate::model::time::Span;

/// What is counted over the life of the process.
pub struct Metrics {}

/// How an action ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionResult {
    /// As asked.
    Success,
    /// The engine or registry said no.
    Error,
    /// No reply in time: the effect is unknown.
    Timeout,
}

impl Metrics {
    /// Metrics that have counted nothing yet.
    pub fn new() -> Self {
        Self {}
    }

    /// A pass was made and took this long.
    pub fn pass(&self, _took: Span) {}

    /// An action ended after this long. Pulls are also counted on their own.
    pub fn action(&self, _call: &Call, _result: ActionResult, _took: Span) {}

    /// Something happened. Rollouts are counted by their events' reasons.
    pub fn event(&self, _event: &Event) {}

    /// A probe of ours failed.
    pub fn probe_failure(&self) {}

    /// The state directory could not be written.
    pub fn store_write_error(&self) {}
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
