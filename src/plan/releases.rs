//! Release groups: Deployments that belong together. When one goes back, so do the others. It looks at what the others were
//! in the pass before, and starts and stops nothing.
//!
//! Whenever a whole group is at rest, each member notes since when at the revision that it runs. So the times tell which
//! revisions belong together, and a rest at which a revision ran that was rejected later is none to go back to.

use std::collections::BTreeSet;

use super::build;
use super::deployment;
use super::last_good;
use super::replica::find;
use super::world::World;
use crate::model::desired::Desired;
use crate::model::history::{DeploymentHistory, History, Outcome, Rollout};
use crate::model::name::Key;
use crate::model::revision::RevisionId;
use crate::model::spec::DeploymentSpec;
use crate::model::time::Timestamp;

/// Why and where a member goes back with its group.
pub struct Setback {
    /// Why.
    pub why: String,
    /// What it ran when the group was last at rest; none if it is newer than that.
    pub to: Option<RevisionId>,
}

/// Notes what a member runs when its group comes to rest, and when the last member completed. That is written down before, so
/// that all note the same time.
pub fn remember(world: World, past: &History, key: &Key, spec: &DeploymentSpec, history: &mut DeploymentHistory) {
    if spec.release_group.is_none() || newest_rested(history, &BTreeSet::new()).as_ref() == running(history) {
        return;
    }
    let rested_since = |member: &Key| past.deployments.get(member).filter(|known| rests(known)).and_then(completed_at);
    let all: Option<Vec<Timestamp>> = std::iter::once(key).chain(others(world, key, spec)).map(rested_since).collect();
    let at_rest = all.and_then(|times| times.into_iter().max());
    if at_rest.is_some() {
        // What was chosen against the group is what all of it asks for by now.
        history.pin = None;
    }
    let noted = noted_by_others(world, past, key, spec);
    let running = running(history).cloned();
    if let Some(revision) = history.revisions.iter_mut().find(|revision| Some(&revision.id) == running.as_ref()) {
        revision.rested_at = noted.or(at_rest).or(revision.rested_at);
    }
}

/// The first rest that others have noted since what a member runs completed. It was one of this member too, though the
/// controller may have died before that was written down, and the others may have moved on.
fn noted_by_others(world: World, past: &History, key: &Key, spec: &DeploymentSpec) -> Option<Timestamp> {
    let since = past.deployments.get(key).and_then(completed_at)?;
    let known = others(world, key, spec).filter_map(|other| past.deployments.get(other));
    known
        .flat_map(|known| known.revisions.iter().filter_map(|revision| revision.rested_at))
        .filter(|at| *at >= since)
        .min()
}

/// Whether another member of the group asks for something new since all came back on a machine that was rebuilt.
pub fn moves_on(world: World, past: &History, key: &Key, spec: &DeploymentSpec) -> bool {
    let asks = |known: &DeploymentHistory| known.pin.is_none() && known.revisions.len() > 1;
    others(world, key, spec).any(|other| past.deployments.get(other).is_some_and(asks))
}

/// Whether a member is where its manifest wants it, whoever else may have chosen that as well.
fn rests(history: &DeploymentHistory) -> bool {
    let wanted = history.asked_for();
    let is_wanted = |id: &RevisionId| wanted.as_ref() == Some(id);
    history.pin.as_ref().is_none_or(|pin| is_wanted(pin.chosen()))
        && running(history).is_some_and(|id| is_wanted(id) && last_good::is_proven(history, id))
}

fn running(history: &DeploymentHistory) -> Option<&RevisionId> {
    match &history.rollout {
        Rollout::Complete { revision, .. } => Some(revision),
        Rollout::New | Rollout::Progressing { .. } | Rollout::RollingBack { .. } | Rollout::Stalled { .. } => None,
    }
}

/// When what runs had completed.
fn completed_at(history: &DeploymentHistory) -> Option<Timestamp> {
    let Outcome::Completed { at } = find(history, running(history)?)?.outcome else { return None };
    Some(at)
}

/// Whether a member's group goes back: another one's revision was rejected, and that one went back.
pub fn setback(
    world: World,
    past: &History,
    key: &Key,
    spec: &DeploymentSpec,
    history: &DeploymentHistory,
) -> Option<Setback> {
    let group = spec.release_group.as_ref()?;
    let of_others = || others(world, key, spec).filter_map(|other| Some((other, past.deployments.get(other)?)));
    let still_failed = |(other, known)| Some((other, failure(known).filter(|_| still_asks(world, other, known))?));
    let (failed, number) = of_others().find_map(still_failed)?;
    let why = format!("release group '{group}' goes back together: revision {number} of {failed} failed");
    let disproved = of_others().map(|(_, known)| known).chain([history]).flat_map(|known| {
        known.revisions.iter().filter(|revision| revision.is_rejected()).filter_map(|revision| revision.rested_at)
    });
    Some(Setback { why, to: newest_rested(history, &disproved.collect()) })
}

/// Whether a member's manifest is the one that its revision was last made by. It may have been edited in this very pass, and then
/// the others need not wait for another one.
fn still_asks(world: World, member: &Key, history: &DeploymentHistory) -> bool {
    let (Some(declared), Some(resolution)) = (world.desired.deployments.get(member), &history.resolution) else {
        return false;
    };
    let contents = build::contents(world, member, &declared.spec.template);
    deployment::hash(&declared.spec, &contents, history) == resolution.template
}

/// Whether something has come about in this pass that other members go by: they have decided with the memory of before it.
pub fn has_news(desired: &Desired, before: &History, after: &History) -> bool {
    let grouped = desired.deployments.iter().filter(|(_, declared)| declared.spec.release_group.is_some());
    let told = |history: &History, key: &Key| {
        let known = history.deployments.get(key)?;
        Some((failure(known), rests(known), known.pin.is_some()))
    };
    let mut keys = grouped.map(|(key, _)| key);
    keys.any(|key| told(before, key) != told(after, key))
}

/// The number of the revision that a member went back from.
fn failure(history: &DeploymentHistory) -> Option<u64> {
    // One that is stalled goes neither way, and so do the others.
    let is_back = !matches!(history.rollout, Rollout::Stalled { .. });
    history.rejected().filter(|_| is_back).map(|revision| revision.number)
}

/// What a member ran when its group was last at rest, at none of these times.
fn newest_rested(history: &DeploymentHistory, but: &BTreeSet<Timestamp>) -> Option<RevisionId> {
    let rested = history.revisions.iter().filter_map(|revision| Some((revision.rested_at?, revision)));
    let valid = rested.filter(|(at, revision)| !but.contains(at) && !revision.is_rejected());
    valid.max_by_key(|(at, revision)| (*at, revision.number)).map(|(_, revision)| revision.id.clone())
}

/// The two newest revisions that a member's group was at rest with: one of them is gone back to.
pub fn kept(history: &DeploymentHistory) -> Vec<RevisionId> {
    let mut rested: Vec<_> = history.revisions.iter().filter(|revision| revision.rested_at.is_some()).collect();
    rested.sort_by_key(|revision| std::cmp::Reverse((revision.rested_at, revision.number)));
    rested.into_iter().take(2).map(|revision| revision.id.clone()).collect()
}

/// Another member whose newest revision has failed and that goes neither way, because a person is to say: none begins before that.
pub fn stalled_member<'a>(world: World<'a>, past: &History, key: &Key) -> Option<&'a Key> {
    let declared = world.desired.deployments.get(key)?;
    let has_stalled = |history: &DeploymentHistory| {
        matches!(history.rollout, Rollout::Stalled { .. }) && history.rejected().is_some()
    };
    let is_stalled = |member: &&Key| {
        past.deployments.get(*member).is_some_and(|known| has_stalled(known) && still_asks(world, member, known))
    };
    others(world, key, &declared.spec).find(is_stalled)
}

/// Whether two Deployments are in one group.
pub fn are_together(world: World, one: &Key, other: &Key) -> bool {
    let declared = world.desired.deployments.get(one);
    declared.is_some_and(|declared| others(world, one, &declared.spec).any(|member| member == other))
}

/// The other members of a Deployment's group.
fn others<'a>(world: World<'a>, key: &Key, spec: &DeploymentSpec) -> impl Iterator<Item = &'a Key> {
    let group = spec.release_group.as_ref();
    let is_other = move |(other, of): &(&'a Key, &'a crate::model::desired::Declared<DeploymentSpec>)| {
        *other != key && other.namespace == key.namespace && group.is_some() && of.spec.release_group.as_ref() == group
    };
    world.desired.deployments.iter().filter(is_other).map(|(other, _)| other)
}
