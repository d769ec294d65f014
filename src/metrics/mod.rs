//! Metrics: every name in one place. Counters and histograms are fed as things happen; gauges are read off the view at
//! each scrape, so an object that is gone leaves no series behind. It decides nothing.

mod gauges;
mod names;
mod process;

use prometheus::core::Collector;
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::model::action::Call;
use crate::model::status::{Event, Severity};
use crate::model::time::Span;
use crate::model::view::View;

/// Half a millisecond (a pass with nothing to do) to a minute (a stop with a long grace period).
const DURATIONS: [f64; 12] = [0.0005, 0.002, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 60.0];

/// One replica that is ready at once, to many that are slow and a migration before them.
const ROLLOUT_DURATIONS: [f64; 9] = [1.0, 5.0, 15.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 7200.0];

/// A cached layer to a large image over a slow line.
const PULL_DURATIONS: [f64; 9] = [0.25, 1.0, 2.5, 5.0, 15.0, 30.0, 60.0, 180.0, 600.0];

/// What is counted over the life of the process.
pub struct Metrics {
    registry: Registry,
    passes: IntCounter,
    pass_duration: Histogram,
    actions: IntCounterVec,
    action_duration: HistogramVec,
    pulls: IntCounterVec,
    pull_duration: Histogram,
    images_removed: IntCounter,
    image_bytes_removed: IntCounter,
    rollouts: IntCounterVec,
    rollout_duration: HistogramVec,
    gates: IntCounterVec,
    events: IntCounterVec,
    registry_inquiries: IntCounterVec,
    probe_failures: IntCounter,
    probes_unmade: IntCounter,
    store_write_errors: IntCounter,
    notifications: IntCounterVec,
    notifications_queued: IntGaugeVec,
}

/// How a notification ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotificationResult {
    /// The receiver has it.
    Delivered,
    /// The receiver did not take it.
    Failed,
    /// There was no room for it.
    Dropped,
}

impl NotificationResult {
    const ALL: [Self; 3] = [Self::Delivered, Self::Failed, Self::Dropped];

    fn word(self) -> &'static str {
        match self {
            NotificationResult::Delivered => "delivered",
            NotificationResult::Failed => "failed",
            NotificationResult::Dropped => "dropped",
        }
    }
}

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

impl ActionResult {
    fn word(self) -> &'static str {
        match self {
            ActionResult::Success => "success",
            ActionResult::Error => "error",
            ActionResult::Timeout => "timeout",
        }
    }
}

impl Metrics {
    /// Metrics that have counted nothing yet.
    pub fn new() -> Self {
        let registry = Registry::new();
        Self {
            passes: registered(&registry, IntCounter::with_opts(opts(names::PASSES))),
            pass_duration: registered(&registry, Histogram::with_opts(buckets(names::PASS_DURATION, &DURATIONS))),
            actions: registered(&registry, IntCounterVec::new(opts(names::ACTIONS), &["call", "result"])),
            action_duration: registered(
                &registry,
                HistogramVec::new(buckets(names::ACTION_DURATION, &DURATIONS), &["call"]),
            ),
            pulls: registered(&registry, IntCounterVec::new(opts(names::PULLS), &["result"])),
            pull_duration: registered(&registry, Histogram::with_opts(buckets(names::PULL_DURATION, &PULL_DURATIONS))),
            images_removed: registered(&registry, IntCounter::with_opts(opts(names::IMAGES_REMOVED))),
            image_bytes_removed: registered(&registry, IntCounter::with_opts(opts(names::IMAGE_BYTES_REMOVED))),
            gates: registered(&registry, IntCounterVec::new(opts(names::GATES), &["result"])),
            rollouts: registered(&registry, IntCounterVec::new(opts(names::ROLLOUTS), &["result", "reason"])),
            rollout_duration: registered(
                &registry,
                HistogramVec::new(buckets(names::ROLLOUT_DURATION, &ROLLOUT_DURATIONS), &["result"]),
            ),
            events: registered(&registry, IntCounterVec::new(opts(names::EVENTS), &["severity", "reason"])),
            registry_inquiries: registered(
                &registry,
                IntCounterVec::new(opts(names::REGISTRY_INQUIRIES), &["repository", "result"]),
            ),
            probe_failures: registered(&registry, IntCounter::with_opts(opts(names::PROBE_FAILURES))),
            probes_unmade: registered(&registry, IntCounter::with_opts(opts(names::PROBES_UNMADE))),
            store_write_errors: registered(&registry, IntCounter::with_opts(opts(names::STORE_WRITE_ERRORS))),
            notifications: registered(
                &registry,
                IntCounterVec::new(opts(names::NOTIFICATIONS), &["receiver", "result"]),
            ),
            notifications_queued: registered(
                &registry,
                IntGaugeVec::new(opts(names::NOTIFICATIONS_QUEUED), &["receiver"]),
            ),
            registry,
        }
    }

    /// A pass was made and took this long.
    pub fn pass(&self, took: Span) {
        self.passes.inc();
        self.pass_duration.observe(seconds(took));
    }

    /// An action ended after this long. Pulls are also counted on their own.
    pub fn action(&self, call: &Call, result: ActionResult, took: Span) {
        self.actions.with_label_values(&[call_word(call), result.word()]).inc();
        if !matches!(call, Call::Pull { .. }) {
            self.action_duration.with_label_values(&[call_word(call)]).observe(seconds(took));
            return;
        }
        self.pulls.with_label_values(&[result.word()]).inc();
        if result == ActionResult::Success {
            self.pull_duration.observe(seconds(took));
        }
    }

    /// An image that nothing needed was removed; so many bytes are free again, at most.
    pub fn image_removed(&self, bytes: u64) {
        self.images_removed.inc();
        self.image_bytes_removed.inc_by(bytes);
    }

    /// Something happened. Rollouts are counted by what their events say, those that failed by the sort of failure.
    pub fn event(&self, event: &Event) {
        let severity = match event.severity {
            Severity::Normal => "normal",
            Severity::Warning => "warning",
        };
        self.events.with_label_values(&[severity, &event.reason]).inc();
        match event.reason.as_str() {
            "GatePassed" => self.gates.with_label_values(&["passed"]).inc(),
            "GateFailed" => self.gates.with_label_values(&["failed"]).inc(),
            _ => {}
        }
        if let Some(result) = rollout_result(&event.reason) {
            let reason = event.failure.map_or(event.reason.as_str(), |failure| failure.word());
            self.rollouts.with_label_values(&[result, reason]).inc();
        }
    }

    /// An event said that a rollout ended, which had taken this long.
    pub fn rollout(&self, event: &Event, took: Span) {
        if let Some(result) = rollout_result(&event.reason) {
            self.rollout_duration.with_label_values(&[result]).observe(seconds(took));
        }
    }

    /// A registry was asked about a repository that is followed.
    pub fn registry_asked(&self, repository: &str, result: ActionResult) {
        self.registry_inquiries.with_label_values(&[repository, result.word()]).inc();
    }

    /// A probe of ours failed.
    pub fn probe_failure(&self) {
        self.probe_failures.inc();
    }

    /// A check of ours could not be made.
    pub fn probe_unmade(&self) {
        self.probes_unmade.inc();
    }

    /// The state directory could not be written.
    pub fn store_write_error(&self) {
        self.store_write_errors.inc();
    }

    /// There is a receiver of notifications: its counts begin at 0, so that the first failure is an increase.
    pub fn receiver(&self, receiver: &str) {
        for result in NotificationResult::ALL {
            self.notifications.with_label_values(&[receiver, result.word()]).inc_by(0);
        }
        self.notifications_queued(receiver, 0);
    }

    /// A notification to a receiver came to its end.
    pub fn notification(&self, receiver: &str, result: NotificationResult) {
        self.notifications.with_label_values(&[receiver, result.word()]).inc();
    }

    /// So many notifications wait for a receiver.
    pub fn notifications_queued(&self, receiver: &str, count: usize) {
        self.notifications_queued.with_label_values(&[receiver]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Everything in Prometheus' text format: what was counted, and the view's gauges.
    pub fn render(&self, view: &View) -> Result<String, String> {
        let families = || -> Result<_, prometheus::Error> {
            let mut families = self.registry.gather();
            families.extend(gauges::of(view)?);
            families.extend(process::families(view.started_at)?);
            families.sort_by(|a, b| a.name().cmp(b.name()));
            let mut text = Vec::new();
            TextEncoder::new().encode(&families, &mut text)?;
            Ok(text)
        };
        let text = families().map_err(|error| format!("metrics cannot be rendered: {error}"))?;
        String::from_utf8(text).map_err(|_| "metrics are not UTF-8".into())
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// How a rollout ended, if an event of this reason says so.
fn rollout_result(reason: &str) -> Option<&'static str> {
    match reason {
        "RolloutComplete" => Some("complete"),
        "RolledBack" => Some("rolled_back"),
        "Stalled" => Some("stalled"),
        "RolloutFailed" => Some("failed"),
        "RolloutSuperseded" => Some("superseded"),
        _ => None,
    }
}

/// What a call does, as a label.
fn call_word(call: &Call) -> &'static str {
    match call {
        Call::CreateNetwork(_) => "create_network",
        Call::RemoveNetwork { .. } => "remove_network",
        Call::CreateVolume(_) => "create_volume",
        Call::Pull { .. } => "pull",
        Call::Build { .. } => "build",
        Call::RemoveImage { .. } => "remove_image",
        Call::CreateContainer(_) => "create",
        Call::Connect(_) => "connect",
        Call::Reconnect(_) => "reconnect",
        Call::Start { .. } => "start",
        Call::Stop(_) => "stop",
        Call::Restart(_) => "restart",
        Call::Pause { .. } => "pause",
        Call::Unpause { .. } => "unpause",
        Call::Remove { .. } => "remove",
        Call::Update { .. } => "update",
    }
}

fn opts((name, help): names::Named) -> Opts {
    Opts::new(name, help)
}

fn buckets((name, help): names::Named, buckets: &[f64]) -> HistogramOpts {
    HistogramOpts::new(name, help).buckets(buckets.to_vec())
}

fn registered<M: Collector + Clone + 'static>(registry: &Registry, metric: Result<M, prometheus::Error>) -> M {
    let metric = metric.expect("names and labels are constants, and valid");
    registry.register(Box::new(metric.clone())).expect("every name is registered once");
    metric
}

fn seconds(span: Span) -> f64 {
    span.0 as f64 / 1000.0
}
