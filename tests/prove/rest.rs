//! Rest: waiting for it, and what is true then whatever came before. The only change it makes is to ring the bell.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use evenkeel::model::history::{DeploymentHistory, Revision, Rollout};
use evenkeel::model::name::{DEFAULT_INSTANCE, Key, Name};
use evenkeel::model::time::Timestamp;
use evenkeel::model::view::{SourcePhase, View};
use evenkeel::store::Store;

use crate::support::scenario::stage::Stage;
use crate::support::sim::app::Millis;
use crate::support::sim::client::owner;
use crate::support::sim::container::Container;
use crate::support::sim::world::World;

/// For how long nothing is changed at rest. Longer than the time between two full looks: what no event told is seen then.
const STILL: Millis = 310_000;
/// The longest that it takes to settle: what goes on changing for longer does so for ever.
const LONGEST: Millis = 2_400_000;
/// How often it is looked whether all has settled.
const STEP: Millis = 5_000;
/// For how long nothing may happen after the bell rang at rest.
const AFTER_BELL: Millis = 60_000;
/// How many passes may be made meanwhile: one for the bell, one every 30 s, and one for each of two things that may just be
/// due; and one every 5 s while there is a source that cannot be read.
const PASSES: u64 = 5;
const PASSES_UNREAD: u64 = PASSES + 12;
/// And two each time that a registry is asked, which is once a minute in these plays, and once more where that has failed.
const PASSES_ASKING: u64 = 4;

/// The indices of the calls so far that changed something.
pub fn changes(stage: &Stage) -> Vec<usize> {
    stage.sim.calls().made.iter().enumerate().filter(|(_, call)| call.changes).map(|(index, _)| index).collect()
}

/// Waits until nothing moves any more. False if something never stops moving.
pub async fn settle(stage: &mut Stage) -> bool {
    let began = stage.sim.now();
    while stage.sim.now() - began < LONGEST {
        let last = stage.sim.calls().made.iter().rev().find(|call| call.changes).map_or(0, |call| call.at);
        if stage.is_idle() && stage.sim.now() - last.max(began) >= STILL {
            return true;
        }
        if stage.wait(STEP).await.is_err() {
            return false;
        }
    }
    false
}

/// What is not as it should be at rest.
pub async fn look(stage: &mut Stage) -> Vec<String> {
    let mut found = ring(stage).await;
    let view = stage.view();
    let instance = Name::new(DEFAULT_INSTANCE).expect("the default instance is a name");
    stage.sim.with(|world| {
        for key in view.objects.keys() {
            found.extend(standing(world, &view, key, &instance));
        }
    });
    found.extend(half_released(&view, &stage.path("state")));
    found
}

/// Another pass at rest plans nothing, and nothing asks for many of them.
async fn ring(stage: &mut Stage) -> Vec<String> {
    if !stage.is_running() {
        return Vec::new();
    }
    let calls = stage.sim.calls().made.len();
    let passes = stage.passes();
    let mut found: Vec<String> = stage.files_changed().err().into_iter().collect();
    found.extend(stage.wait(AFTER_BELL).await.err());
    let made = stage.sim.calls().made[calls..].iter().find(|call| call.changes).cloned();
    found.extend(made.map(|call| format!("at rest another pass does: {} {}", call.name, call.target)));
    let view = stage.view();
    found.extend(view.plan.first().map(|step| format!("at rest there is a plan: {}", step.action)));
    let is_read = view.sources.iter().all(|source| source.state == SourcePhase::Loaded);
    let passes = stage.passes() - passes;
    let asks = view.objects.values().any(|object| object.status.image_policy.is_some());
    let most = if is_read { PASSES } else { PASSES_UNREAD } + if asks { PASSES_ASKING } else { 0 };
    if passes > most {
        found.push(format!("at rest there are {passes} passes in {} s", AFTER_BELL / 1000));
    }
    found
}

/// A release group is whole at rest: where the new revision of one member failed, no other one runs what came with it.
fn half_released(view: &View, state_dir: &Path) -> Vec<String> {
    let Ok(peek) = Store::peek(state_dir) else { return Vec::new() };
    let mut groups: BTreeMap<(Name, String), Vec<(&Key, &DeploymentHistory)>> = BTreeMap::new();
    for (key, object) in &view.objects {
        if let (Some(group), Some(history)) =
            (object.declared.value()["releaseGroup"].as_str(), peek.history.deployments.get(key))
        {
            groups.entry((key.namespace.clone(), group.to_owned())).or_default().push((key, history));
        }
    }
    let settled = |history: &DeploymentHistory| match &history.rollout {
        Rollout::Complete { revision, .. } if history.pin.is_none() => Some(revision.clone()),
        _ => None,
    };
    let went_back =
        |(_, history): &&(&Key, &DeploymentHistory)| settled(history).is_some() && history.rejected().is_some();
    let mut found = Vec::new();
    for ((_, group), members) in groups {
        let Some((failed, _)) = members.iter().find(went_back) else { continue };
        // A rest at which something ran that failed later was none.
        let rejected = members.iter().flat_map(|(_, history)| &history.revisions).filter(|known| known.is_rejected());
        let disproved: BTreeSet<Timestamp> = rejected.filter_map(|known| known.rested_at).collect();
        for (key, history) in members.iter().filter(|(key, _)| key != failed) {
            let Some(current) = settled(history) else { continue };
            let (own, others): (Vec<_>, Vec<_>) = history.revisions.iter().partition(|known| known.id == current);
            let is_good = |known: &&Revision| known.rested_at.is_some_and(|at| !disproved.contains(&at));
            let has_rested = |revisions: &[&Revision]| revisions.iter().any(&is_good);
            if has_rested(&others) && !has_rested(&own) {
                found.push(format!("{failed} went back, and {key} of its release group {group} did not go with it"));
            }
        }
    }
    found
}

/// A Deployment whose status says that it is settled has exactly its replicas, all of them ready and named.
fn standing(world: &World, view: &View, key: &Key, instance: &Name) -> Option<String> {
    let object = &view.objects[key];
    let wanted = object.declared.value()["replicas"].as_u64()? as usize;
    if !matches!(object.status.phase.as_str(), "Complete" | "RolledBack") {
        return None;
    }
    let there = world.containers.values().filter(|c| c.is_there());
    let all: Vec<&Container> = there.filter(|c| owner(world, &c.id, instance).as_ref() == Some(key)).collect();
    let ready = all.iter().filter(|c| c.serves(world.now)).count();
    let named = all.iter().filter(|c| c.endpoints.values().all(|endpoint| !endpoint.aliases.is_empty())).count();
    let is_well = all.len() == wanted && ready == wanted && named == wanted;
    let counts = format!("{} containers, {ready} ready, {named} with all their names", all.len());
    (!is_well).then(|| format!("{key} says that it is {} with {counts}; {wanted} are wanted", object.status.phase))
}
