//! Host ports that change hands: who still holds what another one is to have, and who waits for whom in a circle.

use std::collections::{BTreeMap, BTreeSet};

use super::replica::find;
use crate::model::history::{DeploymentHistory, History, Rollout};
use crate::model::name::Key;
use crate::model::observed::{Container, ContainerState, ForeignPort, Observed};
use crate::model::revision::RevisionId;
use crate::model::spec::{HostPort, Port, Template};

/// The fixed host ports that replicas have or had, in one pass. Most worlds have hardly any.
#[derive(Debug, Default)]
pub struct HostPorts<'a> {
    places: Vec<Place<'a>>,
    circles: BTreeMap<&'a Key, Circle<'a>>,
}

/// A host port of a container that was started.
#[derive(Debug)]
struct Place<'a> {
    owner: &'a Key,
    port: &'a Port,
    /// Whether it has the port now.
    is_held: bool,
    /// Whether its update is to take it away.
    is_left: bool,
}

/// What a Deployment exchanges its host ports with.
#[derive(Debug)]
struct Circle<'a> {
    /// The one that it waits for.
    next: &'a Key,
    /// Whether each of them has a container that lacks nothing but its start.
    is_prepared: bool,
}

impl<'a> HostPorts<'a> {
    /// Who has what, as the engine tells, and who waits in a circle, by what the Deployments' memory says of their updates.
    pub fn of(past: &'a History, by_owner: &BTreeMap<&'a Key, Vec<&'a Container>>) -> HostPorts<'a> {
        let publishes = |history: &DeploymentHistory| history.revisions.iter().any(|r| !fixed(&r.template).is_empty());
        let has_published =
            |key: &Key| by_owner.get(key).is_some_and(|all| all.iter().any(|c| !c.published.is_empty()));
        let publishers = past.deployments.iter().filter(|(key, history)| publishes(history) || has_published(key));
        let publishers: Vec<_> = publishers.map(|(key, history)| (key, history, by_owner.get(key))).collect();
        let mut ports = HostPorts::default();
        for (key, history, containers) in &publishers {
            for container in containers.iter().flat_map(|containers| containers.iter()) {
                ports.places.extend(places(key, history, container));
            }
        }
        if ports.places.is_empty() {
            return ports;
        }
        let mut waits: BTreeMap<&Key, BTreeSet<&Key>> = BTreeMap::new();
        let mut prepared: BTreeSet<&Key> = BTreeSet::new();
        for (key, history, containers) in publishers {
            let Some(target) = target(history).and_then(|id| find(history, id)) else { continue };
            let left = ports.others(key, &target.template).filter(|place| place.is_left);
            waits.insert(key, left.map(|place| place.owner).collect());
            if containers.is_some_and(|all| all.iter().any(|container| container.revision == target.id)) {
                prepared.insert(key);
            }
        }
        ports.circles = circles(&waits, &prepared);
        ports
    }

    /// Who keeps a container of `owner` from starting by holding a host port of its template, and the port.
    pub fn holder(&self, owner: &Key, template: &Template) -> Option<(&'a Key, u16)> {
        let held = self.others(owner, template).find(|place| place.is_held)?;
        Some((held.owner, number(held.port)?))
    }

    /// Who it is that `owner` has to exchange its host ports with: each waits for the other, so one must stop first.
    pub fn exchanged_with(&self, owner: &Key) -> Option<&'a Key> {
        self.circles.get(owner).map(|circle| circle.next)
    }

    /// Whether a replica of `owner` would stop in vain: its successor could not start, because another one holds its
    /// port and is not about to give it up.
    pub fn bar(&self, owner: &Key, template: &Template) -> bool {
        let is_exchanged = self.circles.get(owner).is_some_and(|circle| circle.is_prepared);
        !is_exchanged && self.holder(owner, template).is_some()
    }

    /// What others have or had of the places that a template asks for.
    fn others(&self, owner: &Key, template: &Template) -> impl Iterator<Item = &Place<'a>> {
        let wanted = if self.places.is_empty() { Vec::new() } else { fixed(template) };
        let others = self.places.iter().filter(move |place| place.owner != owner);
        others.filter(move |place| wanted.iter().any(|port| clash(port, place.port)))
    }
}

/// Who of those that are not ours has a fixed host port of a template.
pub fn foreign_holder<'a>(observed: &'a Observed, template: &Template) -> Option<&'a ForeignPort> {
    let holds = |port: &Port, held: &ForeignPort| {
        number(port) == Some(held.port)
            && port.protocol == held.protocol
            && (port.host_ip == held.address || port.host_ip.is_unspecified() || held.address.is_unspecified())
    };
    let held = &mut observed.foreign_ports.iter();
    held.find(|held| template.ports.iter().any(|port| holds(port, held)))
}

/// The host ports of one container.
fn places<'a>(owner: &'a Key, history: &'a DeploymentHistory, container: &'a Container) -> Vec<Place<'a>> {
    let is_held = match container.state {
        // What the engine is about to start again takes them back.
        ContainerState::Running { .. } | ContainerState::Paused | ContainerState::Restarting { .. } => true,
        ContainerState::Exited(_) => false,
        ContainerState::Created { .. } | ContainerState::Removing => return Vec::new(),
    };
    let is_left = target(history).is_some_and(|target| *target != container.revision);
    let ports = container.published.iter().filter(|port| number(port).is_some());
    ports.map(|port| Place { owner, port, is_held, is_left }).collect()
}

/// The revision that an update is to reach.
fn target(history: &DeploymentHistory) -> Option<&RevisionId> {
    match &history.rollout {
        Rollout::Progressing { to, .. } => Some(to),
        Rollout::New | Rollout::RollingBack { .. } | Rollout::Complete { .. } | Rollout::Stalled { .. } => None,
    }
}

/// Which Deployments come back to themselves when one follows who waits for whom.
fn circles<'a>(
    waits: &BTreeMap<&'a Key, BTreeSet<&'a Key>>,
    prepared: &BTreeSet<&'a Key>,
) -> BTreeMap<&'a Key, Circle<'a>> {
    let reach: BTreeMap<&Key, BTreeSet<&Key>> = waits.keys().map(|key| (*key, reachable(waits, key))).collect();
    let back = |from: &Key, to: &Key| reach.get(from).is_some_and(|reached| reached.contains(to));
    let circle = |(key, nexts): (&&'a Key, &BTreeSet<&'a Key>)| {
        let next = nexts.iter().find(|next| back(next, key))?;
        let mut members = waits.keys().filter(|other| back(key, other) && back(other, key));
        Some((*key, Circle { next, is_prepared: members.all(|member| prepared.contains(member)) }))
    };
    waits.iter().filter_map(circle).collect()
}

fn reachable<'a>(waits: &BTreeMap<&'a Key, BTreeSet<&'a Key>>, from: &Key) -> BTreeSet<&'a Key> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&Key> = waits.get(from).into_iter().flatten().copied().collect();
    while let Some(key) = open.pop() {
        if reached.insert(key) {
            open.extend(waits.get(key).into_iter().flatten());
        }
    }
    reached
}

/// The ports with one place on the host; from a range the engine takes what is free.
fn fixed(template: &Template) -> Vec<&Port> {
    template.ports.iter().filter(|port| number(port).is_some()).collect()
}

fn number(port: &Port) -> Option<u16> {
    match port.host_port {
        Some(HostPort::Fixed(number)) => Some(number),
        Some(HostPort::Range(_)) | None => None,
    }
}

fn clash(a: &Port, b: &Port) -> bool {
    let same_address = a.host_ip == b.host_ip || a.host_ip.is_unspecified() || b.host_ip.is_unspecified();
    a.protocol == b.protocol && number(a) == number(b) && same_address
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn two_ports_want_the_same_place_if_number_and_protocol_are_the_same_and_an_address_is_of_both() {
        let port = |of: Value| -> Port {
            let mut all = json!({"port": 80, "hostPort": 8080, "hostIP": "127.0.0.1"});
            all.as_object_mut().unwrap().extend(of.as_object().unwrap().clone());
            serde_json::from_value(all).unwrap()
        };
        let one = port(json!({}));
        for (other, expected) in [
            (json!({"port": 81}), true),
            (json!({"hostPort": 8081}), false),
            (json!({"protocol": "udp"}), false),
            (json!({"hostPort": 8081, "protocol": "udp"}), false),
            (json!({"hostIP": "10.0.0.1"}), false),
            (json!({"hostIP": "0.0.0.0"}), true),
            (json!({"hostIP": "0.0.0.0", "protocol": "udp"}), false),
        ] {
            let other_port = port(other.clone());
            assert_eq!((clash(&one, &other_port), clash(&other_port, &one)), (expected, expected), "{other}");
        }
    }
}
