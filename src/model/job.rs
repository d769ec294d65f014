//! What has been of a Job: its revisions and how each ended.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::name::Key;
use super::observed::Exit;
use super::registry::Choice;
use super::revision::{Checkout, Contents, ImageId, RevisionId, TemplateHash};
use super::spec::Template;
use super::time::Timestamp;
use super::wish::Resolution;

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
    #[serde(flatten)]
    pub commit: Option<Checkout>,
    /// When it was first seen.
    pub created_at: Timestamp,
    /// The attempt under way or last made, from 0.
    pub attempt: u32,
    /// Where it stands.
    pub state: JobState,
    /// Whether all that is known of it is what its container tells, because the history was lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub taken_over: bool,
    /// The attempts before that, oldest first: the last of them, and no more than their logs may take.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<FailedAttempt>,
}

/// The most attempts that are remembered beside the last one, and the most bytes of all their log lines.
const EARLIER_MAX: usize = 10;
const EARLIER_LOG_MAX: usize = 16 << 10;

/// An attempt that failed and was followed by another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedAttempt {
    /// Its number, from 0.
    pub attempt: u32,
    /// When it failed.
    pub at: Timestamp,
    /// Why, for people.
    pub reason: String,
    /// Its last log lines.
    pub last_log: Vec<String>,
}

impl FailedAttempt {
    fn log_size(&self) -> usize {
        self.last_log.iter().map(|line| line.len() + 1).sum()
    }
}

impl JobRun {
    /// Remembers how the present attempt failed. The oldest attempts go first: their logs, when all of them say too much, and
    /// then they themselves.
    pub fn note_failure(&mut self, at: Timestamp, reason: String, last_log: Vec<String>) {
        self.earlier.push(FailedAttempt { attempt: self.attempt, at, reason, last_log });
        let surplus = self.earlier.len().saturating_sub(EARLIER_MAX);
        self.earlier.drain(..surplus);
        let mut size: usize = self.earlier.iter().map(FailedAttempt::log_size).sum();
        for attempt in &mut self.earlier {
            while size > EARLIER_LOG_MAX && !attempt.last_log.is_empty() {
                size -= attempt.last_log.remove(0).len() + 1;
            }
        }
    }

    /// Makes another attempt after one that failed or whose end nobody knows.
    pub fn try_again(&mut self) {
        if let JobState::Failed { at, reason, last_log, .. } = &self.state {
            self.note_failure(*at, reason.clone(), last_log.clone());
        }
        self.attempt = self.attempt.saturating_add(1);
        self.state = JobState::Pending;
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> JobRun {
        JobRun {
            revision: RevisionId("r".into()),
            template_hash: TemplateHash("t".into()),
            template: serde_json::from_value(serde_json::json!({"image": "web:1"})).unwrap(),
            contents: Contents::default(),
            image: ImageId("sha256:1".into()),
            digest: None,
            commit: None,
            created_at: Timestamp(0),
            attempt: 0,
            state: JobState::Pending,
            taken_over: false,
            earlier: Vec::new(),
        }
    }

    fn failed(last_log: Vec<String>) -> JobState {
        JobState::Failed { at: Timestamp(1), reason: "exited with code 1".into(), exit: None, last_log }
    }

    #[test]
    fn the_last_attempts_are_remembered_with_their_logs() {
        let mut run = run();
        for attempt in 0..15 {
            run.state = failed(vec![format!("attempt {attempt}")]);
            run.try_again();
        }
        assert_eq!((run.attempt, run.earlier.len()), (15, EARLIER_MAX));
        assert_eq!((run.earlier[0].attempt, run.earlier[9].last_log.as_slice()), (5, &["attempt 14".to_string()][..]));
    }

    #[test]
    fn however_much_they_wrote_it_is_bounded_and_the_newest_is_kept() {
        let mut run = run();
        for _ in 0..10 {
            run.state = failed(vec!["x".repeat(1000); 20]);
            run.try_again();
        }
        let size: usize = run.earlier.iter().map(FailedAttempt::log_size).sum();
        assert!(size <= EARLIER_LOG_MAX, "{size} bytes");
        assert_eq!(run.earlier[9].last_log.len(), 16, "all that there is room for");
    }

    #[test]
    fn an_end_that_nobody_saw_leaves_nothing_to_remember() {
        let mut run = JobRun { state: JobState::Unknown { at: Timestamp(1) }, ..run() };
        run.try_again();
        assert_eq!((run.attempt, &run.state, run.earlier.len()), (1, &JobState::Pending, 0));
    }
}
