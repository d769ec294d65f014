//! Runs of a Job or CronJob that nobody remembers, because the history was lost: their containers tell of them.

use std::sync::Arc;

use super::world::World;
use crate::model::cron::{CronJobHistory, CronRun, scheduled_at};
use crate::model::job::{JobHistory, JobRun, JobState};
use crate::model::name::Key;
use crate::model::observed::{Container, ContainerState};
use crate::model::revision::Contents;
use crate::model::spec::{CronJobSpec, JobSpec, Template};

/// Containers of runs that nobody remembers: the history was lost. They are seen to their end, and count as under way.
pub fn runs(world: World, key: &Key, spec: &CronJobSpec, contents: &Contents, history: &mut CronJobHistory) {
    let remembered = history.runs.len();
    for container in world.containers(key) {
        let Some(at) = scheduled_at(&container.revision) else { continue };
        // How often it may still be tried is not known of one that has ended.
        let is_over = matches!(container.state, ContainerState::Exited(_));
        let backoff_limit = if is_over { container.slot } else { spec.backoff_limit };
        // Containers come by slot, so the newest attempt is the last.
        if let Some(known) = history.runs.iter_mut().find(|run| run.scheduled_at == at) {
            if let Some(job) = known.job.as_mut().filter(|job| is_adopted(job) && container.slot > job.attempt) {
                job.attempt = container.slot;
                known.backoff_limit = backoff_limit;
            }
            continue;
        }
        let job = Some(job_run(container, &spec.template, contents, JobState::Pending));
        history.runs.push(CronRun {
            scheduled_at: at,
            // The times of a schedule are whole minutes.
            by_hand: at.0.rem_euclid(60_000) != 0,
            replaced: false,
            backoff_limit,
            active_deadline: spec.active_deadline,
            resolution: None,
            job,
        });
    }
    if history.runs.len() > remembered {
        history.runs.sort_by_key(|run| run.scheduled_at);
    }
}

/// Containers of a Job, when nothing is remembered of it, each revision by its newest attempt. What of it has been started is not
/// run again when its revision is asked for, though that may not be the one that is asked for now.
pub fn job_runs(world: World, key: &Key, spec: &JobSpec, contents: &Contents, history: &mut JobHistory) {
    if !history.runs.is_empty() {
        return;
    }
    let has_run = |container: &&&Container| !matches!(container.state, ContainerState::Created { .. });
    for container in world.containers(key).iter().filter(has_run) {
        // Containers come by slot, so the newest attempt is the last.
        match history.runs.iter_mut().find(|run| run.revision == container.revision) {
            Some(known) => known.attempt = container.slot,
            None => {
                let state = JobState::Started { at: container.created_at };
                history.runs.push(job_run(container, &spec.template, contents, state));
            }
        }
    }
    history.runs.sort_by_key(|run| run.created_at);
}

/// What a container tells of its run; the manifest's template and contents stand for what it was made from.
fn job_run(container: &Container, template: &Arc<Template>, contents: &Contents, state: JobState) -> JobRun {
    JobRun {
        revision: container.revision.clone(),
        template_hash: container.template.clone(),
        template: Arc::clone(template),
        contents: contents.clone(),
        image: container.image.clone(),
        digest: None,
        commit: None,
        created_at: container.created_at,
        attempt: container.slot,
        state,
        taken_over: true,
        earlier: Vec::new(),
    }
}

/// Whether a run was found by its container in this very pass.
fn is_adopted(job: &JobRun) -> bool {
    matches!(job.state, JobState::Pending)
}
