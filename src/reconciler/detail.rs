//! What only one kind of object has, as the view tells it: a reading of the history. It decides nothing.

use crate::model::cron::{CronJobHistory, CronRun, run_id};
use crate::model::gate::{GateRecord, GateResult};
use crate::model::history::{DeploymentHistory, Outcome, Revision};
use crate::model::job::{JobHistory, JobRun, JobState};
use crate::model::registry::is_of_repository;
use crate::model::revision::ImageId;
use crate::model::schedule::Schedule;
use crate::model::spec::CronJobSpec;
use crate::model::time::Timestamp;
use crate::model::view::{
    Declaration, Detail, GateView, GateWord, JobRunView, OutcomeWord, RevisionParts, RevisionView, RunView, RunWord,
};

/// A Deployment's history.
pub(super) fn deployment(history: Option<&DeploymentHistory>) -> Detail {
    let Some(history) = history else {
        return Detail::Deployment { revisions: Vec::new(), paused: false, pinned: false };
    };
    let current = history.rollout.revision();
    let declared = history.asked_for();
    let wanted = history.pin.as_ref().map(|pin| pin.chosen().clone()).or_else(|| declared.clone());
    let view = |revision: &Revision| {
        let (outcome, reason, last_log) = match &revision.outcome {
            Outcome::Pending => (OutcomeWord::Pending, failure(revision), Vec::new()),
            Outcome::Completed { .. } => (OutcomeWord::Completed, origin(revision), Vec::new()),
            Outcome::Rejected { reason, last_log, .. } => (OutcomeWord::Rejected, reason.clone(), last_log.clone()),
            Outcome::Superseded { .. } => (OutcomeWord::Superseded, failure(revision), Vec::new()),
        };
        RevisionView {
            number: revision.number,
            id: revision.id.to_string(),
            image: revision.template.image.clone(),
            digest: exact_image(revision),
            outcome,
            reason,
            last_log,
            commit: revision.commit.clone(),
            created_at: revision.created_at,
            current: current == Some(&revision.id),
            wanted: wanted.as_ref() == Some(&revision.id),
            declared: declared.as_ref() == Some(&revision.id),
            gates: gates(revision),
        }
    };
    Detail::Deployment {
        revisions: history.revisions.iter().map(view).collect(),
        paused: history.paused,
        pinned: history.pin.is_some(),
    }
}

/// Where a revision comes from that no manifest made.
fn origin(revision: &Revision) -> String {
    if revision.taken_over { "it ran when the history was lost".into() } else { String::new() }
}

/// Why a revision failed that was tried on, because there was none to go back to.
fn failure(revision: &Revision) -> String {
    revision.failure.as_ref().map(|why| format!("failed: {why}")).unwrap_or_default()
}

/// What the revisions of a Deployment were made of.
pub(super) fn parts(history: &DeploymentHistory) -> Vec<RevisionParts> {
    let parts = |revision: &Revision| RevisionParts {
        number: revision.number,
        id: revision.id.to_string(),
        created_at: revision.created_at,
        commit: revision.commit.clone(),
        digest: exact_image(revision),
        restarts: revision.restarts,
        template: Declaration::of(&*revision.template),
        contents: revision.contents.clone(),
        taken_over: revision.taken_over,
    };
    history.revisions.iter().map(parts).collect()
}

fn exact_image(revision: &Revision) -> String {
    exact(&revision.template.image, revision.digest.as_deref(), &revision.image)
}

/// The image with its digest in the repository that the manifest names; the image's id, where it is known from none or only from
/// another one, which has it too.
fn exact(named: &str, digest: Option<&str>, image: &ImageId) -> String {
    let own = digest.filter(|digest| is_of_repository(digest, named));
    own.map_or_else(|| image.to_string(), str::to_owned)
}

/// In the order in which the rollout came to them.
fn gates(revision: &Revision) -> Vec<GateView> {
    let mut records: Vec<_> = revision.gates.iter().collect();
    records.sort_by_key(|(_, record)| record.asked_at);
    records.into_iter().map(|(title, record)| gate(title, record)).collect()
}

fn gate(title: &str, record: &GateRecord) -> GateView {
    let view = |at, result, reason: &str, last_log: &[String]| GateView {
        gate: title.into(),
        result,
        at,
        reason: reason.into(),
        last_log: last_log.to_vec(),
        earlier: record.earlier.clone(),
    };
    match &record.result {
        None => view(record.asked_at, GateWord::Running, "", &[]),
        Some(GateResult { at, failure: None, last_log }) => view(*at, GateWord::Passed, "", last_log),
        Some(GateResult { at, failure: Some(why), last_log }) => view(*at, GateWord::Failed, why, last_log),
    }
}

/// A Job's newest run, and what was before.
pub(super) fn job(history: Option<&JobHistory>) -> Detail {
    let runs = history.map_or(&[][..], |history| &history.runs);
    let newest = runs.last();
    let Course { started_at, finished_at, exit_code, last_log } = newest.map(course).unwrap_or_default();
    let (attempt, revisions) = (newest.map_or(0, |run| run.attempt), runs.iter().map(job_run).collect());
    Detail::Job { attempt, started_at, finished_at, exit_code, last_log, revisions }
}

fn job_run(run: &JobRun) -> JobRunView {
    let (result, reason) = result(run);
    let Course { started_at, finished_at, exit_code, .. } = course(run);
    JobRunView {
        id: run.revision.to_string(),
        image: run.template.image.clone(),
        digest: digest(run),
        commit: run.commit.clone(),
        created_at: run.created_at,
        result,
        attempt: run.attempt,
        started_at,
        finished_at,
        exit_code,
        reason: reason.into(),
    }
}

fn digest(run: &JobRun) -> String {
    exact(&run.template.image, run.digest.as_deref(), &run.image)
}

/// What became of a run, and why if it did not end well.
fn result(run: &JobRun) -> (RunWord, &str) {
    match &run.state {
        JobState::Pending => (RunWord::Waiting, ""),
        JobState::Started { .. } => (RunWord::Running, ""),
        JobState::Retrying { .. } => (RunWord::Retrying, run.earlier.last().map_or("", |failed| &failed.reason)),
        JobState::Succeeded { .. } => (RunWord::Succeeded, ""),
        JobState::Failed { reason, .. } => (RunWord::Failed, reason),
        JobState::Unknown { .. } => (RunWord::Unknown, "its container vanished before its result was seen"),
    }
}

/// How a run went so far.
#[derive(Default)]
struct Course {
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    exit_code: Option<i64>,
    last_log: Vec<String>,
}

fn course(run: &JobRun) -> Course {
    match &run.state {
        JobState::Pending | JobState::Retrying { .. } | JobState::Unknown { .. } => Course::default(),
        JobState::Started { at } => Course { started_at: Some(*at), ..Course::default() },
        JobState::Succeeded { exit, last_log } => Course {
            started_at: Some(exit.started_at),
            finished_at: Some(exit.finished_at),
            exit_code: Some(exit.code),
            last_log: last_log.clone(),
        },
        JobState::Failed { at, exit, last_log, .. } => Course {
            started_at: exit.as_ref().map(|exit| exit.started_at),
            finished_at: Some(exit.as_ref().map_or(*at, |exit| exit.finished_at)),
            exit_code: exit.as_ref().map(|exit| exit.code),
            last_log: last_log.clone(),
        },
    }
}

/// A CronJob's times and runs. One that is no longer declared has no next time.
pub(super) fn cron_job(history: Option<&CronJobHistory>, spec: Option<&CronJobSpec>, now: Timestamp) -> Detail {
    let empty = CronJobHistory::default();
    let history = history.unwrap_or(&empty);
    let counts = spec.filter(|spec| !spec.suspend);
    let schedule = counts.and_then(|spec| Schedule::parse(&spec.schedule, &spec.time_zone).ok());
    Detail::CronJob {
        schedule: spec.map(|spec| spec.schedule.clone()).unwrap_or_default(),
        time_zone: spec.map(|spec| spec.time_zone.clone()).unwrap_or_default(),
        suspend: spec.is_some_and(|spec| spec.suspend),
        active: history.under_way().count() as u32,
        last_schedule: history.last_scheduled,
        next_schedule: schedule.and_then(|schedule| schedule.next(history.through.max(now))),
        last_success: history.last_success,
        runs: history.runs.iter().map(run).collect(),
    }
}

fn run(run: &CronRun) -> RunView {
    let job = run.job.as_ref();
    let (result, reason) = match job.map_or((RunWord::Waiting, ""), result) {
        (RunWord::Failed, reason) if run.replaced => (RunWord::Replaced, reason),
        other => other,
    };
    let Course { started_at, finished_at, exit_code, last_log } = job.map(course).unwrap_or_default();
    RunView {
        id: run_id(run.scheduled_at).to_string(),
        scheduled_at: run.scheduled_at,
        by_hand: run.by_hand,
        image: job.map(|job| job.template.image.clone()).unwrap_or_default(),
        digest: job.map(digest).unwrap_or_default(),
        commit: job.and_then(|job| job.commit.clone()),
        result,
        attempt: job.map_or(0, |job| job.attempt),
        started_at,
        finished_at,
        exit_code,
        reason: reason.into(),
        last_log,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_shown_of_the_repository_that_the_manifest_names_and_of_no_other() {
        let (id, digest) = (ImageId("sha256:11".into()), format!("sha256:{}", "2".repeat(64)));
        let shown = |named: &str, repository: &str| {
            let known = format!("{repository}@{digest}");
            exact(named, Some(&known), &id).replace(&digest, "D")
        };
        assert_eq!(shown("ghcr.io/shop/web:1", "ghcr.io/shop/web"), "ghcr.io/shop/web@D");
        assert_eq!(shown("docker.io/library/nginx", "nginx"), "nginx@D");
        assert_eq!(shown("registry:5000/web", "registry:5000/web"), "registry:5000/web@D");
        assert_eq!(shown("ghcr.io/shop/web:1", "registry.example/mirror/web"), "sha256:11");
        assert_eq!(exact("web", None, &id), "sha256:11");
    }
}
