//! One Job in one pass. It never runs twice for one revision: its container is the ledger, and "started" is written
//! down before the start is asked for.

use std::sync::Arc;

use super::build::{self, Source};
use super::gates::{self, Role};
use super::images;
use super::needs;
use super::policy;
use super::readiness::exit_text;
use super::replica::{is_own_fault, is_refused};
use super::world::{Decided, World, pause};
use crate::model::action::{Call, Connection, Stop, create_target};
use crate::model::desired::Declared;
use crate::model::history::{History, JobHistory, JobRun, JobState, Resolution};
use crate::model::name::Key;
use crate::model::observed::{Container, ContainerState, Exit};
use crate::model::policy::Refusal;
use crate::model::revision::{Contents, ImageId, TemplateHash, revision_id, template_hash};
use crate::model::spec::JobSpec;
use crate::model::status::{Condition, Severity};
use crate::model::time::Span;

/// How many runs are remembered: a manifest that goes back to one of these revisions does not run it again.
const RUNS_KEPT: usize = 10;

/// Decides for one Job.
pub fn job(world: World, key: &Key, declared: &Declared<JobSpec>, past: &History) -> (JobHistory, Decided) {
    let spec = &declared.spec;
    let mut history = past.jobs.get(key).cloned().unwrap_or_default();
    let mut decided = Decided::default();
    let asked = Asked::of(world, key, spec);
    let role = gates::role(world, past, key);
    let idle = matches!(role, Role::Idle);
    let refused = if idle { Vec::new() } else { asked.refused(world, key, &history) };
    let barred = idle || !refused.is_empty();
    if !spec.suspend {
        decided.refuse(refused);
        if !barred {
            let image = role.revision().filter(|_| spec.image_of.is_some()).map(|revision| revision.image.clone());
            asked.enter(world, &mut decided, key, &mut history, image);
        }
        // Where the manifest's revision may not run now, an earlier one that runs is seen to its end, and none is begun.
        let goes_on = |run: &mut JobRun| !barred || matches!(run.state, JobState::Started { .. });
        if let Some(mut run) = history.runs.pop_if(goes_on) {
            let before = run.state.clone();
            if let (Role::Gate { again_after: Some(attempt), .. }, JobState::Failed { .. }) = (&role, &run.state)
                && *attempt == run.attempt
            {
                run.attempt = run.attempt.saturating_add(1);
                run.state = JobState::Pending;
            }
            advance(world, &mut decided, key, spec, past, &mut run);
            tell(world, &mut decided, key, &before, &run);
            history.runs.push(run);
        }
        remove_old(world, &mut decided, key, &history);
    }
    decided.status = super::status::job(world, key, spec, &history, &decided);
    if let Some(wards) = gates::wards_in_words(world.desired, key) {
        // How a rollout stands that came to it, its Deployment tells.
        let message = format!("a gate of {wards}");
        decided.status.conditions.push(Condition { kind: "Gate".into(), status: true, reason: "Gate".into(), message });
    }
    let is_under_way = history.runs.last().is_some_and(|run| matches!(run.state, JobState::Started { .. }));
    if idle && !is_under_way && !asked.is_entered(&history) {
        let wards = gates::wards_in_words(world.desired, key).unwrap_or_default();
        decided.status = super::networks::ready(&format!("runs as a gate, when a rollout of {wards} comes to it"));
        return (history, decided);
    }
    let ended = matches!(decided.status.phase.as_str(), "Complete" | "Failed" | "Unknown");
    if ended && !asked.is_entered(&history) {
        // That was an earlier revision's; the one that is asked for has not run.
        decided.status = super::status::job(world, key, spec, &JobHistory::default(), &decided);
    }
    (history, decided)
}

/// What the manifest asks for.
pub struct Asked<'a> {
    spec: &'a JobSpec,
    contents: Contents,
    hash: TemplateHash,
}

impl<'a> Asked<'a> {
    /// Its template and contents, and their hash.
    pub fn of(world: World, key: &Key, spec: &'a JobSpec) -> Self {
        let contents = build::contents(world, key, &spec.template);
        let hash = template_hash(&spec.template, &contents, 0);
        Self { spec, contents, hash }
    }

    /// Whether the newest run is of it.
    pub fn is_entered(&self, history: &JobHistory) -> bool {
        history.runs.last().is_some_and(|run| run.template_hash == self.hash)
    }

    /// What the policy does not allow of it, unless it has been entered already.
    fn refused(&self, world: World, key: &Key, history: &JobHistory) -> Vec<Refusal> {
        match self.is_entered(history) {
            true => Vec::new(),
            false => policy::template_refusals(world, key, &self.spec.template, &self.contents),
        }
    }

    /// Makes it the newest run, once its image is known and an older run has ended.
    /// `given` is the image of the revision that it is a gate of.
    fn enter(&self, world: World, decided: &mut Decided, key: &Key, history: &mut JobHistory, given: Option<ImageId>) {
        let Self { spec, contents, hash } = self;
        let known = history.runs.last().filter(|run| run.template_hash == *hash).map(|run| run.image.clone());
        let same = |container: &&&Container| container.template == *hash;
        let adopted =
            known.or_else(|| world.containers(key).iter().find(same).map(|container| container.image.clone()));
        let resolution = images::carry(world, history.resolution.as_ref(), hash, adopted);
        let resolution = match given {
            Some(image) => Resolution { image: Some(image), ..resolution },
            None => images::resolve(world, decided, key, &spec.template, resolution),
        };
        history.resolution = Some(resolution.clone());
        let Some(image) = resolution.image else {
            return;
        };
        let revision = revision_id(hash, &image);
        if let Some(run) = history.runs.last_mut() {
            if run.revision == revision {
                run.template = Arc::new(spec.template.clone());
                return;
            }
            if matches!(run.state, JobState::Started { .. }) {
                decided.wait("the run of the previous revision to end: a job is never killed by an update");
                return;
            }
        }
        if let Some(earlier) = history.runs.iter().position(|run| run.revision == revision) {
            // What became of it is known.
            let mut run = history.runs.remove(earlier);
            run.template = Arc::new(spec.template.clone());
            history.runs.push(run);
            return;
        }
        // Containers of another template and no memory of them: the history was lost, and with it the key that makes
        // the ids of secrets, so this may be the very revision that ran. A person decides.
        let containers = world.containers(key);
        let lost = history.runs.is_empty() && !containers.is_empty() && !spec.idempotent;
        let state = if lost && !containers.iter().any(|container| container.template == *hash) {
            JobState::Unknown { at: world.now }
        } else {
            JobState::Pending
        };
        history.runs.push(JobRun {
            revision,
            template_hash: hash.clone(),
            template: Arc::new(spec.template.clone()),
            contents: contents.clone(),
            image,
            created_at: world.now,
            attempt: 0,
            state,
        });
        let surplus = history.runs.len().saturating_sub(RUNS_KEPT);
        history.runs.drain(..surplus);
    }
}

fn source<'a>(key: &'a Key, run: &'a JobRun) -> Source<'a> {
    Source {
        owner: key,
        revision: &run.revision,
        template_hash: &run.template_hash,
        template: &run.template,
        contents: &run.contents,
        image: &run.image,
    }
}

/// One step of the newest run.
fn advance(world: World, decided: &mut Decided, key: &Key, spec: &JobSpec, past: &History, run: &mut JobRun) {
    let container = world.containers(key).iter().find(|c| c.revision == run.revision && c.slot == run.attempt).copied();
    match (&run.state, container) {
        (JobState::Succeeded { .. } | JobState::Failed { .. } | JobState::Unknown { .. }, _) => {}
        (JobState::Retrying { at }, _) => {
            let again = *at + pause(Span::secs(10), run.attempt.saturating_add(1));
            if again > world.now {
                decided.wait(format!("the back-off after attempt {} (until {again})", run.attempt.saturating_add(1)));
                return decided.wake(again);
            }
            run.attempt = run.attempt.saturating_add(1);
            run.state = JobState::Pending;
            advance(world, decided, key, spec, past, run);
        }
        (JobState::Pending, None) => create(world, decided, key, past, run),
        (JobState::Started { .. }, None) => vanished(world, decided, key, spec, past, run),
        (JobState::Pending | JobState::Started { .. }, Some(container)) => {
            with_container(world, decided, key, spec, past, run, container);
        }
    }
}

fn create(world: World, decided: &mut Decided, key: &Key, past: &History, run: &mut JobRun) {
    let name = build::name(world, source(key, run), run.attempt);
    if let Some(failure) = world.failure(&create_target(&name)).filter(|failure| is_refused(failure.fault)) {
        run.state =
            JobState::Failed { at: world.now, reason: failure.message.clone(), exit: None, last_log: Vec::new() };
        return;
    }
    if world.observed.foreign_names.contains(&name) {
        return decided.wait(format!("the name {name}, which a container that is not ours has"));
    }
    let template = run.template.clone();
    let places = needs::places_exist(world, decided, key, &template);
    let image = images::ensure(world, decided, key, &template, &run.image, None);
    let dependencies = needs::dependencies_met(world, decided, past, key, &template);
    if places && image && dependencies {
        let spec = build::container(world, source(key, run), run.attempt, false);
        decided.act(world, key, Call::CreateContainer(Box::new(spec)), purpose(world, key, past));
    }
}

/// Why it runs.
fn purpose(world: World, key: &Key, past: &History) -> String {
    match gates::role(world, past, key) {
        Role::Gate { ward, revision, .. } => format!("a gate of revision {} of {ward}", revision.number),
        Role::Own | Role::Idle => "the job has not run in this revision".into(),
    }
}

/// The start was decided, and the container is gone: nobody knows whether it ran.
fn vanished(world: World, decided: &mut Decided, key: &Key, spec: &JobSpec, past: &History, run: &mut JobRun) {
    if spec.idempotent {
        run.state = JobState::Pending;
        return create(world, decided, key, past, run);
    }
    run.state = JobState::Unknown { at: world.now };
}

fn with_container(
    world: World,
    decided: &mut Decided,
    key: &Key,
    spec: &JobSpec,
    past: &History,
    run: &mut JobRun,
    container: &Container,
) {
    match &container.state {
        ContainerState::Created { error: Some(error) } if is_own_fault(&error.message) => {
            fail(world, spec, run, format!("cannot start: {}", error.message), container);
        }
        ContainerState::Created { .. } => start(world, decided, key, past, run, container),
        ContainerState::Running { since } => {
            // A lost history: the container tells that it runs.
            if matches!(run.state, JobState::Pending) {
                run.state = JobState::Started { at: *since };
            }
            limit(world, decided, key, spec, container, *since + spec.active_deadline.unwrap_or(Span(u64::MAX >> 2)));
        }
        ContainerState::Exited(exit) => end(world, spec, run, exit, container),
        ContainerState::Paused => {
            let call = Call::Unpause { container: container.id.clone(), name: container.name.clone() };
            decided.act(world, key, call, "somebody paused it");
        }
        ContainerState::Restarting { .. } | ContainerState::Removing => decided.wait("its container to settle"),
    }
}

/// A container that is created has never run, so starting it is safe, also after a start whose reply was lost.
fn start(world: World, decided: &mut Decided, key: &Key, past: &History, run: &mut JobRun, container: &Container) {
    let attachments = build::attachments(world, key, &run.template);
    if let Some(missing) = attachments.into_iter().find(|a| !container.networks.contains_key(&a.network)) {
        let call = Call::Connect(Connection {
            container: container.id.clone(),
            name: container.name.clone(),
            network: missing.network,
            aliases: missing.aliases,
            address: missing.address,
        });
        return decided.act(world, key, call, "the job joins its networks before it starts");
    }
    let template = run.template.clone();
    if !needs::dependencies_met(world, decided, past, key, &template) {
        return;
    }
    let call = Call::Start { container: container.id.clone(), name: container.name.clone(), files: Vec::new() };
    let planned = decided.actions.len();
    decided.act(world, key, call, purpose(world, key, past));
    // Written down before it is done; the container's own state tells whether it was.
    if decided.actions.len() > planned && matches!(run.state, JobState::Pending) {
        run.state = JobState::Started { at: world.now };
    }
}

fn limit(
    world: World,
    decided: &mut Decided,
    key: &Key,
    spec: &JobSpec,
    container: &Container,
    deadline: crate::model::time::Timestamp,
) {
    let Some(limit) = spec.active_deadline else {
        return;
    };
    if deadline > world.now {
        return decided.wake(deadline);
    }
    let call = Call::Stop(Stop {
        container: container.id.clone(),
        name: container.name.clone(),
        pre_stop: Vec::new(),
        grace: spec.template.termination_grace_period,
    });
    decided.act(world, key, call, format!("it has run for its activeDeadline of {limit}"));
}

fn end(world: World, spec: &JobSpec, run: &mut JobRun, exit: &Exit, container: &Container) {
    let overdue = spec.active_deadline.is_some_and(|limit| exit.finished_at.since(exit.started_at) >= limit);
    if exit.code == 0 && !overdue {
        run.state = JobState::Succeeded { exit: exit.clone(), last_log: container.last_log.clone() };
    } else if overdue {
        fail(world, spec, run, "it did not end within its activeDeadline".into(), container);
    } else {
        fail(world, spec, run, exit_text(exit), container);
    }
}

fn fail(world: World, spec: &JobSpec, run: &mut JobRun, reason: String, container: &Container) {
    run.state = if run.attempt < spec.backoff_limit {
        JobState::Retrying { at: world.now }
    } else {
        let exit = match &container.state {
            ContainerState::Exited(exit) => Some(exit.clone()),
            ContainerState::Created { .. }
            | ContainerState::Running { .. }
            | ContainerState::Paused
            | ContainerState::Restarting { .. }
            | ContainerState::Removing => None,
        };
        JobState::Failed { at: world.now, reason, exit, last_log: container.last_log.clone() }
    };
}

fn tell(world: World, decided: &mut Decided, key: &Key, before: &JobState, run: &JobRun) {
    if *before == run.state {
        return;
    }
    let (severity, reason, message) = match &run.state {
        JobState::Pending => return,
        JobState::Started { .. } => (Severity::Normal, "JobStarted", format!("revision {} was started", run.revision)),
        JobState::Retrying { .. } => (
            Severity::Warning,
            "JobRetrying",
            format!("attempt {} failed and is tried again", run.attempt.saturating_add(1)),
        ),
        JobState::Succeeded { exit, .. } => {
            let took = exit.finished_at.since(exit.started_at);
            (Severity::Normal, "JobComplete", format!("it ended well after {took}"))
        }
        JobState::Failed { reason, .. } => (Severity::Warning, "JobFailed", reason.clone()),
        JobState::Unknown { .. } => {
            let message = "whether it has run is not known; `evenkeel rollout retry` runs it again";
            (Severity::Warning, "JobUnknown", message.to_string())
        }
    };
    decided.tell(world, key, severity, reason, message);
}

/// Removes containers of older revisions and attempts once the newest has been started; the newest keeps its log.
fn remove_old(world: World, decided: &mut Decided, key: &Key, history: &JobHistory) {
    let Some(run) = history.runs.last() else {
        return;
    };
    let undecided = matches!(run.state, JobState::Unknown { .. });
    if undecided || matches!(run.state, JobState::Pending) && run.attempt == 0 {
        return;
    }
    for container in world.containers(key) {
        let newest = container.revision == run.revision && container.slot == run.attempt;
        let ended = matches!(container.state, ContainerState::Exited(_) | ContainerState::Created { .. });
        if !newest && ended {
            let call = Call::Remove { container: container.id.clone(), name: container.name.clone() };
            decided.act(world, key, call, "a newer run has taken its place");
        }
    }
}
