//! The replicas of one Deployment as a decision sees them: each container with its readiness and its part in the update.

use std::collections::BTreeSet;

use super::images;
use super::readiness::{Readiness, crash_words, is_named, is_unprobed, readiness};
use super::world::World;
use crate::model::failure::{FailureReason, RolloutFailure};
use crate::model::fault;
use crate::model::history::{DeploymentHistory, Revision};
use crate::model::name::Key;
use crate::model::observed::{Container, ContainerId, ContainerState, Fault};
use crate::model::revision::RevisionId;
use crate::model::spec::{DeploymentSpec, Template};
use crate::model::text::last_word;
use crate::model::time::Timestamp;

/// How often a replica may be restarted before it becomes available; then its revision has failed.
pub const CRASH_LIMIT: u32 = 3;

/// After so many restarts a fresh container takes the place of one whose fellows serve: what its file system or the
/// engine's records of it hold keeps it from coming up.
const WORN_OUT: u32 = 10;

/// One container of a Deployment.
#[derive(Debug, Clone)]
pub struct Replica<'a> {
    /// It.
    pub container: &'a Container,
    /// Whether it can serve.
    pub readiness: Readiness,
    /// Whether it has been able to for `minReady`.
    pub available: bool,
    /// Whether it was on its way out before this pass.
    pub retiring: bool,
    /// Whether nothing but the engine keeps it from being available: a network or a name of its own is still to come,
    /// or it has not answered yet to what was asked of it.
    pub awaits_engine: bool,
    /// Whether something is being done to it, or the engine does not answer for it.
    pub is_busy: bool,
    /// Whether nobody has probed it yet since it runs.
    pub is_unprobed: bool,
    /// How often in a row what was tried with it has failed, as far as this process knows.
    pub failed_tries: u32,
    /// That its image is for another platform than the host, if it is and the kernel has said so.
    pub misfit: Option<String>,
}

impl Replica<'_> {
    /// Whether its process runs or will run without us.
    pub fn runs(&self) -> bool {
        match self.container.state {
            ContainerState::Running { .. } | ContainerState::Restarting { .. } | ContainerState::Paused => true,
            ContainerState::Created { .. } | ContainerState::Exited(_) | ContainerState::Removing => false,
        }
    }

    /// Whether it may be taken to serve although nobody knows yet: it has its name, which only ready replicas are given.
    /// The controller has just begun to look; people are not told of an outage that there is not.
    pub fn is_trusted(&self) -> bool {
        matches!(self.readiness, Readiness::Unknown(_)) && is_named(self.container)
    }

    /// Whether it was of use when somebody looked last: one that has ended since, with the engine or the host, still has the
    /// name that only a ready one is given.
    pub fn was_of_use(&self) -> bool {
        let may_return = matches!(self.container.state, ContainerState::Running { .. } | ContainerState::Exited(_));
        self.available || may_return && is_named(self.container)
    }

    /// Whether it serves, as far as anybody can tell.
    pub fn serves(&self) -> bool {
        self.readiness.is_ready() || self.is_trusted()
    }

    /// Whether it was created and waits for its first start.
    pub fn is_prepared(&self) -> bool {
        matches!(self.container.state, ContainerState::Created { error: None })
    }

    /// Whether its first start failed because a port or an address that it asks for was taken.
    pub fn lacked_its_place(&self) -> bool {
        let ContainerState::Created { error: Some(error) } = &self.container.state else { return false };
        fault::in_words(&error.message) == Some(Fault::Conflict)
    }
}

/// All replicas of a Deployment, those being removed left out, and `history` brought up to date with their readiness.
pub fn replicas<'a>(
    world: World<'a>,
    key: &Key,
    spec: &DeploymentSpec,
    history: &mut DeploymentHistory,
) -> Vec<Replica<'a>> {
    let containers = world.containers(key);
    let ids: BTreeSet<&ContainerId> = containers.iter().map(|container| &container.id).collect();
    let exists = |id: &ContainerId| ids.contains(id);
    history.ready_since.retain(|id, _| exists(id));
    history.judged.retain(|id| exists(id));
    history.ended.retain(|id, _| exists(id));
    history.retiring.retain(|id, _| exists(id));
    history.restarted.retain(|id, _| exists(id));
    forgive_no_more(history, containers);
    let living = containers.iter().filter(|container| container.state != ContainerState::Removing);
    living.map(|container| replica(world, spec, history, container)).collect()
}

fn replica<'a>(
    world: World<'a>,
    spec: &DeploymentSpec,
    history: &mut DeploymentHistory,
    container: &'a Container,
) -> Replica<'a> {
    let template = template_of(spec, history, &container.revision);
    let readiness = readiness(world, container, template, spec.min_ready, history);
    let (attached, named) = (is_attached(container, template), has_its_names(container, template));
    let is_unprobed = is_unprobed(container, template);
    match &readiness {
        Readiness::Ready(since) => {
            if history.ready_since.get(&container.id) != Some(since) {
                history.ready_since.insert(container.id.clone(), *since);
            }
            judge(history, container);
        }
        Readiness::NotReady(_) => {
            history.ready_since.remove(&container.id);
            judge(history, container);
        }
        Readiness::Unknown(_) => {}
    }
    if let ContainerState::Restarting { exit_code, out_of_memory } = container.state {
        history.ended.insert(container.id.clone(), (exit_code, out_of_memory));
    }
    let well = readiness.is_available(spec.min_ready, world.as_of());
    // A reconnection takes its network away for a moment, or for as long as the engine does not answer.
    let is_busy = world.is_busy(container);
    Replica {
        container,
        available: well && named,
        retiring: history.retiring.contains_key(&container.id),
        awaits_engine: !attached || well && !named || is_busy,
        is_busy,
        is_unprobed,
        failed_tries: world.failed_tries(container),
        misfit: misfit(world, container),
        readiness,
    }
}

/// How the kernel refuses a program that is not for it; the engine starts it all the same, and it ends at once.
const NOT_FOR_THIS_HOST: &str = "exec format error";

fn misfit(world: World, container: &Container) -> Option<String> {
    let said = container.last_log.iter().any(|line| line.contains(NOT_FOR_THIS_HOST));
    if said { images::foreign_platform(world, &container.image) } else { None }
}

/// Whether the replica is on every network of its template: off one of them its program cannot answer, and is not to blame.
fn is_attached(container: &Container, template: &Template) -> bool {
    template.host_network || container.networks.len() >= template.networks.len().max(1)
}

/// Whether the replica can be found on every network of its template: only then may another one give up its place.
fn has_its_names(container: &Container, template: &Template) -> bool {
    let named = container.networks.values().filter(|endpoint| !endpoint.aliases.is_empty()).count();
    template.host_network || named >= template.networks.len().max(1)
}

fn judge(history: &mut DeploymentHistory, container: &Container) {
    if !history.judged.contains(&container.id) {
        history.judged.insert(container.id.clone());
    }
}

/// The template that a revision's containers were made from; the manifest's when the history of it was lost.
pub fn template_of<'a>(spec: &'a DeploymentSpec, history: &'a DeploymentHistory, id: &RevisionId) -> &'a Template {
    find(history, id).map_or(&spec.template, |revision| revision.template.as_ref())
}

/// The record of a revision.
pub fn find<'a>(history: &'a DeploymentHistory, id: &RevisionId) -> Option<&'a Revision> {
    history.revisions.iter().find(|revision| revision.id == *id)
}

/// Why a replica shows that its revision is bad; `None` while it may still become available.
///
/// Only what the container itself did counts. Trouble of the engine, the registry or the host is nobody's fault.
/// A replica from before the rollout is judged by the deadline alone: its restarts of long ago prove nothing. One end proves
/// nothing either, whatever the restart policy: somebody may have killed it, or the engine in its own fall.
pub fn failure(replica: &Replica, history: &DeploymentHistory, rollout_began: Timestamp) -> Option<RolloutFailure> {
    use crate::model::observed::ProbeResult;
    let container = replica.container;
    let name = &container.name;
    if replica.available {
        return None;
    }
    if let ContainerState::Created { error: Some(error) } = &container.state {
        let message = || format!("{name} cannot start: {}", error.message);
        return is_own_fault(&error.message, replica.failed_tries)
            .then(|| RolloutFailure::new(FailureReason::RunContainerError, message()));
    }
    if container.created_at < rollout_began || replica.awaits_engine {
        return None;
    }
    if let Some(ProbeResult::Failure { message }) = &container.probes.startup {
        let message = format!("{name} failed its startup probe: {message}");
        return Some(RolloutFailure::new(FailureReason::StartupProbeFailed, message));
    }
    // One that runs and that nobody has checked yet may long be available: the controller has just begun to look.
    let is_unseen = matches!(replica.readiness, Readiness::Unknown(_));
    // What it took to become available is forgiven once it has.
    let before = history.restarted_before.get(&container.id).copied().unwrap_or(0);
    let restarts = restarts(history, container).saturating_sub(before);
    if restarts >= CRASH_LIMIT && !is_unseen {
        let end = last_end(history, container);
        let why = replica.misfit.as_ref().map(|misfit| format!("; {misfit}")).unwrap_or_default();
        let message = format!("{name} was restarted {restarts} times and is not available{end}{why}");
        return Some(RolloutFailure::new(FailureReason::CrashLoopBackOff, message));
    }
    None
}

/// Whether a replica crashes again and again, and restarts have not helped.
pub fn is_worn(history: &DeploymentHistory, replica: &Replica) -> bool {
    let crashed = matches!(replica.container.state, ContainerState::Restarting { .. } | ContainerState::Exited(_));
    crashed && restarts(history, replica.container) >= WORN_OUT
}

/// Why a fresh container takes its place.
pub fn worn_reason(history: &DeploymentHistory, replica: &Replica) -> String {
    let (restarts, end) = (restarts(history, replica.container), last_end(history, replica.container));
    format!("a fresh container takes its place: it was restarted {restarts} times{end}")
}

/// Restarts are counted anew by the engine after a start by hand, and by us after a time of peace: no more of them are forgiven
/// than there still are.
fn forgive_no_more(history: &mut DeploymentHistory, containers: &[&Container]) {
    let mut before = std::mem::take(&mut history.restarted_before);
    before.retain(|id, count| {
        let container = containers.iter().find(|container| container.id == *id);
        *count = container.map_or(0, |container| restarts(history, container)).min(*count);
        *count > 0
    });
    history.restarted_before = before;
}

/// How often a container was restarted, by the engine or by us.
pub fn restarts(history: &DeploymentHistory, container: &Container) -> u32 {
    container.restart_count + history.restarted.get(&container.id).map_or(0, |restarts| restarts.count)
}

/// How a container that crashes ended, with its last words: `; it exited with code 1: "no DATABASE_URL"`.
fn last_end(history: &DeploymentHistory, container: &Container) -> String {
    let end = match &container.state {
        ContainerState::Restarting { exit_code, out_of_memory } => {
            Some(format!("it {}", crash_words(*exit_code, *out_of_memory)))
        }
        ContainerState::Exited(exit) => Some(format!("it {}", crash_words(exit.code, exit.out_of_memory))),
        ContainerState::Created { .. }
        | ContainerState::Running { .. }
        | ContainerState::Paused
        | ContainerState::Removing => None,
    };
    let words = last_words(&container.last_log);
    let ours = history.restarted.get(&container.id).map_or("", |restarts| &restarts.reason);
    // One that runs again does not say how it ended before; what we have stopped has not ended by itself.
    let seen = history.ended.get(&container.id).filter(|_| ours.is_empty());
    match end.or_else(|| seen.map(|(code, out_of_memory)| format!("it {}", crash_words(*code, *out_of_memory)))) {
        Some(end) => format!("; {end}{words}"),
        None if !ours.is_empty() && words.is_empty() => format!("; the last time for its {ours}"),
        None if !ours.is_empty() => {
            format!("; the last time for its {ours}; the last that it said is{}", words.trim_start_matches(':'))
        }
        None if words.is_empty() => String::new(),
        None => format!("; the last that it said is{}", words.trim_start_matches(':')),
    }
}

/// The line that says most, to be put behind how it ended: `: "no DATABASE_URL"`.
pub fn last_words(log: &[String]) -> String {
    let words = last_word(log).map(|line| line.chars().take(LAST_WORDS_MAX).collect::<String>());
    words.map(|words| format!(": \"{words}\"")).unwrap_or_default()
}

/// How much of a last log line a reason quotes, in characters.
const LAST_WORDS_MAX: usize = 200;

/// How often a start may fail for a reason that nobody knows before the container is blamed for it.
const UNKNOWN_LIMIT: u32 = 3;

/// Whose fault it is that a container does not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Culprit {
    /// Its own: a missing command.
    Container,
    /// The host's or the engine's: a port that is taken, a caller that went away in the middle.
    Host,
    /// The words do not tell.
    Unknown,
}

/// Whose fault a failed start is.
pub fn culprit(message: &str) -> Culprit {
    match fault::in_words(message) {
        Some(Fault::Invalid) => Culprit::Container,
        Some(_) => Culprit::Host,
        None if message.to_lowercase().contains("network") => Culprit::Host,
        None => Culprit::Unknown,
    }
}

/// Whether a failed start counts against the container, which has failed so often in a row.
pub fn is_own_fault(message: &str, tries: u32) -> bool {
    match culprit(message) {
        Culprit::Container => true,
        Culprit::Host => false,
        Culprit::Unknown => tries >= UNKNOWN_LIMIT,
    }
}

/// Whether an action's failure shows that the revision is bad: the engine refuses its specification.
pub fn is_refused(fault: Fault) -> bool {
    match fault {
        Fault::Invalid => true,
        Fault::ImageMissing
        | Fault::Unauthorized
        | Fault::RateLimited
        | Fault::Unavailable
        | Fault::Timeout
        | Fault::Conflict => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_that_fails_for_a_reason_nobody_knows_is_the_containers_fault_from_the_third_time_on() {
        let unknown = "the device is in a state that is not expected";
        assert!(!is_own_fault(unknown, 2));
        assert!(is_own_fault(unknown, 3));
        assert!(!is_own_fault("failed to set up the container's network", 3), "that is the host's");
    }
}
