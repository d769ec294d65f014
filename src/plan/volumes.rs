//! Volumes: created when missing, adopted when named, reported when different. Nothing here removes or recreates one.

use std::collections::BTreeMap;

use super::networks::{degraded, is_ours, labels, ready, waiting};
use super::world::{Decided, World};
use crate::model::action::{Call, VolumeCreate};
use crate::model::desired::{Declared, Desired};
use crate::model::history::{History, Outcome, Revision};
use crate::model::name::Key;
use crate::model::observed::{Observed, Volume};
use crate::model::spec::VolumeSpec;
use crate::policy;

/// Decides for one declared volume.
pub fn volume(world: World, key: &Key, declared: &Declared<VolumeSpec>) -> Decided {
    let spec = &declared.spec;
    let mut decided = Decided::default();
    let name = world.desired.volume_name(key);
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
        // An empty one in its place would look like lost data, and be written to.
        None if let Some(user) = world.gone.get(&name) => {
            let way_out = format!(
                "`docker volume create {name}` begins with an empty one; to restore a backup into it first, suspend {user} meanwhile"
            );
            decided.status =
                degraded("Missing", format!("{user} has run with volume {name}, which is gone; {way_out}"));
        }
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

/// The volumes that are gone though a Deployment has run with them, as far as anybody remembers: an empty one is not made in their
/// place before a person says so.
pub fn gone<'a>(desired: &Desired, observed: &Observed, history: &'a History) -> BTreeMap<String, &'a Key> {
    let ours = desired.volumes.iter().filter(|(_, declared)| !declared.spec.external);
    let named = ours.map(|(key, _)| (key, desired.volume_name(key)));
    let missing = named.filter(|(_, name)| !observed.volumes.contains_key(name));
    missing.filter_map(|(key, name)| Some((name, user(history, key)?))).collect()
}

/// The Deployment that has completed a rollout with a volume.
fn user<'a>(history: &'a History, volume: &Key) -> Option<&'a Key> {
    let mounts = |revision: &Revision| {
        let mut mounted = revision.template.mounts.iter().filter_map(|mount| mount.volume.as_ref());
        matches!(revision.outcome, Outcome::Completed { .. }) && mounted.any(|name| *name == volume.name)
    };
    let mut here = history.deployments.iter().filter(|(key, _)| key.namespace == volume.namespace);
    here.find(|(_, deployment)| deployment.revisions.iter().any(mounts)).map(|(key, _)| key)
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
        let keys = |options: &BTreeMap<String, String>| match options.is_empty() {
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
