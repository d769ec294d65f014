//! Deployments that a CronJob wants quiet while it runs: their replicas stop before its container starts, and start again
//! when it has ended. That container is the ledger: it is created first and started last, so whatever crashes between, both
//! sides see the same.

use super::readiness::is_named;
use super::replica::{Replica, template_of};
use super::retire::{self, Gap};
use super::world::{Decided, World};
use crate::model::history::{DeploymentHistory, History, Retirement, Rollout};
use crate::model::job::JobRun;
use crate::model::name::{Key, Kind, Name};
use crate::model::observed::{Container, ContainerState};
use crate::model::spec::DeploymentSpec;

/// The run that wants a Deployment quiet now, for people.
pub fn wanted_by(world: World, past: &History, key: &Key) -> Option<String> {
    let wanting = world.desired.cron_jobs.iter().filter(|(cron_job, declared)| {
        cron_job.namespace == key.namespace && declared.spec.quiesce.contains(&key.name)
    });
    wanting.map(|(cron_job, _)| cron_job).find_map(|cron_job| {
        let runs = past.cron_jobs.get(cron_job)?;
        let mut jobs = runs.under_way().filter(|run| !run.replaced).filter_map(|run| run.job.as_ref());
        let is_its = |job: &JobRun, c: &Container| c.revision == job.revision && c.slot == job.attempt;
        let job = jobs.find(|job| world.containers(cron_job).iter().any(|c| is_its(job, c) && is_to_run(c)))?;
        Some(format!("run {} of {cron_job}", job.revision))
    })
}

fn is_to_run(container: &Container) -> bool {
    !matches!(container.state, ContainerState::Exited(_) | ContainerState::Removing)
}

/// Whether replicas are being replaced: then the run waits for that. An update that still waits for its gates has touched
/// nothing yet; the run may be one of them.
pub fn is_moving(history: &DeploymentHistory, replicas: &[Replica]) -> bool {
    match &history.rollout {
        Rollout::RollingBack { .. } => true,
        Rollout::Progressing { to, .. } => replicas.iter().any(|replica| replica.container.revision == *to),
        Rollout::New | Rollout::Complete { .. } | Rollout::Stalled { .. } => false,
    }
}

/// What a run waits for before it starts.
pub fn awaited(world: World, cron_job: &Key, quiesce: &[Name]) -> Option<Key> {
    let runs = |state: &ContainerState| {
        matches!(state, ContainerState::Running { .. } | ContainerState::Restarting { .. } | ContainerState::Paused)
    };
    let mut all = quiesce.iter().map(|name| cron_job.sibling(Kind::Deployment, name));
    all.find(|deployment| world.containers(deployment).iter().any(|container| runs(&container.state)))
}

/// Stops the replicas, each on its ordinary way out, and keeps their containers.
pub fn hush(
    world: World,
    decided: &mut Decided,
    key: &Key,
    spec: &DeploymentSpec,
    replicas: &[Replica],
    history: &mut DeploymentHistory,
    run: &str,
) {
    history.quiet = true;
    decided.quiet = Some(format!("stopped for {run}"));
    for replica in replicas.iter().filter(|replica| replica.runs()) {
        let container = replica.container;
        let mut retirement = history.retiring.remove(&container.id).unwrap_or_else(|| Retirement {
            reason: format!("{run} wants it quiet"),
            drain: is_named(container),
            unnamed_at: None,
            stopping: false,
        });
        let template = template_of(spec, history, &container.revision);
        retire::leave(world, decided, key, container, template, &mut retirement, Gap::of_quiet(key, run));
        history.retiring.insert(container.id.clone(), retirement);
    }
}

/// After the run they are replicas again like any others that were stopped by hand. True while they have to come back: an
/// update that begins then would find none of them available, and keep none for the case that it fails.
pub fn wakes(
    world: World,
    decided: &mut Decided,
    spec: &DeploymentSpec,
    replicas: &[Replica],
    history: &mut DeploymentHistory,
) -> bool {
    if std::mem::take(&mut history.quiet) {
        history.retiring.clear();
        history.woken_at = Some(world.now);
    }
    let Some(woken_at) = history.woken_at else { return false };
    let available = replicas.iter().filter(|replica| replica.available).count();
    let until = woken_at + spec.progress_deadline;
    if !matches!(history.rollout, Rollout::Complete { .. }) || available >= spec.replicas as usize || until <= world.now
    {
        history.woken_at = None;
        return false;
    }
    decided.wake(until);
    true
}
