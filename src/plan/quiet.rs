//! Deployments that a CronJob wants quiet while it runs: their replicas lose their name, drain, and are stopped or paused
//! before its container starts; when it has ended they come back. That container is the ledger: it is created first and
//! started last, so whatever crashes between, both sides see the same. None is made quiet for a run that another one of
//! them, or what the run depends on, is known to keep from starting.

use super::needs;
use super::replica::{Replica, template_of};
use super::retire::{self, Gap};
use super::world::{Decided, World};
use crate::model::action::Call;
use crate::model::cron::{run_id, scheduled_at};
use crate::model::history::{DeploymentHistory, History, Retirement, Rollout};
use crate::model::name::{Key, Kind};
use crate::model::observed::{Container, ContainerState, Exit};
use crate::model::spec::{DeploymentSpec, Quiesce, QuiesceBy};
use crate::model::status::Severity;

/// That a run wants a Deployment quiet now.
pub struct Wish {
    /// The run, for people.
    run: String,
    /// How its replicas are made quiet.
    by: QuiesceBy,
}

/// The wish that counts for a Deployment, if there is one: what is stopped is quiet for whoever is content with a pause.
pub fn wish(world: World, past: &History, key: &Key) -> Option<Wish> {
    let cron_jobs = world.desired.cron_jobs.iter().filter(|(cron_job, _)| cron_job.namespace == key.namespace);
    let wishes = cron_jobs.flat_map(|(cron_job, declared)| {
        let of_it = declared.spec.quiesce.iter().filter(|quiesce| *quiesce.deployment() == key.name);
        of_it.filter_map(move |quiesce| {
            let is_meant = |run: &&Container| !waits(world, run) || obstacle(world, past, cron_job, run).is_none();
            let run = under_way(world, past, cron_job).find(is_meant)?;
            Some(Wish { run: format!("run {} of {cron_job}", run.revision), by: quiesce.by() })
        })
    });
    wishes.chain(ending(world, past, key)).min_by_key(|wish| wish.by)
}

/// While a run that no manifest declares any more is being ended, what is quiet stays so: perhaps for that run.
fn ending(world: World, past: &History, key: &Key) -> Option<Wish> {
    past.deployments.get(key).filter(|known| known.quiet)?;
    let is_left = |container: &&Container| {
        let owner = &container.owner;
        owner.kind == Kind::CronJob && owner.namespace == key.namespace && !world.desired.declares(owner)
    };
    let mut left = world.observed.containers.values().filter(is_left);
    let container = left.find(|container| matches!(container.state, ContainerState::Running { .. }))?;
    let run = format!("run {} of {}, which is being ended", container.revision, container.owner);
    Some(Wish { run, by: QuiesceBy::Pause })
}

/// The runs of a CronJob that have a container and are not over. One that nobody remembers is under way as well: the history was
/// lost, and this pass takes it in again.
fn under_way<'a>(world: World<'a>, past: &'a History, cron_job: &Key) -> impl Iterator<Item = &'a Container> {
    let known = past.cron_jobs.get(cron_job);
    let is_under_way = move |container: &&Container| {
        let mut runs = known.into_iter().flat_map(|known| &known.runs);
        match runs.find(|run| run_id(run.scheduled_at) == container.revision) {
            None => scheduled_at(&container.revision).is_some(),
            Some(run) => {
                let is_its = run.job.as_ref().is_some_and(|job| job.attempt == container.slot);
                is_its && !run.is_over() && !run.replaced
            }
        }
    };
    world.containers(cron_job).iter().copied().filter(|container| is_to_run(container)).filter(is_under_way)
}

/// Whether the run of a container has yet to begin, and nobody is about to start it.
fn waits(world: World, container: &Container) -> bool {
    matches!(container.state, ContainerState::Created { .. }) && !world.is_busy(container)
}

/// What keeps a CronJob's run from starting although its Deployments would be quiet, or from making them quiet: then it does
/// neither. Of two runs of which one depends on what the other wants quiet, one goes first.
pub fn obstacle(world: World, past: &History, cron_job: &Key, run: &Container) -> Option<String> {
    if let Some(why) = own_obstacle(world, past, cron_job, run) {
        return Some(why);
    }
    let others = world.desired.cron_jobs.keys().filter(|other| crosses(world, cron_job, other));
    let mut others = others.flat_map(|other| under_way(world, past, other).map(move |run| (other, run)));
    let (first, its_run) = others.find(|(other, its_run)| {
        let is_before = (&its_run.revision, *other) < (&run.revision, cron_job);
        is_before && waits(world, its_run) && own_obstacle(world, past, other, its_run).is_none()
    })?;
    Some(format!("run {} of {first}, which goes first", its_run.revision))
}

/// Whether one of two CronJobs depends on a Deployment that the other one wants quiet.
fn crosses(world: World, one: &Key, other: &Key) -> bool {
    let depends = |on: &Key, of: &Key| {
        let [on, of] = [on, of].map(|key| world.desired.cron_jobs.get(key).map(|declared| &declared.spec));
        let (Some(on), Some(of)) = (on, of) else { return false };
        let mut needed = of.template.depends_on.iter().filter_map(|dependency| dependency.deployment.as_ref());
        needed.any(|needed| on.quiesce.iter().any(|quiesce| quiesce.deployment() == needed))
    };
    one != other && one.namespace == other.namespace && (depends(one, other) || depends(other, one))
}

fn own_obstacle(world: World, past: &History, cron_job: &Key, run: &Container) -> Option<String> {
    let spec = &world.desired.cron_jobs.get(cron_job)?.spec;
    let deployments =
        spec.quiesce.iter().map(|quiesce| (cron_job.sibling(Kind::Deployment, quiesce.deployment()), quiesce.by()));
    let loud = deployments.filter(|(key, by)| is_loud(world, key, *by));
    if let Some(why) = loud.filter_map(|(key, _)| unquietable(world, past, &key)).next() {
        return Some(why);
    }
    let mut runs = past.cron_jobs.get(cron_job).into_iter().flat_map(|known| &known.runs);
    let known = runs.find(|known| run_id(known.scheduled_at) == run.revision).and_then(|known| known.job.as_ref());
    let template = known.map_or(&spec.template, |job| &job.template);
    let mut aside = Decided::default();
    let is_free = needs::is_free_for(world, &mut aside, run, template);
    if is_free && needs::dependencies_met(world, &mut aside, past, cron_job, template) {
        return None;
    }
    Some(aside.waiting.first().cloned().unwrap_or_else(|| "its dependencies".into()))
}

/// Why a Deployment cannot be made quiet now.
fn unquietable(world: World, past: &History, key: &Key) -> Option<String> {
    let history = past.deployments.get(key)?;
    let is_suspended = world.desired.deployments.get(key).is_some_and(|declared| declared.spec.suspend);
    let moves = moves(history, world.containers(key).iter().copied());
    match (history.quiet, is_suspended, moves) {
        (true, ..) | (false, false, false) => None,
        (false, true, _) => Some(format!("{key} to be quiet, which is suspended")),
        (false, false, true) => Some(format!("{key} to be quiet, which is being updated")),
    }
}

fn is_to_run(container: &Container) -> bool {
    !matches!(container.state, ContainerState::Exited(_) | ContainerState::Removing)
}

/// Whether replicas are being replaced: then the run waits for that. An update that still waits for its gates has touched
/// nothing yet; the run may be one of them.
pub fn is_moving(history: &DeploymentHistory, replicas: &[Replica]) -> bool {
    moves(history, replicas.iter().map(|replica| replica.container))
}

fn moves<'a>(history: &DeploymentHistory, mut containers: impl Iterator<Item = &'a Container>) -> bool {
    match &history.rollout {
        Rollout::RollingBack { .. } => true,
        Rollout::Progressing { to, .. } => containers.any(|container| container.revision == *to),
        Rollout::New | Rollout::Complete { .. } | Rollout::Stalled { .. } => false,
    }
}

/// What a run waits for before it starts.
pub fn awaited(world: World, past: &History, cron_job: &Key, run: &Container, quiesce: &[Quiesce]) -> Option<String> {
    if quiesce.is_empty() {
        return None;
    }
    let mut all =
        quiesce.iter().map(|quiesce| (cron_job.sibling(Kind::Deployment, quiesce.deployment()), quiesce.by()));
    let loud = all.find(|(deployment, by)| is_loud(world, deployment, *by));
    obstacle(world, past, cron_job, run).or_else(|| Some(format!("{} to be quiet", loud?.0)))
}

/// Whether a container of a Deployment may do something.
fn is_loud(world: World, deployment: &Key, by: QuiesceBy) -> bool {
    world.containers(deployment).iter().any(|container| match container.state {
        ContainerState::Running { .. } | ContainerState::Restarting { .. } => true,
        ContainerState::Paused => by == QuiesceBy::Stop || world.is_busy(container),
        // What something is being done to may be about to run.
        ContainerState::Created { .. } | ContainerState::Exited(_) | ContainerState::Removing => {
            world.is_busy(container)
        }
    })
}

/// Stops or pauses the replicas, each on its ordinary way out, and keeps their containers.
pub fn hush(
    world: World,
    decided: &mut Decided,
    key: &Key,
    spec: &DeploymentSpec,
    replicas: &[Replica],
    history: &mut DeploymentHistory,
    wish: &Wish,
) {
    let Wish { run, by } = wish;
    let why = match by {
        QuiesceBy::Stop => format!("stopped for {run}"),
        QuiesceBy::Pause => format!("paused for {run}"),
    };
    if !std::mem::replace(&mut history.quiet, true) {
        decided.tell(world, key, Severity::Normal, "Quiesced", format!("its replicas are {why}"));
    }
    decided.quiet = Some(why);
    for replica in replicas.iter().filter(|replica| replica.runs()) {
        let container = replica.container;
        let mut retirement = history.retiring.remove(&container.id).unwrap_or_else(|| Retirement {
            reason: format!("{run} wants it quiet"),
            // One without a name may have lost it a moment ago, and the memory of that with the history.
            drain: true,
            unnamed_at: None,
            stopping: false,
        });
        let template = template_of(spec, history, &container.revision);
        let gap = Gap::of_quiet(key, run);
        match (by, &container.state) {
            (QuiesceBy::Pause, ContainerState::Paused) => {}
            // No request may be on its way into a program that is about to be frozen.
            (QuiesceBy::Pause, ContainerState::Running { .. }) => {
                if retire::is_drained(world, decided, key, container, template, &mut retirement) {
                    let call = Call::Pause { container: container.id.clone(), name: container.name.clone() };
                    gap.act(world, decided, key, call, &retirement.reason);
                }
            }
            // What crashes again and again cannot be paused.
            (QuiesceBy::Pause, ContainerState::Restarting { .. })
            | (
                QuiesceBy::Pause,
                ContainerState::Created { .. } | ContainerState::Exited(_) | ContainerState::Removing,
            )
            | (QuiesceBy::Stop, _) => {
                retire::leave(world, decided, key, container, template, &mut retirement, gap);
            }
        }
        history.retiring.insert(container.id.clone(), retirement);
    }
}

/// Whether replicas are quiet, or have yet to come back: that is seen to its end although the manifest suspends them
/// meanwhile, because nobody else would bring them back.
pub fn lasts(history: &DeploymentHistory) -> bool {
    history.quiet || history.woken_at.is_some()
}

/// Whether a replica that has ended was stopped for a run which is over.
pub fn was_hushed(history: &DeploymentHistory, exit: &Exit) -> bool {
    history.woken_at.is_some_and(|woken_at| exit.finished_at <= woken_at)
}

/// After the run they are replicas again like any others that were stopped or paused by hand. True while they have to come
/// back: an update that begins then would find none of them available, and keep none for the case that it fails.
pub fn wakes(
    world: World,
    decided: &mut Decided,
    key: &Key,
    spec: &DeploymentSpec,
    replicas: &mut [Replica],
    history: &mut DeploymentHistory,
) -> bool {
    if std::mem::take(&mut history.quiet) {
        history.retiring.clear();
        // They stay, and in this pass already: as what is on its way out they would be taken for spent and be removed.
        replicas.iter_mut().for_each(|replica| replica.retiring = false);
        history.woken_at = Some(world.now);
        let message = "the run that wanted it quiet has ended: its replicas come back";
        decided.tell(world, key, Severity::Normal, "QuiesceEnded", message);
    }
    let Some(woken_at) = history.woken_at else { return false };
    let available = replicas.iter().filter(|replica| replica.available).count();
    let until = woken_at + spec.progress_deadline;
    let may_move = !spec.suspend && !matches!(history.rollout, Rollout::Complete { .. });
    if may_move || available >= spec.replicas as usize || until <= world.now {
        history.woken_at = None;
        return false;
    }
    decided.wake(until);
    true
}
