//! Revisions as people see them: part of the view.

use serde::{Deserialize, Serialize};

use super::declaration::Declaration;
use super::job::FailedAttempt;
use super::revision::{Checkout, Contents};
use super::time::Timestamp;

/// A revision of a Deployment, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevisionView {
    /// Its number, from 1.
    pub number: u64,
    /// Its id.
    pub id: String,
    /// Its image as the manifest wrote it.
    pub image: String,
    /// Its image with the registry's digest, or the image's id.
    pub digest: String,
    /// What became of it.
    pub outcome: OutcomeWord,
    /// Why it was rejected; empty otherwise.
    pub reason: String,
    /// The last log lines of the replica that failed.
    pub last_log: Vec<String>,
    /// The commit that its source was at when it was first seen; none where that is not in a git checkout.
    #[serde(flatten)]
    pub commit: Option<Checkout>,
    /// When it was first seen.
    pub created_at: Timestamp,
    /// Whether it is the one that is being run or reached.
    pub current: bool,
    /// Whether it is the one that the manifest (or `rollout undo`) asks for. A rejected one stays wanted, and is not run.
    pub wanted: bool,
    /// Whether it is the one that the manifest asks for, whatever was chosen in its place.
    #[serde(default)]
    pub declared: bool,
    /// What its gates found, as far as its rollout came to them.
    #[serde(default)]
    pub gates: Vec<GateView>,
}

/// What a revision was made of. Of ConfigMaps and Secrets it has the ids of their contents and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevisionParts {
    /// Its number, from 1.
    pub number: u64,
    /// Its id.
    pub id: String,
    /// When it was first seen.
    pub created_at: Timestamp,
    /// The commit that its source was at then; none where that is not in a git checkout.
    #[serde(flatten)]
    pub commit: Option<Checkout>,
    /// Its image with the registry's digest, or the image's id.
    pub digest: String,
    /// How often `rollout restart` had been asked for.
    pub restarts: u64,
    /// Its template, as the manifest wrote it but for variables and defaults.
    pub template: Declaration,
    /// The contents that it uses, by `configmap/NAME` or `secret/NAME`.
    pub contents: Contents,
    /// Whether it is what ran when the history was lost, and nothing else here is known of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub taken_over: bool,
}

/// What became of a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutcomeWord {
    /// Neither completed nor failed yet.
    Pending,
    /// All its replicas became available.
    Completed,
    /// It failed its rollout and is not tried again.
    Rejected,
    /// A newer revision came before it completed.
    Superseded,
}

/// One gate of a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GateView {
    /// What it is: `job migrate`, `GET /health afterwards`.
    pub gate: String,
    /// How it stands.
    pub result: GateWord,
    /// When it ended; when it began, while it has not.
    pub at: Timestamp,
    /// Why the revision cannot pass; empty otherwise.
    pub reason: String,
    /// The last log lines of its Job, or of the replica that failed the check.
    pub last_log: Vec<String>,
    /// The attempts of its Job before the last one, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<FailedAttempt>,
}

/// How a gate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum GateWord {
    /// It is under way.
    Running,
    /// It went well.
    Passed,
    /// It did not.
    Failed,
}

/// A revision of a Job: it runs once, in as many attempts as it takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobRunView {
    /// Its id.
    pub id: String,
    /// Its image as the manifest wrote it.
    pub image: String,
    /// Its image with the registry's digest, or the image's id.
    pub digest: String,
    /// The commit that its source was at when it was first seen; none where that is not in a git checkout.
    #[serde(flatten)]
    pub commit: Option<Checkout>,
    /// When it was first seen.
    pub created_at: Timestamp,
    /// What became of it.
    pub result: RunWord,
    /// The attempt under way or last made, from 0.
    pub attempt: u32,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// How it ended.
    pub exit_code: Option<i64>,
    /// Why it failed; empty unless it did.
    pub reason: String,
}

/// A run of a CronJob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunView {
    /// What it is called: `20260329-010000`.
    pub id: String,
    /// The time that it is for.
    pub scheduled_at: Timestamp,
    /// Whether a person asked for it, outside of the schedule.
    pub by_hand: bool,
    /// Its image as the manifest wrote it; empty while it is not known, or not by an older daemon.
    #[serde(default)]
    pub image: String,
    /// Its image with the registry's digest, or the image's id; empty as well.
    #[serde(default)]
    pub digest: String,
    /// The commit that its source was at when it began; none where that is not in a git checkout.
    #[serde(flatten)]
    pub commit: Option<Checkout>,
    /// What became of it.
    pub result: RunWord,
    /// The attempt under way or last made, from 0.
    pub attempt: u32,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// How it ended.
    pub exit_code: Option<i64>,
    /// Why it failed; empty unless it did.
    pub reason: String,
    /// Its last log lines.
    pub last_log: Vec<String>,
}

/// What became of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunWord {
    /// It has not begun.
    Waiting,
    /// It runs.
    Running,
    /// It failed and is tried again later.
    Retrying,
    /// It exited with 0.
    Succeeded,
    /// It failed for good.
    Failed,
    /// It was stopped, because a newer run took its place (`concurrencyPolicy: Replace`).
    Replaced,
    /// Its container vanished before the result was seen.
    Unknown,
}

impl RunWord {
    /// Whether nothing more comes of it.
    pub fn is_over(self) -> bool {
        match self {
            RunWord::Succeeded | RunWord::Failed | RunWord::Replaced | RunWord::Unknown => true,
            RunWord::Waiting | RunWord::Running | RunWord::Retrying => false,
        }
    }
}
