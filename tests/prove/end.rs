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
    /// Networks with their subnets, but for which of Evenkeel's own, and volumes with their driver.
    pub places: BTreeMap<String, String>,
}

/// What is there now.
pub fn of(stage: &mut Stage) -> End {
    let view = stage.view();
    let instance = Name::new(DEFAULT_INSTANCE).expect("the default instance is a name");
    let names = &stage.names;
    stage.sim.with(|world| {
        let ours = world.containers.values().filter_map(|c| Some((c, owner(world, &c.id, &instance)?)));
        let ours = ours.filter(|(c, key)| !is_put_aside(&view, key, c));
        let hashed: BTreeMap<String, String> = ours
            .map(|(c, key)| match is_moving(&view, &key) {
                // Which of its runs are left is a matter of time, and a fault takes some.
                _ if key.kind == Kind::CronJob => (format!("a run of {key}"), "there".into()),
                // Nor is it which attempt it took: an engine that ends takes one.
                _ if key.kind == Kind::Job => (without_attempt(&c.name), likeness(c)),
                true => (format!("a replica of {key} from {}", c.image), "there".into()),
                false => (c.name.clone(), likeness(c)),
            })
            .collect();
        let networks = world.networks.values().map(|n| (format!("network {}", n.name), without_choice(&n.subnets)));
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

/// Which of Evenkeel's own range a network has is a matter of which was created first.
fn without_choice(subnets: &[String]) -> String {
    let is_ours =
        |subnet: &str| (subnet.starts_with("198.18.") || subnet.starts_with("198.19.")) && subnet.ends_with(".0/24");
    let told: Vec<&str> = subnets.iter().map(|s| if is_ours(s) { "one of ours" } else { s }).collect();
    told.join(",")
}

/// The name of a Job's container but for the attempt.
fn without_attempt(name: &str) -> String {
    name.rsplit_once('.').map_or(name, |(run, _)| run).to_owned()
}

/// Whether an object's replicas come and go by right: their program ends again and again, and nothing better is known.
fn is_moving(view: &View, key: &Key) -> bool {
    let phase = view.objects.get(key).map(|object| object.status.phase.as_str());
    key.kind == Kind::Deployment && matches!(phase, Some("Degraded" | "Progressing" | "RollingBack" | "Waiting"))
}

/// What differs in how objects stand. A result that is known may take the place of one that is not.
fn standing(found: &BTreeMap<Key, String>, expected: &BTreeMap<Key, String>) -> Vec<String> {
    let known = |key: &Key, phase: &String| {
        let unknown = expected.get(key).is_some_and(|phase| phase == "Unknown");
        if unknown && matches!(phase.as_str(), "Complete" | "Failed") { "Unknown".into() } else { phase.clone() }
    };
    let found = found.iter().map(|(key, phase)| (key.clone(), known(key, phase))).collect();
    different(&found, expected)
}

/// Whether a replica was made ready for a step that a stalled rollout does not take.
fn is_put_aside(view: &View, key: &Key, container: &Container) -> bool {
    let phase = view.objects.get(key).map(|object| object.status.phase.as_str());
    phase == Some("Stalled") && container.state_word() == "created"
}

/// Whether it was made from its image's name or, where nothing names that any more, from its id, makes no difference.
fn likeness(container: &Container) -> String {
    let aliases: Vec<_> = container.endpoints.iter().map(|(network, e)| (network, &e.aliases)).collect();
    format!("{} {} {aliases:?} {:?}", container.state_word(), container.image, container.adjustable)
}

impl End {
    /// What differs from another end, in words.
    pub fn differences(&self, expected: &End) -> Vec<String> {
        let mut found = standing(&self.objects, &expected.objects);
        if self.hashed != expected.hashed {
            found.extend(different(&self.containers, &expected.containers));
        }
        found.extend(different(&self.places, &expected.places));
        found
    }

    /// The same, where the numbers of revisions were lost on the way, and with the key of secrets all that use one.
    pub fn differences_without_numbers(&self, expected: &End) -> Vec<String> {
        let mut found = standing(&self.objects, &expected.objects);
        let alike = |end: &End| {
            let mut alike: Vec<(String, String)> =
                end.containers.iter().map(|(name, likeness)| (unnumbered(name), likeness.clone())).collect();
            alike.sort();
            alike
        };
        if alike(self) != alike(expected) {
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

/// `shop.web.r2.0` as `shop.web`.
fn unnumbered(name: &str) -> String {
    let numbered = |part: &&str| part.strip_prefix('r').is_some_and(|number| number.parse::<u32>().is_ok());
    let parts: Vec<&str> = name.split('.').collect();
    let end = parts.iter().position(numbered).unwrap_or(parts.len());
    parts[..end].join(".")
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
