//! The release log: what was rolled out, taken back and asked for, by whom. Plain data; nobody decides by it.

use serde::{Deserialize, Serialize};

use super::name::Key;
use super::revision::TemplateHash;
use super::status::RevisionSummary;
use super::time::Timestamp;

/// How many entries are kept in memory and shown, the newest ones.
pub const RELEASES_MAX: usize = 5_000;

/// Who began what no person asked for and no commit brought: somebody changed a manifest.
pub const MANIFEST: &str = "manifest";

/// Who began what an image policy has found in its registry.
pub const IMAGE_POLICY: &str = "image policy";

/// Who chose a revision, where the log has lost who it was.
pub const SOMEBODY: &str = "a person";

/// What a person asked for: a rollout of anything else is not of that wish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Wanted {
    /// Replicas of this template.
    Template(TemplateHash),
    /// Replicas with this image, as the manifest writes it.
    Image(String),
}

/// One entry of the release log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// The same for the same happening however often it is written; the last entry with an id is the one that counts.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// What it was done to.
    pub object: Key,
    /// What was done, or what came of it.
    pub step: Step,
    /// Who: the user at the socket, `commit 1a2b3c4`, [`IMAGE_POLICY`], [`MANIFEST`], or [`SOMEBODY`]. What comes of a rollout is told of who began it.
    pub by: String,
    /// The revision that it is about; none for what has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<RevisionSummary>,
    /// The revision that was gone back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_to: Option<RevisionSummary>,
    /// What a person asked for, to know the rollout that comes of it; none for what none comes of, or if an older release wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<Wanted>,
    /// Why, or what was asked for, for people; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What an entry is of. The words are those of events, where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// A rollout began.
    RolloutStarted,
    /// All replicas are of the revision, and available.
    RolloutComplete,
    /// The revision failed, and the one before is brought back.
    RollbackStarted,
    /// The one before is back.
    RolledBack,
    /// The revision failed and there is none to go back to; it is tried on.
    RolloutFailed,
    /// It goes neither forward nor back until a person acts.
    Stalled,
    /// Something else came before it was over.
    Superseded,
    /// A person paused it.
    Paused,
    /// A person let it go on.
    Resumed,
    /// A person asked for new replicas.
    RestartRequested,
    /// A person asked to go back.
    UndoRequested,
    /// A person asked to try again.
    RetryRequested,
    /// A person asked for a run of a CronJob.
    RunRequested,
    /// A person changed the image by `set image`.
    ImageSet,
    /// A person confirmed a removal.
    RemovalConfirmed,
    /// What a person asked for could not be written down, and was not done.
    NotDone,
}

impl Step {
    /// Whether it tells how a rollout stands, and is not what a person asked for.
    pub fn is_of_a_rollout(self) -> bool {
        match self {
            Step::RolloutStarted
            | Step::RolloutComplete
            | Step::RollbackStarted
            | Step::RolledBack
            | Step::RolloutFailed
            | Step::Stalled
            | Step::Superseded => true,
            Step::Paused
            | Step::Resumed
            | Step::RestartRequested
            | Step::UndoRequested
            | Step::RetryRequested
            | Step::RunRequested
            | Step::ImageSet
            | Step::RemovalConfirmed
            | Step::NotDone => false,
        }
    }

    /// Whether it is a person's wish that a rollout begins of.
    pub fn begins_a_rollout(self) -> bool {
        matches!(self, Step::RestartRequested | Step::UndoRequested | Step::RetryRequested | Step::ImageSet)
    }
}
