//! Rest: waiting for it, and what is true then whatever came before. The only change it makes is to ring the bell.

use evenkeel::model::name::{DEFAULT_INSTANCE, Key, Name};
use evenkeel::model::view::{SourcePhase, View};

use crate::support::scenario::stage::Stage;
use crate::support::sim::app::Millis;
use crate::support::sim::client::owner;
use crate::support::sim::container::{Container, State};
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

/// A Deployment whose status says that it is settled has exactly its replicas, all of them ready and named.
fn standing(world: &World, view: &View, key: &Key, instance: &Name) -> Option<String> {
    let object = &view.objects[key];
    let wanted = object.declared.value()["replicas"].as_u64()? as usize;
    if !matches!(object.status.phase.as_str(), "Complete" | "RolledBack") {
        return None;
    }
    let there = world.containers.values().filter(|c| c.state != State::Removing);
    let all: Vec<&Container> = there.filter(|c| owner(world, &c.id, instance).as_ref() == Some(key)).collect();
    let ready = all.iter().filter(|c| c.serves(world.now)).count();
    let named = all.iter().filter(|c| c.endpoints.values().all(|endpoint| !endpoint.aliases.is_empty())).count();
    let is_well = all.len() == wanted && ready == wanted && named == wanted;
    let counts = format!("{} containers, {ready} ready, {named} with all their names", all.len());
    (!is_well).then(|| format!("{key} says that it is {} with {counts}; {wanted} are wanted", object.status.phase))
}
