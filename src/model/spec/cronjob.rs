//! The CronJob manifest.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::template::Template;
use crate::model::name::Name;
use crate::model::time::Span;

/// A container that runs to completion at the times of a schedule: backups, clean-ups, reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CronJobSpec {
    /// When it runs: minute, hour, day of the month, month and day of the week, such as `30 2 * * *`, or one of
    /// `@hourly`, `@daily`, `@weekly`, `@monthly` and `@yearly`. A time of day that the change to daylight saving skips
    /// comes at the first moment after the gap; one that the change back repeats comes once.
    #[schemars(extend("format" = "cron"))]
    pub schedule: String,
    /// The time zone of the schedule, as the IANA database names it: `Europe/Berlin`. Default: UTC (Kubernetes: the
    /// controller's).
    #[serde(default = "utc")]
    #[schemars(extend("format" = "time-zone"))]
    pub time_zone: String,
    /// What happens when a time comes while a run is under way. Default: Forbid (Kubernetes: Allow), so that two backups
    /// never write to the same place.
    #[serde(default)]
    pub concurrency_policy: ConcurrencyPolicy,
    /// A run that could not begin this long after its time is skipped. Default: no limit. However many times were missed, at
    /// most one run makes up for them: the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starting_deadline: Option<Span>,
    /// Whether to begin no runs at their times; one that is under way goes on, and `evenkeel run-now` still begins one. Times
    /// that pass meanwhile are not made up for (Kubernetes: they are). Default: false.
    #[serde(default)]
    pub suspend: bool,
    /// Deployments of its namespace that are kept quiet while a run is under way, such as a program whose files are copied:
    /// each by its name, or as `{deployment: api, by: Pause}`. Their replicas lose their name and drain as at an update, are
    /// stopped or paused, and come back when the run has ended; nothing serves them meanwhile. One that is being updated is
    /// waited for. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quiesce: Vec<Quiesce>,
    /// How many runs that ended well are kept, with their containers and logs. Default: 3.
    #[serde(default = "three")]
    #[schemars(range(max = 100))]
    pub successful_runs_history_limit: u32,
    /// How many runs that failed are kept, with their containers and logs. Default: 1. The newest run is kept in any case.
    #[serde(default = "one")]
    #[schemars(range(max = 100))]
    pub failed_runs_history_limit: u32,
    /// How often a failed run is tried again. Default: 0 (Kubernetes: 6).
    #[serde(default)]
    #[schemars(range(max = 100))]
    pub backoff_limit: u32,
    /// The longest that one try of a run may take; then it is stopped and counts as failed. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_deadline: Option<Span>,
    /// The container to run. Its restart policy is always Never. A change counts for the next run: one that is under way is
    /// left alone.
    pub template: Arc<Template>,
}

/// A Deployment that a run wants quiet: its name, or its name and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Quiesce {
    /// The Deployment's name: its replicas are stopped.
    Name(Name),
    /// The Deployment's name and how it is made quiet.
    Detailed(QuiesceDetails),
}

/// A Deployment that a run wants quiet, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QuiesceDetails {
    /// The Deployment's name.
    pub deployment: Name,
    /// Whether its replicas are stopped or paused. Default: Stop.
    #[serde(default)]
    pub by: QuiesceBy,
}

/// How a Deployment is made quiet. Where several runs want it quiet at a time, it is stopped if one of them asks for that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum QuiesceBy {
    /// Its replicas are stopped, as at an update, and started again: all that the program held in memory is written, or lost.
    #[default]
    Stop,
    /// Its replicas are paused (`docker pause`), and go on where they were: nothing is started anew, what the program holds in
    /// memory is not written, and its connections stay open without an answer.
    Pause,
}

impl Quiesce {
    /// The Deployment's name.
    pub fn deployment(&self) -> &Name {
        match self {
            Quiesce::Name(name) => name,
            Quiesce::Detailed(details) => &details.deployment,
        }
    }

    /// How it is made quiet.
    pub fn by(&self) -> QuiesceBy {
        match self {
            Quiesce::Name(_) => QuiesceBy::Stop,
            Quiesce::Detailed(details) => details.by,
        }
    }
}

/// What happens when a time comes while a run is under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConcurrencyPolicy {
    /// They run side by side, at most ten of them.
    Allow,
    /// The new one is skipped.
    #[default]
    Forbid,
    /// The one that is under way is stopped, then the new one begins.
    Replace,
}

fn utc() -> String {
    "UTC".into()
}

fn one() -> u32 {
    1
}

fn three() -> u32 {
    3
}
