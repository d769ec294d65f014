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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::history::DeploymentHistory;
    use crate::model::name::{Kind, Name};
    use crate::model::status::Plan;
    use crate::model::time::Timestamp;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn key() -> Key {
        Key::new(Kind::Volume, name("shop"), name("data"))
    }

    /// The plan for volume `shop/data` where the engine has these.
    fn planned(spec: Value, live: &[Volume], history: &History) -> Plan {
        let mut desired = Desired::default();
        desired.volumes.insert(key(), Declared::bare(serde_json::from_value(spec).unwrap()));
        let volumes = live.iter().map(|volume| (volume.name.clone(), volume.clone())).collect();
        let observed = Observed { volumes, ..Observed::default() };
        crate::plan::plan(&desired, &observed, history, Timestamp(1_000_000))
    }

    fn made(plan: &Plan) -> Vec<VolumeCreate> {
        let calls = plan.actions.iter().map(|action| match &action.call {
            Call::CreateVolume(create) => create.clone(),
            other => panic!("{other}"),
        });
        calls.collect()
    }

    /// How it stands with one, of which nothing may be made.
    fn standing(spec: Value, live: &[Volume]) -> String {
        let plan = planned(spec, live, &History::default());
        assert_eq!(made(&plan), []);
        let status = &plan.status[&key()];
        format!("{}: {}", status.phase, status.message)
    }

    fn volume(name: &str, driver: &str, options: &[(&str, &str)]) -> Volume {
        let options = options.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        Volume { name: name.into(), labels: BTreeMap::new(), driver: driver.into(), options }
    }

    /// What the engine has after it has made one that was asked for.
    fn ours(spec: &Value) -> Volume {
        let [create] = made(&planned(spec.clone(), &[], &History::default())).try_into().unwrap();
        Volume { name: create.name, labels: create.labels, driver: create.driver, options: create.options }
    }

    const WAY_OUT: &str = "a volume cannot be changed in place, and Evenkeel never recreates one";

    #[test]
    fn a_missing_volume_is_made_as_it_is_declared_and_is_ready() {
        for (spec, driver) in
            [(json!({}), "local"), (json!({"driver": "nfs"}), "nfs"), (json!({"options": {"size": "1g"}}), "local")]
        {
            let ours = ours(&spec);
            assert_eq!((ours.name.as_str(), ours.driver.as_str()), ("shop.data", driver), "{spec}");
            assert_eq!(json!(ours.options), spec.get("options").cloned().unwrap_or(json!({})));
            assert_eq!(standing(spec, &[ours]), format!("Ready: {driver}"));
        }
    }

    #[test]
    fn an_external_volume_is_not_made_and_is_taken_as_it_is() {
        let spec = json!({"name": "old", "external": true, "options": {"type": "nfs"}});
        assert_eq!(standing(spec.clone(), &[]), "Pending: external volume old does not exist");
        assert_eq!(standing(spec, &[volume("old", "nfs", &[])]), "Ready: nfs");
    }

    #[test]
    fn one_that_somebody_has_made_under_our_name_is_used_with_a_word_and_one_that_is_named_without() {
        let words =
            "it was there before, and is used with what it holds: `name: shop.data` in its spec says that it is meant";
        assert_eq!(standing(json!({}), &[volume("shop.data", "local", &[])]), format!("Ready: local; {words}"));
        let options = [("device", "/srv"), ("o", "bind"), ("type", "none")];
        assert_eq!(standing(json!({"name": "old"}), &[volume("old", "local", &options)]), "Ready: local");
    }

    #[test]
    fn what_differs_is_told_and_left_as_it_is() {
        let told = |difference: &str| format!("Degraded: {difference}; {WAY_OUT}");
        let driver = told("it has driver local, the manifest says nfs");
        assert_eq!(standing(json!({"driver": "nfs"}), &[ours(&json!({}))]), driver);
        let sized = json!({"options": {"o": "size=1g", "type": "tmpfs"}});
        let more = told("its driver options (set: none) differ from the manifest's (set: o, type)");
        assert_eq!(standing(sized.clone(), &[ours(&json!({}))]), more);
        let fewer = told("its driver options (set: o, type) differ from the manifest's (set: none)");
        assert_eq!(standing(json!({}), &[ours(&sized)]), fewer);
        let named = json!({"name": "old", "options": {"type": "tmpfs"}});
        let other = told("its driver options (set: type) differ from the manifest's (set: type)");
        assert_eq!(standing(named, &[volume("old", "local", &[("type", "nfs")])]), other);
    }

    #[test]
    fn one_that_is_gone_is_not_made_anew_where_a_deployment_has_completed_with_it() {
        let completed = json!({"completed": {"at": 1}});
        let spoilt = [
            ("shop", "data", json!("pending")),
            ("other", "data", completed.clone()),
            ("shop", "cache", completed.clone()),
        ];
        for (namespace, volume, outcome) in spoilt {
            assert_eq!(
                made(&planned(json!({}), &[], &ran(namespace, volume, &outcome))).len(),
                1,
                "{namespace} {volume}"
            );
        }
        let history = ran("shop", "data", &completed);
        let plan = planned(json!({}), &[], &history);
        assert_eq!((made(&plan), plan.status[&key()].phase.as_str()), (vec![], "Degraded"));
        let words = "deployment/shop/db has run with volume shop.data, which is gone";
        assert!(plan.status[&key()].message.starts_with(words), "{}", plan.status[&key()].message);
        let external = planned(json!({"name": "shop.data", "external": true}), &[], &history);
        assert_eq!(external.status[&key()].phase, "Pending");
    }

    /// The memory of a Deployment `db` that has had a revision with a mount.
    fn ran(namespace: &str, volume: &str, outcome: &Value) -> History {
        let template =
            json!({"image": "db:1", "mounts": [{"path": "/x", "hostPath": "/srv"}, {"path": "/y", "volume": volume}]});
        let revision = json!({
            "number": 1, "id": "r1", "templateHash": "t", "template": template, "contents": {}, "image": "i", "digest": null,
            "createdAt": 1, "outcome": outcome,
        });
        let known: DeploymentHistory = serde_json::from_value(json!({"revisions": [revision]})).unwrap();
        History {
            deployments: [(Key::new(Kind::Deployment, name(namespace), name("db")), known)].into(),
            ..History::default()
        }
    }
}
