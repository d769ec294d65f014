//! What is there at the end of a play, without what may differ between two ways to it. It looks.

use std::collections::BTreeMap;

use evenkeel::model::name::{DEFAULT_INSTANCE, Key, Kind, Name};
use evenkeel::model::view::View;

use crate::support::scenario::stage::Stage;
use crate::support::sim::client::owner;
use crate::support::sim::container::Container;

/// The end of a play.
#[derive(Debug, Clone, Default)]
pub struct End {
    /// The phase of each object.
    pub objects: BTreeMap<Key, String>,
    /// What is to be seen of each of our containers, by the name that a transcript gives it.
    pub containers: BTreeMap<String, String>,
    /// The same by the name that it has: a fault can leave a revision out, and shift the numbers of those that follow.
    hashed: BTreeMap<String, String>,
    /// Networks with their subnets, and volumes with their driver.
    pub places: BTreeMap<String, String>,
}

/// What is there now.
pub fn of(stage: &mut Stage) -> End {
    let view = stage.view();
    let instance = Name::new(DEFAULT_INSTANCE).expect("the default instance is a name");
    let names = &stage.names;
    stage.sim.with(|world| {
        let ours = world.containers.values().filter_map(|c| Some((c, owner(world, &c.id, &instance)?)));
        let hashed: BTreeMap<String, String> = ours
            .map(|(c, key)| (c.name.clone(), if is_moving(&view, &key) { c.reference.clone() } else { likeness(c) }))
            .collect();
        let networks = world.networks.values().map(|n| (format!("network {}", n.name), n.subnets.join(",")));
        let volumes = world.volumes.values().filter(|volume| !volume.anonymous);
        let volumes = volumes.map(|v| (format!("volume {}", v.name), v.driver.clone()));
        End {
            containers: hashed.iter().map(|(name, likeness)| (names.show(name), likeness.clone())).collect(),
            hashed,
            places: networks.chain(volumes).collect(),
            objects: view.objects.iter().map(|(key, object)| (key.clone(), object.status.phase.clone())).collect(),
        }
    })
}

/// Whether an object's replicas come and go by right: their program ends again and again, and nothing better is known.
fn is_moving(view: &View, key: &Key) -> bool {
    let phase = view.objects.get(key).map(|object| object.status.phase.as_str());
    key.kind == Kind::Deployment && matches!(phase, Some("Degraded" | "Progressing" | "RollingBack" | "Waiting"))
}

fn likeness(container: &Container) -> String {
    let aliases: Vec<_> = container.endpoints.iter().map(|(network, e)| (network, &e.aliases)).collect();
    format!("{} {} {aliases:?} {:?}", container.state_word(), container.reference, container.adjustable)
}

impl End {
    /// What differs from another end, in words.
    pub fn differences(&self, expected: &End) -> Vec<String> {
        let mut found = different(&self.objects, &expected.objects);
        if self.hashed != expected.hashed {
            found.extend(different(&self.containers, &expected.containers));
        }
        found.extend(different(&self.places, &expected.places));
        found
    }

    /// The same, where the history was lost on the way: other revisions may be out.
    pub fn differences_without_history(&self, expected: &End) -> Vec<String> {
        let keys = |end: &End| end.objects.keys().map(|key| (key.clone(), "there")).collect::<BTreeMap<_, _>>();
        let mut found = different(&keys(self), &keys(expected));
        found.extend(different(&self.places, &expected.places));
        found
    }
}

fn different<K: Ord + std::fmt::Display, V: PartialEq + std::fmt::Debug>(
    found: &BTreeMap<K, V>,
    expected: &BTreeMap<K, V>,
) -> Vec<String> {
    let other = found.iter().filter(|(key, value)| expected.get(*key) != Some(value));
    let other = other.map(|(key, value)| format!("{key} is {value:?}, not {:?}", expected.get(key)));
    let missing = expected.keys().filter(|key| !found.contains_key(*key)).map(|key| format!("{key} is missing"));
    other.chain(missing).collect()
}
