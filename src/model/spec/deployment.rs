//! The Deployment manifest.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::gate::Gates;
use super::template::Template;
use crate::model::name::Name;
use crate::model::time::Span;

/// Replicas of one container template, how they are updated, checked and rolled back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeploymentSpec {
    /// How many replicas run. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(max = 1000))]
    pub replicas: u32,
    /// How replicas are replaced by an update.
    #[serde(default)]
    pub strategy: Strategy,
    /// How long a replica must be ready before it counts as available. Default: 10s (Kubernetes: 0).
    #[serde(default = "ten_seconds")]
    pub min_ready: Span,
    /// Without progress for this long, a revision has failed. Default: 5m (Kubernetes: 10m).
    #[serde(default = "five_minutes")]
    pub progress_deadline: Span,
    /// What happens to a revision that fails. Default: Rollback (Kubernetes leaves it as it is).
    #[serde(default)]
    pub on_failure: OnFailure,
    /// For so long after a rollout is complete its revision still has to prove itself: if its replicas crash again and
    /// again, or none of them is ready any more, it goes back. Later trouble is healed. Default: 1m.
    #[serde(default = "one_minute")]
    pub monitor: Span,
    /// What has to go well before and after the rollout of a new revision.
    #[serde(default, skip_serializing_if = "Gates::is_empty")]
    pub gates: Gates,
    /// The release group that it belongs to, with every other Deployment of its namespace that names the same one: when a
    /// new revision of one fails and goes back, so do the new revisions of the others. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_group: Option<Name>,
    /// How many old revisions are kept for `rollout undo`. Default: 10.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 100))]
    pub revision_history_limit: u32,
    /// The container of each replica.
    #[schemars(extend("oneOf" = [{"required": ["image"]}, {"required": ["build"]}]))]
    pub template: Arc<Template>,
    /// Whether to leave it alone: nothing is started, stopped or changed until this is false. Default: false.
    #[serde(default)]
    pub suspend: bool,
}

/// How replicas are replaced by an update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Strategy {
    /// RollingUpdate or Recreate. Default: RollingUpdate.
    #[serde(rename = "type")]
    pub kind: StrategyType,
    /// How many replicas may run beyond `replicas` during an update; one that has been told to stop no longer counts, as
    /// in Kubernetes. Default: 1 (start-first).
    #[schemars(range(max = 1000))]
    pub max_surge: u32,
    /// How many replicas may be missing during an update. Default: 0. Stop-first is `maxSurge: 0, maxUnavailable: 1`.
    #[schemars(range(max = 1000))]
    pub max_unavailable: u32,
    /// The pause between a new replica becoming available and the next step. Default: 0s.
    pub delay: Span,
}

impl Default for Strategy {
    fn default() -> Self {
        Self { kind: StrategyType::RollingUpdate, max_surge: 1, max_unavailable: 0, delay: Span::ZERO }
    }
}

/// The kinds of update.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StrategyType {
    /// Replicas are replaced a few at a time, within `maxSurge` and `maxUnavailable`.
    #[default]
    RollingUpdate,
    /// All old replicas stop before new ones start.
    Recreate,
}

/// What happens to a revision that fails its rollout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnFailure {
    /// Go back to the newest revision that completed.
    #[default]
    Rollback,
    /// Stop changing and wait for a person; what is ready stays, and replicas that stopped first stay stopped.
    Pause,
}

fn one() -> u32 {
    1
}
fn ten() -> u32 {
    10
}
fn ten_seconds() -> Span {
    Span::secs(10)
}
fn one_minute() -> Span {
    Span::secs(60)
}
fn five_minutes() -> Span {
    Span::secs(300)
}
