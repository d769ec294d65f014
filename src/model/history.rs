//! What has been: the memory that survives a restart, one file per object. It decides nothing.
//!
//! If it is lost, no container is harmed: labels on the containers say which revision they belong to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::cron::CronJobHistory;
use super::failure::FailureReason;
use super::gate::GateRecord;
use super::image::Brought;
use super::job::{JobHistory, RemovedJobs};
use super::name::Key;
use super::observed::ContainerId;
use super::registry::Choice;
use super::revision::{Checkout, Contents, ImageId, RevisionId, TemplateHash};
use super::spec::Template;
use super::stopwatch::Stopwatch;
use super::time::Timestamp;
use super::wish::{Pin, Resolution};

/// The memory of all objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Deployments.
    pub deployments: BTreeMap<Key, DeploymentHistory>,
    /// Jobs.
    pub jobs: BTreeMap<Key, JobHistory>,
    /// CronJobs.
    pub cron_jobs: BTreeMap<Key, CronJobHistory>,
    /// Jobs that were removed because no manifest declares them any more.
    pub removed_jobs: RemovedJobs,
    /// Removals that a person has confirmed.
    pub confirmed: Confirmed,
    /// Images that Evenkeel has brought to the engine.
    pub images: Brought,
}

impl History {
    /// Whether any revision of a Deployment is remembered.
    pub fn knows(&self, deployment: &Key) -> bool {
        self.deployments.get(deployment).is_some_and(|known| !known.revisions.is_empty())
    }

    /// Whether nothing that is written has changed since `before` but what stopwatches show: what is lost with that is time
    /// that is counted again.
    pub fn is_merely_later(&self, before: &History) -> bool {
        let History { deployments, jobs, cron_jobs, removed_jobs, confirmed, images } = before;
        let same = |(key, known): (&Key, &DeploymentHistory)| {
            deployments.get(key).is_some_and(|before| known.without_watches() == before.without_watches())
        };
        self.deployments.len() == deployments.len()
            && self.deployments.iter().all(same)
            && self.jobs == *jobs
            && self.cron_jobs == *cron_jobs
            && self.removed_jobs == *removed_jobs
            && self.confirmed == *confirmed
            && self.images == *images
    }
}

/// Removals that a person has confirmed. An object leaves the set with the pass after it is gone, or when it is declared again.
pub type Confirmed = BTreeSet<Key>;

/// The memory of a Deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentHistory {
    /// The revisions, oldest first.
    pub revisions: Vec<Revision>,
    /// When its first revision came, however few of them are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// Where it stands between revisions.
    pub rollout: Rollout,
    /// What asked for the last rollout; none in what an older release wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<Begun>,
    /// The image that the newest template resolved to.
    pub resolution: Option<Resolution>,
    /// What its image policy has chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<Choice>,
    /// How often `rollout restart` was asked for; part of the revision.
    pub restarts: u64,
    /// Whether `rollout pause` holds it.
    pub paused: bool,
    /// Whether it was held in the last pass: paused, suspended or quiet. No time counts against what is held.
    #[serde(skip)]
    pub held: bool,
    /// The revision that `rollout undo` chose, or a rebuilt machine, until the manifest's template changes.
    pub pin: Option<Pin>,
    /// How many replicas it was to have when it last had all of them: with more, it is scaled and not healed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole: Option<u32>,
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
    /// How often replicas that are there had been restarted, by the engine or by us, when the last rollout completed: those of them
    /// that had been at all.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub restarted_before: BTreeMap<ContainerId, u32>,
    /// Since when each replica has been ready. Not written to disk.
    #[serde(skip)]
    pub ready_since: BTreeMap<ContainerId, Timestamp>,
    /// Replicas whose readiness was known at some time since the process began. Not written to disk.
    #[serde(skip)]
    pub judged: BTreeSet<ContainerId>,
    /// How the last run of each replica ended that was seen to end, of those that are started again: its exit code, and whether for
    /// want of memory. What runs again says nothing of it. Not written to disk.
    #[serde(skip)]
    pub ended: BTreeMap<ContainerId, (i64, bool)>,
    /// Replicas that were on their way out, came back, and have not got their names again: clients may still talk to them. Not
    /// written to disk.
    #[serde(skip)]
    pub came_back: BTreeSet<ContainerId>,
    /// Whether it was told that a check of a replica cannot be made, and none has been made since. Not written to disk: who
    /// starts the daemon anew without what it lacks is told again.
    #[serde(skip)]
    pub told_unmade: bool,
}

impl DeploymentHistory {
    fn without_watches(&self) -> Self {
        let mut known = self.clone();
        known.ready_since.clear();
        known.judged.clear();
        known.came_back.clear();
        known.ended.clear();
        known.told_unmade = false;
        known.held = false;
        match &mut known.rollout {
            Rollout::Progressing { waited, .. } | Rollout::RollingBack { waited, .. } => *waited = Stopwatch::default(),
            Rollout::Complete { monitored, .. } => *monitored = None,
            Rollout::New | Rollout::Stalled { .. } => {}
        }
        known
    }

    /// The revision that the manifest asks for, once its image is known.
    pub fn asked_for(&self) -> Option<RevisionId> {
        self.resolution.as_ref().and_then(Resolution::revision)
    }

    /// Whether the manifest asks for another revision than the one that is being reached or runs, and nobody chose that one.
    pub fn is_behind_its_manifest(&self) -> bool {
        self.pin.is_none() && self.asked_for().is_some_and(|wanted| self.rollout.revision() != Some(&wanted))
    }

    /// The revision that completed last, of those that are meant.
    pub fn newest_completed(&self, is_meant: impl Fn(&Revision) -> bool) -> Option<(Timestamp, &Revision)> {
        let completed = self.revisions.iter().filter(|revision| is_meant(revision));
        let completed = completed.filter_map(|revision| match revision.outcome {
            Outcome::Completed { at } => Some((at, revision)),
            Outcome::Pending | Outcome::Rejected { .. } | Outcome::Superseded { .. } => None,
        });
        completed.max_by_key(|(at, revision)| (*at, revision.number))
    }

    /// The revision that is asked for, by a person or else by the manifest, if it was rejected.
    pub fn rejected_wish(&self) -> Option<&Revision> {
        let Some(pin) = &self.pin else { return self.rejected() };
        self.revisions.iter().find(|revision| revision.id == *pin.chosen()).filter(|revision| revision.is_rejected())
    }

    /// The revision that the manifest asks for, if it was rejected.
    pub fn rejected(&self) -> Option<&Revision> {
        // Few have any, and which one is asked for takes a hash to tell.
        if !self.revisions.iter().any(Revision::is_rejected) {
            return None;
        }
        let wanted = self.asked_for()?;
        self.revisions.iter().find(|revision| revision.id == wanted).filter(|revision| revision.is_rejected())
    }
}

/// A revision of a Deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Revision {
    /// Counts up from 1; 0 for what was taken over.
    pub number: u64,
    /// Its id.
    pub id: RevisionId,
    /// The hash of its template.
    pub template_hash: TemplateHash,
    /// Whether it is what ran when the history was lost: its containers may stay and start again, but nobody knows what they were
    /// made from, so that no further one can be made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub taken_over: bool,
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
    #[serde(flatten)]
    pub commit: Option<Checkout>,
    /// When it was first seen.
    pub created_at: Timestamp,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it failed, if there was none to go back to: it is tried on all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// What its gates found, by their titles.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gates: BTreeMap<String, GateRecord>,
    /// Since when its whole release group was at rest with it: when the last member completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rested_at: Option<Timestamp>,
}

impl Revision {
    /// Whether it failed.
    pub fn is_rejected(&self) -> bool {
        matches!(self.outcome, Outcome::Rejected { .. })
    }

    /// Whether all its replicas have once been available, and nothing was held against it since.
    pub fn is_completed(&self) -> bool {
        matches!(self.outcome, Outcome::Completed { .. })
    }
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
        /// What sort of failure; none in what an older release wrote.
        failure: Option<FailureReason>,
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
        /// How much of the monitor time has gone by; none when it is over.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        monitored: Option<Stopwatch>,
    },
    /// On the way to a revision. It fails when nothing gets better for `progressDeadline`.
    Progressing {
        /// The revision to reach.
        to: RevisionId,
        /// When it began.
        started_at: Timestamp,
        /// How long nothing has got better.
        #[serde(default, skip_serializing_if = "Stopwatch::is_zero")]
        waited: Stopwatch,
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
        /// How long nothing has got better.
        #[serde(default, skip_serializing_if = "Stopwatch::is_zero")]
        waited: Stopwatch,
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

impl Rollout {
    /// The revision that is being reached or runs.
    pub fn revision(&self) -> Option<&RevisionId> {
        match self {
            Rollout::New => None,
            Rollout::Complete { revision, .. } | Rollout::Stalled { revision, .. } => Some(revision),
            Rollout::Progressing { to, .. } | Rollout::RollingBack { to, .. } => Some(to),
        }
    }

    /// Goes on after it was held: its time counts from `now`.
    pub fn go_on(&mut self, now: Timestamp) {
        match self {
            Rollout::New | Rollout::Stalled { .. } | Rollout::Complete { monitored: None, .. } => {}
            Rollout::Complete { monitored: Some(watch), .. }
            | Rollout::Progressing { waited: watch, .. }
            | Rollout::RollingBack { waited: watch, .. } => *watch = watch.held_until(now),
        }
    }
}

/// What asked for a rollout when it began. A revision may be rolled out more than once, each time for another reason: its own
/// commit is the one that first brought it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Begun {
    /// The revision that was to be reached.
    pub revision: RevisionId,
    /// The commit that the source was at; none where that is in no git checkout, or a person chose the revision.
    #[serde(flatten)]
    pub commit: Option<Checkout>,
    /// Whether a person chose it, against its manifest.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub chosen: bool,
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
    /// What the last one was for, if not that it had ended.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Span;

    fn history(rollout: Rollout) -> History {
        let known = DeploymentHistory { rollout, ..DeploymentHistory::default() };
        let key = Key::try_from("deployment/shop/web".to_string()).unwrap();
        History { deployments: [(key, known)].into(), ..History::default() }
    }

    fn progressing(waited: u64, available: u32) -> History {
        history(Rollout::Progressing {
            to: RevisionId("r".into()),
            started_at: Timestamp(1),
            waited: Span::secs(waited).into(),
            available,
            stepped_at: None,
            before: 0,
            excused_at: None,
            failed_at: None,
        })
    }

    #[test]
    fn what_a_stopwatch_shows_is_no_reason_to_hold_anything_back() {
        assert!(progressing(30, 1).is_merely_later(&progressing(15, 1)));
        assert!(!progressing(30, 2).is_merely_later(&progressing(15, 1)));
        let complete = |monitored| history(Rollout::Complete { revision: RevisionId("r".into()), monitored });
        assert!(complete(None).is_merely_later(&complete(Some(Span::secs(59).into()))));
        assert!(!complete(None).is_merely_later(&progressing(15, 1)));
    }

    #[test]
    fn what_older_versions_wrote_is_read_and_they_read_what_is_written() {
        let older = r#"{"rollout":{"progressing":{"to":"r","started_at":1,"available":1,"stepped_at":null}}}"#;
        let known: DeploymentHistory = serde_json::from_str(older).unwrap();
        let Rollout::Progressing { waited, .. } = known.rollout else { panic!("{:?}", known.rollout) };
        assert!(waited.is_zero());
        let older = r#"{"rollout":{"complete":{"revision":"r"}}}"#;
        let known: DeploymentHistory = serde_json::from_str(older).unwrap();
        assert_eq!(known.rollout, Rollout::Complete { revision: RevisionId("r".into()), monitored: None });
        // A field beside those that they know.
        let written = serde_json::to_value(progressing(15, 1).deployments.into_values().next()).unwrap();
        assert_eq!(written["rollout"]["progressing"]["waited"], "15s");
    }
}
