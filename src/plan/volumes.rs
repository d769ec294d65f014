//! Volumes: created when missing, adopted when named, reported when different. Nothing here removes or recreates one.

use super::networks::{degraded, is_ours, labels, ready, waiting};
use super::world::{Decided, World};
use crate::model::action::{Call, VolumeCreate};
use crate::model::desired::Declared;
use crate::model::name::Key;
use crate::model::observed::Volume;
use crate::model::spec::VolumeSpec;
use crate::policy;

/// Decides for one declared volume.
pub fn volume(world: World, key: &Key, declared: &Declared<VolumeSpec>) -> Decided {
    let spec = &declared.spec;
    let mut decided = Decided::default();
    let name = spec.name.clone().unwrap_or_else(|| world.engine_name(&key.namespace, &key.name));
    match world.observed.volumes.get(&name) {
        Some(live) => {
            decided.refuse(policy::volume_refusals(world.ground(), &key.namespace, live));
            decided.status = match difference(spec, live).filter(|_| !spec.external) {
                None if spec.name.is_none() && !is_ours(world, &live.labels, key) => ready(&adopted(live)),
                None => ready(&live.driver),
                Some(difference) => {
                    let way_out = "a volume cannot be changed in place, and Evenkeel never recreates one";
                    degraded("Different", format!("{difference}; {way_out}"))
                }
            };
        }
        None if spec.external => decided.status = waiting(format!("external volume {name} does not exist")),
        None => {
            decided.status = waiting("being created".into());
            let create = VolumeCreate {
                labels: labels(world, key, &spec.labels, String::new()),
                driver: driver(spec).into(),
                options: spec.options.clone(),
                name,
            };
            decided.act(world, key, Call::CreateVolume(create), "it is declared and does not exist");
        }
    }
    if let Some(waiting) = decided.waiting.first() {
        decided.status.message = waiting.clone();
    }
    decided
}

/// Of one that somebody has made under the name of ours, to restore what it holds or by chance: it is used as it is, and never
/// without a word.
fn adopted(live: &Volume) -> String {
    let name = &live.name;
    format!(
        "{}; it was there before, and is used with what it holds: `name: {name}` in its spec says that it is meant",
        live.driver
    )
}

fn driver(spec: &VolumeSpec) -> &str {
    spec.driver.as_deref().unwrap_or("local")
}

/// How a living volume differs from its declaration, in driver and options. A manifest without options asks for none.
fn difference(spec: &VolumeSpec, live: &Volume) -> Option<String> {
    if driver(spec) != live.driver {
        return Some(format!("it has driver {}, the manifest says {}", live.driver, driver(spec)));
    }
    let adopted = spec.name.is_some() && spec.options.is_empty();
    if !adopted && spec.options != live.options {
        let keys = |options: &std::collections::BTreeMap<String, String>| match options.is_empty() {
            true => "none".to_string(),
            false => options.keys().cloned().collect::<Vec<_>>().join(", "),
        };
        return Some(format!(
            "its driver options (set: {}) differ from the manifest's (set: {})",
            keys(&live.options),
            keys(&spec.options)
        ));
    }
    None
}
