//! Whether a revision that is being reached has failed, and why. It changes nothing.

use super::replica::{Replica, failure, is_refused};
use super::rollout::Facts;
use super::unmade;
use super::world::{Decided, World};
use crate::model::failure::{FailureReason, RolloutFailure};
use crate::model::history::DeploymentHistory;
use crate::model::observed::ContainerState;
use crate::model::revision::RevisionId;
use crate::model::stopwatch::Stopwatch;
use crate::model::time::Timestamp;

/// How many replicas of a revision are available and stay.
pub fn count_available(facts: &Facts, to: &RevisionId) -> u32 {
    let of_it = facts.replicas.iter().filter(|r| r.container.revision == *to && !r.retiring && r.available);
    of_it.count() as u32
}

/// Now, if the replicas that were available when the update began run and are not ready any more either: what they and the
/// new ones need is away (a database, a name server), and that is not the new revision's fault.
pub fn excuse(world: World, decided: &mut Decided, facts: &Facts, to: &RevisionId, before: u32) -> Option<Timestamp> {
    let is_old = |r: &&Replica| r.container.revision != *to && !r.retiring;
    let mut old = facts.replicas.iter().filter(is_old).filter(|r| r.runs() && !r.awaits_engine).peekable();
    if before == 0 || old.peek().is_none() || !old.all(|r| r.readiness.is_not_ready()) {
        return None;
    }
    decided.wait(
        "the replicas before it, which are not ready either: as long as that is so, it is not this revision's fault",
    );
    Some(world.now)
}

/// The last log lines of the worst replica of a revision.
pub fn culprit_log(facts: &Facts, revision: &RevisionId) -> Vec<String> {
    let of_it = facts.replicas.iter().filter(|r| r.container.revision == *revision && !r.available);
    let logs = of_it.map(|r| r.container.last_log.clone());
    logs.max_by_key(Vec::len).unwrap_or_default()
}

/// How far a rollout has come.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    /// When it began.
    pub started_at: Timestamp,
    /// How long nothing has got better.
    pub waited: Stopwatch,
    /// The most new replicas that were available at once.
    pub available: u32,
    /// When the replicas before it failed as well, last.
    pub excused_at: Option<Timestamp>,
}

/// Time counts against a revision only while one of its replicas runs and is not available; waiting for the engine, the
/// registry, a dependency or the pause between steps does not, nor does the time in which its checks cannot be made.
pub fn advance(world: World, facts: &Facts, to: &RevisionId, mark: Mark) -> Mark {
    let available = count_available(facts, to);
    let is_of_it = |r: &&Replica| r.container.revision == *to && !r.retiring;
    let mut culprits = facts.replicas.iter().filter(is_of_it).filter(|r| is_culprit(r)).peekable();
    if available > mark.available || culprits.peek().is_none() {
        return Mark { waited: Stopwatch::begin(world.now), available: available.max(mark.available), ..mark };
    }
    if culprits.all(unmade::is_unready_for_it) {
        return Mark { waited: mark.waited.held_until(world.now), ..mark };
    }
    let limit = facts.spec.progress_deadline;
    Mark { waited: mark.waited.note(limit, world.observed.watched_since, world.now), ..mark }
}

fn is_culprit(replica: &Replica) -> bool {
    replica.runs() && !replica.available && !replica.awaits_engine
}

/// Why the revision has failed, if it has.
pub fn fault(
    world: World,
    decided: &mut Decided,
    facts: &Facts,
    history: &DeploymentHistory,
    to: &RevisionId,
    mark: &Mark,
) -> Option<RolloutFailure> {
    if let Some(refused) = &facts.refused {
        return Some(RolloutFailure::new(FailureReason::CreateContainerError, refused));
    }
    let of_it = || facts.replicas.iter().filter(|r| r.container.revision == *to && !r.retiring);
    // Restarts of a time in which those before it failed too, and a while after it, are nobody's fault.
    let excused = mark.excused_at.map(|at| at + facts.spec.progress_deadline).filter(|until| *until > world.now);
    let is_excused = |r: &Replica| excused.is_some() && !matches!(r.container.state, ContainerState::Created { .. });
    if let Some(until) = excused {
        decided.wake(until);
    }
    let mut judged = of_it().filter(|replica| !is_excused(replica));
    if let Some(failure) = judged.find_map(|replica| failure(replica, history, mark.started_at)) {
        return Some(failure);
    }
    // While a look does not end, nobody probes and nobody notices that one is ready.
    let culprit = of_it().find(|r| is_culprit(r) && !r.is_unprobed && !r.readiness.is_ready())?;
    let is_better = count_available(facts, to) > mark.available;
    let waited = if is_better { Stopwatch::begin(world.now) } else { mark.waited };
    // While nobody watched, no probe was made: that time counts against nobody.
    let (limit, watched_since) = (facts.spec.progress_deadline, world.observed.watched_since);
    if waited.reaches(limit, watched_since) > world.now {
        decided.wake(waited.due(limit, watched_since).max(world.now));
        return None;
    }
    let name = &culprit.container.name;
    let why = culprit.readiness.message();
    let why = if why.is_empty() { "it is not available yet" } else { why };
    let message = format!("{name} made no progress for {}: {why}", facts.spec.progress_deadline);
    Some(RolloutFailure::new(FailureReason::ProgressDeadlineExceeded, message))
}

/// How often the host may keep a new replica from starting (its port is taken, its disk full) while an old one that
/// stopped for it stays down. It is not the revision's fault, but waiting for ever would serve nobody.
const STUCK_LIMIT: u32 = 2;

/// Why a new replica cannot start on this host, where an old one stopped first to make room for it.
pub fn stuck(world: World, facts: &Facts, to: &RevisionId) -> Option<RolloutFailure> {
    let stopped = |r: &Replica| r.container.revision != *to && matches!(r.container.state, ContainerState::Exited(_));
    if !facts.strategy.stop_first() || !facts.replicas.iter().any(stopped) {
        return None;
    }
    facts.replicas.iter().filter(|r| r.container.revision == *to).find_map(|replica| {
        let ContainerState::Created { error: Some(error) } = &replica.container.state else {
            return None;
        };
        let tries = world.container_failure(replica.container)?.count;
        let name = &replica.container.name;
        let message = || format!("{name} cannot start on this host: {}", error.message);
        (tries >= STUCK_LIMIT).then(|| RolloutFailure::new(FailureReason::CannotStartOnHost, message()))
    })
}

/// Whether an action on something of the revision failed, since the rollout began, because the engine refuses it.
pub fn refusal(world: World, target: &str, began: Timestamp) -> Option<String> {
    let failure = world.failure(target)?;
    (failure.at >= began && is_refused(failure.fault)).then(|| failure.message.clone())
}
