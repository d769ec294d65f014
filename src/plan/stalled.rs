//! A Deployment with which nothing is tried any more: it came to no revision that it could serve with. It is left as it is until
//! something else is asked for.

use super::replica::find;
use super::rollout::{Facts, begin, complete, is_complete};
use super::world::{Decided, World};
use crate::model::failure::RolloutFailure;
use crate::model::history::{DeploymentHistory, Revision, Rollout};
use crate::model::revision::RevisionId;
use crate::model::status::Severity;

/// Tries nothing more, and says why.
pub fn stall(
    world: World,
    decided: &mut Decided,
    facts: &Facts,
    history: &mut DeploymentHistory,
    revision: &RevisionId,
    failure: RolloutFailure,
) {
    let reason = failure.message.clone();
    decided.tell_failure(world, facts.key, Severity::Warning, "Stalled", failure);
    history.rollout = Rollout::Stalled { revision: revision.clone(), at: world.now, reason };
}

/// It goes on when a person changes what is wanted, or when its replicas recover by themselves.
pub fn recover(
    world: World,
    decided: &mut Decided,
    facts: &Facts,
    history: &mut DeploymentHistory,
    stalled: &RevisionId,
    goal: Option<RevisionId>,
) {
    let rejected = |id: &RevisionId| find(history, id).is_some_and(Revision::is_rejected);
    let (wanted_is_bad, is_asked_for) = match &history.pin {
        Some(pin) => (rejected(pin.chosen()), pin.failed.is_none() && pin.revision == *stalled),
        None => (facts.wanted.as_ref().is_some_and(rejected), facts.wanted.as_ref() == Some(stalled)),
    };
    let is_bad = rejected(stalled);
    if let Some(goal) = goal.as_ref().filter(|goal| *goal != stalled && !wanted_is_bad) {
        return begin(world, decided, facts, history, goal.clone(), "RolloutStarted");
    }
    if is_bad {
        return;
    }
    if is_complete(facts, stalled) {
        let reason = if wanted_is_bad { "RolledBack" } else { "RolloutComplete" };
        complete(world, decided, facts, history, stalled, reason);
    } else if is_asked_for {
        // It was gone back to from what failed, and is what is meant by now.
        begin(world, decided, facts, history, stalled.clone(), "RolloutStarted");
    }
}
