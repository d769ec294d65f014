//! What has been of a Job: its revisions and how each ended.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::history::Resolution;
use super::name::Key;
use super::observed::Exit;
use super::registry::Choice;
use super::revision::{Commit, Contents, ImageId, RevisionId, TemplateHash};
use super::spec::Template;
use super::time::Timestamp;

/// The memory of a Job: the newest revision and the one before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JobHistory {
    /// Runs, oldest first; the last one is the newest revision's.
    pub runs: Vec<JobRun>,
    /// The image that the newest template resolved to.
    pub resolution: Option<Resolution>,
    /// What its image policy has chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<Choice>,
}

/// What is remembered of Jobs that were removed.
pub type RemovedJobs = BTreeMap<Key, RemovedJob>;

/// A Job that was removed. A manifest that is away for a moment (a checkout, a file that is written anew) and comes back
/// unchanged must not run a migration twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RemovedJob {
    /// When nothing of it was left.
    pub at: Timestamp,
    /// What had been of it.
    pub history: JobHistory,
}

/// One revision of a Job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobRun {
    /// Its id.
    pub revision: RevisionId,
    /// The hash of its template.
    pub template_hash: TemplateHash,
    /// Its template.
    pub template: Arc<Template>,
    /// The contents that it uses.
    pub contents: Contents,
    /// Its image.
    pub image: ImageId,
    /// Its image with the registry's digest, `repository@sha256:…`; none where no registry has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The commit that its source was at when it was first seen; none where that is not in a git checkout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<Commit>,
    /// When it was first seen.
    pub created_at: Timestamp,
    /// The attempt under way or last made, from 0.
    pub attempt: u32,
    /// Where it stands.
    pub state: JobState,
}

/// Where a revision of a Job stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum JobState {
    /// Its container may be created; it has not been started.
    Pending,
    /// Starting it was decided (and written down first): from here on it may have run.
    Started {
        /// When.
        at: Timestamp,
    },
    /// It failed and is tried again at a later time.
    Retrying {
        /// When it failed.
        at: Timestamp,
    },
    /// It ran and exited with 0.
    Succeeded {
        /// How it ended.
        exit: Exit,
        /// Its last log lines.
        last_log: Vec<String>,
    },
    /// It failed for good.
    Failed {
        /// When.
        at: Timestamp,
        /// Why, for people.
        reason: String,
        /// How it ended, if it ran.
        #[serde(default)]
        exit: Option<Exit>,
        /// Its last log lines.
        last_log: Vec<String>,
    },
    /// Its container vanished before the result was seen; it is not run again unasked.
    Unknown {
        /// When that was noticed.
        at: Timestamp,
    },
}

impl JobState {
    /// Whether nothing more comes of it.
    pub fn is_over(&self) -> bool {
        match self {
            JobState::Succeeded { .. } | JobState::Failed { .. } | JobState::Unknown { .. } => true,
            JobState::Pending | JobState::Started { .. } | JobState::Retrying { .. } => false,
        }
    }
}
