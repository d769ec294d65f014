//! The time after a rollout in which its revision has still to prove itself. It counts while the engine is seen.

use super::replica::{Replica, failure, find, restarts};
use super::rollout::{Facts, newest_completed};
use super::world::{Decided, World};
use crate::model::failure::{FailureReason, RolloutFailure};
use crate::model::history::{DeploymentHistory, Outcome, Rollout};
use crate::model::observed::ContainerState;
use crate::model::revision::RevisionId;
use crate::model::spec::DeploymentSpec;
use crate::model::status::{Condition, MONITORED};
use crate::model::stopwatch::Stopwatch;
use crate::model::time::{Span, Timestamp};

/// The monitor time of a rollout that completes now; none where there is none. Restarts count from here.
pub fn begin(world: World, facts: &Facts, history: &mut DeploymentHistory) -> Option<Stopwatch> {
    let restarts = facts.replicas.iter().map(|r| (r.container.id.clone(), restarts(history, r.container)));
    history.restarted_before = restarts.filter(|(_, count)| *count > 0).collect();
    (facts.spec.monitor > Span::ZERO).then(|| Stopwatch::begin(world.now))
}

/// What of it has gone by after this pass; none when it is over.
pub fn go_on(world: World, spec: &DeploymentSpec, monitored: Option<Stopwatch>) -> Option<Stopwatch> {
    let watched_since = world.observed.watched_since;
    let watch = monitored.filter(|watch| watch.reaches(spec.monitor, watched_since) > world.now)?;
    Some(watch.note(spec.monitor, watched_since, world.now))
}

/// Whether what is complete has still to prove itself.
fn is_monitored(world: World, spec: &DeploymentSpec, rollout: &Rollout) -> bool {
    let Rollout::Complete { monitored, .. } = rollout else { return false };
    go_on(world, spec, *monitored).is_some()
}

/// Says that the time is not over, and until when, where there is something to go back to. That it is over changes nothing but
/// what is told.
pub fn tell(world: World, decided: &mut Decided, spec: &DeploymentSpec, history: &DeploymentHistory) {
    let Rollout::Complete { revision, monitored: Some(watch) } = &history.rollout else { return };
    let wanted = history.asked_for();
    let is_watched = !spec.suspend && !history.held && wanted.as_ref() == Some(revision) && history.pin.is_none();
    let until = watch.reaches(spec.monitor, world.observed.watched_since);
    if !is_watched || until <= world.now || newest_completed(history, revision).is_none() {
        return;
    }
    decided.retell_at = Some(until);
    decided.status.conditions.push(Condition {
        kind: MONITORED.into(),
        status: true,
        reason: "MonitorTimeOpen".into(),
        message: format!("monitored until {until}: if it fails before that, it is still rolled back"),
    });
}

/// Why a complete revision is to be taken back after all, if it is. What somebody has gone back to, or was gone back to by
/// itself, is never left for that.
pub fn collapse(world: World, facts: &Facts, history: &DeploymentHistory, of: &RevisionId) -> Option<RolloutFailure> {
    let Outcome::Completed { at } = find(history, of)?.outcome else { return None };
    let is_wanted = facts.wanted.as_ref() == Some(of) && history.pin.is_none();
    if !is_wanted || !is_monitored(world, facts.spec, &history.rollout) || newest_completed(history, of).is_none() {
        return None;
    }
    let mut new = facts.replicas.iter().filter(|replica| replica.container.revision == *of && !replica.retiring);
    // One that still runs as it did then has become available after whatever restarts it had.
    let runs_since = |r: &Replica| matches!(r.container.state, ContainerState::Running { since } if since <= at);
    let mut judged = new.clone().filter(|replica| !runs_since(replica));
    let crashed = judged.find_map(|replica| failure(replica, history, Timestamp::default()));
    // What was started since, such as after a restart of the engine, has its time to become ready, while somebody sees it.
    let had_time = |since: Timestamp| {
        since <= at || since.max(world.observed.watched_since) + facts.spec.progress_deadline <= world.now
    };
    let should_be = |r: &Replica| matches!(r.container.state, ContainerState::Running { since } if had_time(since));
    let is_lost = |r: &Replica| should_be(r) && r.readiness.is_not_ready() && !r.awaits_engine;
    let all_lost = new.clone().count() > 0 && new.all(is_lost);
    let why = crashed.map(|failure| failure.message);
    let why = why.or_else(|| all_lost.then(|| "none of its replicas is ready any more".into()))?;
    let message = format!("within {} of its completion: {why}", facts.spec.monitor);
    Some(RolloutFailure::new(FailureReason::Collapsed, message))
}
