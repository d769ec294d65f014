//! What the release log says beside rollouts: what Jobs came to, which images could not be built, and manifests that nothing was
//! applied from. Like the rest of the log it decides nothing, and goes by how things stand.
//!
//! Runs of CronJobs are not in it: they come again and again, and would drive the releases out. `describe` has them.

use std::collections::BTreeMap;

use super::Reconciler;
use super::releases::short;
use crate::engine::Engine;
use crate::model::action::build_target;
use crate::model::history::History;
use crate::model::job::{JobRun, JobState};
use crate::model::last_good::SourceName;
use crate::model::name::Key;
use crate::model::observed::{Failure, Fault};
use crate::model::release::{MANIFEST, Release, Step, Subject};
use crate::model::revision::Checkout;
use crate::model::status::RevisionSummary;
use crate::model::text::last_word;
use crate::model::time::Timestamp;
use crate::model::view::SourceState;
use crate::plan;
use crate::probe::Dial;

/// What stands where there is none of it.
const NONE: Release = Release {
    id: String::new(),
    at: Timestamp(0),
    object: Subject::Source(SourceName { dir: String::new(), namespace: None }),
    step: Step::NotDone,
    by: String::new(),
    revision: None,
    back_to: None,
    wanted: None,
    reason: String::new(),
};

impl<E: Engine, D: Dial> Reconciler<E, D> {
    /// Logs which Jobs have begun and ended. What had ended before there was an entry of it is no news, unless it ends now.
    pub(super) fn log_jobs(&mut self, before: &History) {
        let now = self.clock.now();
        for (key, history) in &self.history.jobs {
            let Some(run) = history.runs.last() else { continue };
            let Some((step, at, reason)) = told(run) else { continue };
            let object = Subject::from(key.clone());
            let last = self.releases.results.get(&object).filter(|last| is_of(last, run));
            let is_begun = last.is_some_and(|last| last.step == Step::JobStarted);
            let is_news = match step {
                Step::JobStarted => !is_begun,
                _ => is_begun || !was_over(before, key, run),
            };
            if !is_news {
                continue;
            }
            let by = match last.filter(|_| is_begun) {
                Some(begun) => begun.by.clone(),
                None => self.beginner(key, run, now),
            };
            let id = format!("{object} {step:?} {} {}", run.revision, at.0);
            let (revision, reason) = (Some(summary(run)), short(&self.redactor.clean(&reason)));
            self.releases.add(Release { id, at, object, step, by, revision, reason, ..NONE });
        }
    }

    /// Who a run of a Job is for: whoever began the rollout that it is a gate of, a person who asked for it, or a commit.
    fn beginner(&self, job: &Key, run: &JobRun, now: Timestamp) -> String {
        let wards = plan::wards(&self.desired, job).chain([job]);
        let known = wards.filter_map(|key| self.releases.beginner(key, now)).next();
        known.map_or_else(|| commit(run.commit.as_ref()), str::to_owned)
    }

    /// Logs which images cannot be built, once for each content, however often it is tried.
    pub(super) fn log_builds(&mut self, failures: &BTreeMap<String, Failure>) {
        if failures.is_empty() {
            return;
        }
        let desired = self.desired.clone();
        for image in desired.builds.keys() {
            let failed = failures.get(&build_target(image)).filter(|failure| failure.fault == Fault::Invalid);
            let Some(failure) = failed else { continue };
            let users = desired.templates().filter(|(_, template)| template.image == *image).map(|(key, _)| key);
            // The one that people look at: a Job of the same image is its migration.
            let Some(key) = users.max_by_key(|key| key.kind) else { continue };
            let object = Subject::from(key.clone());
            let id = format!("{object} {:?} {image}", Step::BuildFailed);
            if self.releases.has(&id) {
                continue;
            }
            let last = last_word(&failure.output).map(|line| format!("; its output ends with: {line}"));
            let reason = self.redactor.clean(&format!("{}{}", failure.message, last.unwrap_or_default()));
            let (at, step, by) = (failure.at, Step::BuildFailed, commit(desired.commits.get(key)));
            self.releases.add(Release { id, at, object, step, by, reason: short(&reason), ..NONE });
        }
    }

    /// Logs which sources have become invalid and valid again: once for each commit, and without git once for as long as it is so.
    pub(super) fn log_sources(&mut self, now: Timestamp) {
        let states = self.sources.states();
        for state in &states {
            let object = Subject::Source(SourceName { dir: state.dir.clone(), namespace: state.namespace.clone() });
            let last = self.releases.results.get(&object);
            let was_invalid = last.is_some_and(|last| last.step == Step::SourceInvalid);
            let (step, by, reason) = if !state.problems.is_empty() {
                let by = commit(state.rejected.as_ref());
                if was_invalid && last.is_some_and(|last| last.by == by) {
                    continue;
                }
                (Step::SourceInvalid, by, problems(state))
            } else if was_invalid && state.is_current() {
                (Step::SourceValid, commit(state.commit.as_ref()), String::new())
            } else {
                continue;
            };
            let (id, reason) = (format!("{object} {step:?} {}", now.0), short(&self.redactor.clean(&reason)));
            self.releases.add(Release { id, at: now, object, step, by, reason, ..NONE });
        }
        self.releases.write(&self.store);
    }
}

/// What there is to tell of a run, when it came about, and why.
fn told(run: &JobRun) -> Option<(Step, Timestamp, String)> {
    match &run.state {
        JobState::Pending | JobState::Retrying { .. } => None,
        JobState::Started { at } => Some((Step::JobStarted, *at, String::new())),
        JobState::Succeeded { exit, .. } => {
            let took = exit.finished_at.since(exit.started_at);
            Some((Step::JobComplete, exit.finished_at, format!("it ended well after {took}")))
        }
        JobState::Failed { at, reason, .. } => Some((Step::JobFailed, *at, reason.clone())),
        JobState::Unknown { at } => Some((Step::JobUnknown, *at, "whether it has run is not known".into())),
    }
}

/// Whether the run had ended before this pass.
fn was_over(before: &History, key: &Key, run: &JobRun) -> bool {
    let known = before.jobs.get(key).or_else(|| before.removed_jobs.get(key).map(|removed| &removed.history));
    let earlier = known.and_then(|known| known.runs.iter().find(|known| known.revision == run.revision));
    earlier.is_some_and(|earlier| earlier.state.is_over())
}

fn is_of(release: &Release, run: &JobRun) -> bool {
    release.revision.as_ref().is_some_and(|revision| revision.id == run.revision.0)
}

/// A Job's revisions have no numbers.
fn summary(run: &JobRun) -> RevisionSummary {
    RevisionSummary { number: 0, id: run.revision.to_string(), image: run.template.image.clone() }
}

fn commit(commit: Option<&Checkout>) -> String {
    commit.map_or_else(|| MANIFEST.into(), Checkout::in_words)
}

/// The first problem, and how many more there are.
fn problems(state: &SourceState) -> String {
    let first = state.problems.first().map(|problem| match problem.line {
        0 => format!("{}: {}", problem.file, problem.message),
        line => format!("{}:{line}:{}: {}", problem.file, problem.column, problem.message),
    });
    let more = match state.problems.len() {
        0 | 1 => String::new(),
        count => format!("; and {} more", count - 1),
    };
    format!("{}{more}", first.unwrap_or_default())
}
