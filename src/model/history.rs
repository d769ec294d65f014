//! What has been: the memory that survives a restart, one file per object. It decides nothing.
//!
//! If it is lost, no container is harmed: labels on the containers say which revision they belong to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::cron::CronJobHistory;
use super::name::Key;
use super::observed::{ContainerId, Exit};
use super::revision::{Commit, Contents, ImageId, RevisionId, TemplateHash, revision_id};
use super::spec::Template;
use super::time::Timestamp;

/// The memory of all objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Deployments.
    pub deployments: BTreeMap<Key, DeploymentHistory>,
    /// Jobs.
    pub jobs: BTreeMap<Key, JobHistory>,
    /// CronJobs.
    pub cron_jobs: BTreeMap<Key, CronJobHistory>,
    /// Removals that a person has confirmed.
    pub confirmed: Confirmed,
}

/// Removals that a person has confirmed. An object leaves the set when it is gone, or declared again.
pub type Confirmed = BTreeSet<Key>;

/// The memory of a Deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentHistory {
    /// The revisions, oldest first.
    pub revisions: Vec<Revision>,
    /// Where it stands between revisions.
    pub rollout: Rollout,
    /// The image that the newest template resolved to.
    pub resolution: Option<Resolution>,
    /// How often `rollout restart` was asked for; part of the revision.
    pub restarts: u64,
    /// Whether `rollout pause` holds it.
    pub paused: bool,
    /// The revision that `rollout undo` chose, or a rebuilt machine, until the manifest's template changes.
    pub pin: Option<Pin>,
    /// Whether its replicas are stopped for a run of a CronJob.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub quiet: bool,
    /// When that run had ended, until they serve again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub woken_at: Option<Timestamp>,
    /// Replicas on their way out.
    pub retiring: BTreeMap<ContainerId, Retirement>,
    /// Restarts by us (liveness, failed starts), per container.
    pub restarted: BTreeMap<ContainerId, Restarts>,
    /// Since when each replica has been ready. Not written to disk.
    #[serde(skip)]
    pub ready_since: BTreeMap<ContainerId, Timestamp>,
    /// Replicas whose readiness was known at some time since the process began. Not written to disk.
    #[serde(skip)]
    pub judged: BTreeSet<ContainerId>,
}

/// A revision of a Deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Revision {
    /// Counts up from 1.
    pub number: u64,
    /// Its id.
    pub id: RevisionId,
    /// The hash of its template.
    pub template_hash: TemplateHash,
    /// Its template, for going back to it.
    pub template: Arc<Template>,
    /// The contents that it uses.
    pub contents: Contents,
    /// How many restarts had been asked for.
    #[serde(default)]
    pub restarts: u64,
    /// Its image.
    pub image: ImageId,
    /// Its image with the registry's digest, `repository@sha256:…`, for pulling it again.
    pub digest: Option<String>,
    /// The commit that its source was at when it was first seen; none where that is not in a git checkout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<Commit>,
    /// When it was first seen.
    pub created_at: Timestamp,
    /// What became of it.
    pub outcome: Outcome,
    /// What its gates found, by their titles.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gates: BTreeMap<String, GateRecord>,
    /// When its whole release group came to rest with it, last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rested_at: Option<Timestamp>,
}

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

/// What became of a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// Neither completed nor failed yet.
    Pending,
    /// All replicas became available.
    Completed {
        /// When.
        at: Timestamp,
    },
    /// It failed its rollout and is not tried again.
    Rejected {
        /// When.
        at: Timestamp,
        /// Why, for people.
        reason: String,
        /// The last log lines of the replica that failed.
        last_log: Vec<String>,
    },
    /// A newer revision came before it completed.
    Superseded {
        /// When.
        at: Timestamp,
    },
}

/// Where a Deployment stands between revisions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Rollout {
    /// Nothing was ever started: no revision exists yet.
    #[default]
    New,
    /// The revision is complete; deviations from it are healed.
    Complete {
        /// The revision that runs.
        revision: RevisionId,
    },
    /// On the way to a revision. It fails when nothing gets better for `progressDeadline`.
    Progressing {
        /// The revision to reach.
        to: RevisionId,
        /// When it began.
        started_at: Timestamp,
        /// When something last got better. Not written to disk: a deadline counts from when the controller began to
        /// watch at the earliest.
        #[serde(skip)]
        progress_at: Timestamp,
        /// The most updated replicas that were available at once; more is progress.
        available: u32,
        /// When the last new replica became available; the next step waits `delay` from here.
        stepped_at: Option<Timestamp>,
        /// How many other replicas were available when it began: as many stay until new ones have taken over.
        #[serde(default)]
        before: u32,
        /// When those others failed as well, last: so long nothing is this revision's fault.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        excused_at: Option<Timestamp>,
        /// When it failed and there was none to go back to, first: it is tried on, and told once.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failed_at: Option<Timestamp>,
    },
    /// On the way back to a revision that completed before.
    RollingBack {
        /// The revision to go back to.
        to: RevisionId,
        /// The revision that failed.
        from: RevisionId,
        /// When it began.
        started_at: Timestamp,
        /// When something last got better. Not written to disk either.
        #[serde(skip)]
        progress_at: Timestamp,
        /// The most replicas of `to` that were available at once.
        available: u32,
    },
    /// Neither forward nor back works, or `onFailure: Pause`: what is ready stays, nothing changes until a person acts.
    Stalled {
        /// The revision that was being reached for.
        revision: RevisionId,
        /// When.
        at: Timestamp,
        /// Why, for people.
        reason: String,
    },
}

/// The image that a template resolved to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resolution {
    /// The template.
    pub template: TemplateHash,
    /// When this template was first seen; a policy of Always wants a pull after this.
    pub seen_at: Timestamp,
    /// The image, once known.
    pub image: Option<ImageId>,
}

impl Resolution {
    /// The revision that the manifest asks for, once its image is known.
    pub fn revision(&self) -> Option<RevisionId> {
        self.image.as_ref().map(|image| revision_id(&self.template, image))
    }
}

/// The revision that a person chose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pin {
    /// The revision.
    pub revision: RevisionId,
    /// The manifest's template at that time; another one ends the pin.
    pub template: TemplateHash,
    /// Whether it ends with its rollout: a restart in place of a rejected revision chooses nothing for good.
    #[serde(default)]
    pub lapses: bool,
}

/// A replica on its way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retirement {
    /// Why, for people.
    pub reason: String,
    /// Whether it could be reached by name when it was chosen, so that it must drain.
    pub drain: bool,
    /// When its name was seen to be gone; the drain counts from here.
    pub unnamed_at: Option<Timestamp>,
    /// Whether its stop was asked for.
    #[serde(default)]
    pub stopping: bool,
}

/// Restarts of a container by us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Restarts {
    /// How many.
    pub count: u32,
    /// When the last one was decided.
    pub at: Timestamp,
}

/// The memory of a Job: the newest revision and the one before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JobHistory {
    /// Runs, oldest first; the last one is the newest revision's.
    pub runs: Vec<JobRun>,
    /// The image that the newest template resolved to.
    pub resolution: Option<Resolution>,
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
