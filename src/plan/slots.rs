//! Slots: which of a revision's names are taken, by what can be seen and by what is being made. It takes none itself.

use std::collections::BTreeSet;

use super::build;
use super::converge::Scene;
use crate::model::action::create_target;
use crate::model::name::Slot;

/// Slots of this revision that a new replica cannot have.
pub fn taken(scene: &Scene) -> BTreeSet<Slot> {
    used(scene).chain(coming(scene)).collect()
}

/// Slots of this revision that a container on its way out still occupies, or a dead one: its name is taken until it is gone.
fn used<'a>(scene: &'a Scene) -> impl Iterator<Item = Slot> + 'a {
    let own = scene.world.containers(scene.key).iter().filter(|c| c.revision == scene.target.id);
    let dead = scene.world.observed.dead.values().filter(|dead| dead.owner == *scene.key);
    own.map(|container| container.slot).chain(dead.filter_map(|dead| slot(scene, &dead.name)))
}

/// The slot that a name of this revision ends with.
fn slot(scene: &Scene, name: &str) -> Option<Slot> {
    let first = build::name(scene.world, scene.source(), 0);
    name.strip_prefix(first.strip_suffix('0')?)?.parse().ok()
}

/// Slots of this revision whose container is being created and cannot be seen yet.
pub fn coming(scene: &Scene) -> BTreeSet<Slot> {
    if scene.world.observed.in_flight.is_empty() {
        return BTreeSet::new();
    }
    let first = create_target(&build::name(scene.world, scene.source(), 0));
    let prefix = first.strip_suffix('0').expect("a name ends with its slot");
    let used: BTreeSet<Slot> = used(scene).collect();
    let slots = scene.world.observed.in_flight.iter().filter_map(|target| target.strip_prefix(prefix)?.parse().ok());
    slots.filter(|slot| !used.contains(slot)).collect()
}
