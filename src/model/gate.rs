//! What has been of a revision's gates: what each found, and the attempts on the way to that.

use serde::{Deserialize, Serialize};

use super::job::FailedAttempt;
use super::time::Timestamp;

/// How it stands with one gate of a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GateRecord {
    /// When the rollout came to it.
    pub asked_at: Timestamp,
    /// What it found; none while it is under way.
    pub result: Option<GateResult>,
    /// The attempt of its Job that failed, after which a person asked for another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again_after: Option<u32>,
    /// The attempts of its Job before the last one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<FailedAttempt>,
}

impl GateRecord {
    /// Whether it went well.
    pub fn is_passed(&self) -> bool {
        self.result.as_ref().is_some_and(|result| result.failure.is_none())
    }
}

/// What a gate found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GateResult {
    /// When.
    pub at: Timestamp,
    /// Why the revision cannot pass; none if it can.
    pub failure: Option<String>,
    /// The last log lines of its Job.
    pub last_log: Vec<String>,
}
