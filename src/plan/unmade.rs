//! Checks that cannot be made, for want of something on our side: it will not pass by itself, and no revision is blamed for
//! it. It says so, and whether a rollout is held up by it; it changes nothing.

use super::readiness::{Readiness, is_made};
use super::replica::Replica;
use super::world::{Decided, World};
use crate::model::history::DeploymentHistory;
use crate::model::name::Key;
use crate::model::observed::{ContainerState, ProbeResult, Probes};
use crate::model::status::Severity;
use crate::model::time::{Span, Timestamp};

/// How long a replica runs, or a gate stands open, before it counts: for a moment, a process that has just ended is not seen
/// either.
const LASTING: Span = Span::secs(10);

/// Says which check cannot be made and what it lacks: at once to whoever asks how it stands; when it lasts with an event, once
/// until a check is made again, and as a reason to wait no longer if the update cannot go on without it.
pub fn tell(world: World, decided: &mut Decided, key: &Key, history: &mut DeploymentHistory, replicas: &[Replica]) {
    if let Some((name, message)) = replicas.iter().find_map(|r| Some((&r.container.name, of_itself(r)?))) {
        decided.wait(format!("a check of {name}: {message}"));
    }
    let lacking = replicas.iter().filter_map(|r| Some((r, of_itself(r).or_else(|| of_a_gate(r))?, since(r, history)?)));
    let (lasting, recent): (Vec<_>, Vec<_>) = lacking.partition(|(.., since)| *since + LASTING <= world.now);
    recent.iter().for_each(|(.., since)| decided.wake(*since + LASTING));
    decided.blocked |= lasting.iter().any(|(replica, ..)| holds_up(replica, history));
    match lasting.first() {
        Some(_) if history.told_unmade => {}
        Some((replica, message, _)) => {
            let message = format!("a check of {} cannot be made: {message}", replica.container.name);
            decided.tell(world, key, Severity::Warning, "ProbeUnmade", message);
            history.told_unmade = true;
        }
        None => history.told_unmade &= !recent.is_empty() || !replicas.iter().any(is_checked),
    }
}

/// Why one of its probes could not be made.
fn of_itself<'a>(replica: &Replica<'a>) -> Option<&'a str> {
    let Probes { startup, readiness, liveness, .. } = &replica.container.probes;
    [startup, readiness, liveness].into_iter().flatten().find_map(unmade)
}

/// Why the check of a gate could not be made.
fn of_a_gate<'a>(replica: &Replica<'a>) -> Option<&'a str> {
    replica.container.probes.gates.values().find_map(unmade)
}

fn unmade(result: &ProbeResult) -> Option<&str> {
    match result {
        ProbeResult::Unmade { message } => Some(message),
        ProbeResult::Unknown { .. } | ProbeResult::Success | ProbeResult::Failure { .. } => None,
    }
}

/// Since when its checks could have been made, if it runs.
fn since(replica: &Replica, history: &DeploymentHistory) -> Option<Timestamp> {
    let ContainerState::Running { since } = replica.container.state else { return None };
    let revision = history.revisions.iter().find(|revision| revision.id == replica.container.revision);
    let asked = revision.into_iter().flat_map(|revision| revision.gates.values()).map(|gate| gate.asked_at).max();
    Some(asked.filter(|_| of_itself(replica).is_none()).map_or(since, |asked| asked.max(since)))
}

/// Whether the update that is under way cannot go on before the replica's check is made. A liveness probe holds up nothing.
fn holds_up(replica: &Replica, history: &DeploymentHistory) -> bool {
    let is_new = history.rollout.revision() == Some(&replica.container.revision) && !replica.retiring;
    is_new && (is_unready_for_it(replica) || of_a_gate(replica).is_some())
}

/// Whether it may well be ready, and the check that would say so cannot be made.
pub fn is_unready_for_it(replica: &Replica) -> bool {
    let Probes { startup, readiness, .. } = &replica.container.probes;
    !matches!(replica.readiness, Readiness::Ready(_))
        && [startup, readiness].into_iter().flatten().any(|result| unmade(result).is_some())
}

/// Whether some check of it was made in this run.
fn is_checked(replica: &Replica) -> bool {
    let Probes { startup, readiness, liveness, gates } = &replica.container.probes;
    [startup, readiness, liveness].into_iter().flatten().chain(gates.values()).any(is_made)
}
