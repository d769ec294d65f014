//! What ran when the history was lost, as a revision to go back to. Nobody knows what its containers were made from: they are kept
//! and started again, and no further one is made.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::build::Places;
use super::replica::{Replica, find};
use super::rollout::{Facts, newest_completed};
use super::strategy::Effective;
use super::world::{Decided, World};
use crate::model::container::Attachment;
use crate::model::history::{DeploymentHistory, Outcome, Revision};
use crate::model::observed::Container;
use crate::model::revision::{Contents, RevisionId};
use crate::model::spec::{DeploymentSpec, Port, Template};
use crate::model::status::Severity;

/// The revision to go back to from one that failed: the one that completed last, or else what ran when the history was lost.
pub fn way_back(
    world: World,
    decided: &mut Decided,
    facts: &Facts,
    history: &mut DeploymentHistory,
    failed: &RevisionId,
) -> Option<RevisionId> {
    match newest_completed(history, failed).and_then(|id| find(history, &id)) {
        Some(back) if !back.taken_over || is_whole(facts.strategy, facts.replicas, back) => Some(back.id.clone()),
        Some(_) => None,
        None => take(world, decided, facts, history, failed),
    }
}

/// A container of what runs beside revision `but` and nobody remembers: all of one revision, and as many as are wanted.
pub fn unknown<'a>(
    strategy: &Effective,
    replicas: &[Replica<'a>],
    history: &DeploymentHistory,
    but: &RevisionId,
) -> Option<&'a Container> {
    let others: Vec<&Container> =
        replicas.iter().map(|replica| replica.container).filter(|other| other.revision != *but).collect();
    let first = *others.first()?;
    let is_remembered = history.revisions.iter().any(|revision| revision.id != *but);
    let are_alike = others.iter().all(|other| other.revision == first.revision && other.image == first.image);
    let are_enough = others.len() >= strategy.replicas as usize;
    (!is_remembered && are_alike && are_enough).then_some(first)
}

/// Whether a container was made before its revision is remembered: the history was lost since.
pub fn is_unremembered(revision: Option<&Revision>, container: &Container) -> bool {
    revision.is_none_or(|known| known.taken_over || container.created_at < known.created_at)
}

fn take(
    world: World,
    decided: &mut Decided,
    facts: &Facts,
    history: &mut DeploymentHistory,
    failed: &RevisionId,
) -> Option<RevisionId> {
    let container = unknown(facts.strategy, facts.replicas, history, failed)?;
    let id = container.revision.clone();
    let message = format!(
        "nobody remembers what {} was made from, since the history was lost: it is kept as revision 0, to go back to",
        container.name
    );
    decided.tell(world, facts.key, Severity::Normal, "RevisionTakenOver", message);
    let revision = Revision {
        number: 0,
        id: id.clone(),
        template_hash: container.template.clone(),
        taken_over: true,
        template: Arc::new(guess(facts.spec, container)),
        contents: Contents::default(),
        restarts: 0,
        image: container.image.clone(),
        digest: None,
        commit: None,
        created_at: container.created_at,
        outcome: Outcome::Completed { at: world.now },
        failure: None,
        gates: BTreeMap::new(),
        rested_at: None,
    };
    history.revisions.insert(0, revision);
    Some(id)
}

/// The manifest's template, with what the engine tells of the container.
pub fn guess(spec: &DeploymentSpec, container: &Container) -> Template {
    let mut template = (*spec.template).clone();
    template.image = container.reference.clone();
    template.ports = ports(&template.ports, &container.published);
    template.resources.limits = container.adjustable.limits.clone();
    template.resources.requests = container.adjustable.requests.clone();
    template
}

/// The ports that the container publishes, with the names that the manifest has for them, and the manifest's others unpublished.
fn ports(declared: &[Port], published: &[Port]) -> Vec<Port> {
    let is_same = |one: &Port, other: &Port| one.port == other.port && one.protocol == other.protocol;
    let named = published.iter().map(|made| {
        let name = declared.iter().find(|port| is_same(port, made)).and_then(|port| port.name.clone());
        Port { name, ..made.clone() }
    });
    let others = declared.iter().filter(|port| !published.iter().any(|made| is_same(made, port)));
    named.chain(others.map(|port| Port { host_port: None, ..port.clone() })).collect()
}

/// The places of a container that nobody remembers are the manifest's, and its successor may have their addresses by now.
pub fn without_addresses_of_others(world: World, container: &Container, places: &mut Places) {
    let others = world.containers(&container.owner).iter().filter(|other| other.id != container.id);
    for Attachment { network, address, .. } in &mut places.attachments {
        let has = |other: &Container| other.networks.get(network).is_some_and(|had| had.address == *address);
        *address = address.filter(|_| !others.clone().any(|other| has(other)));
    }
}

/// Whether all its containers that are wanted are still there.
fn is_whole(strategy: &Effective, replicas: &[Replica], revision: &Revision) -> bool {
    let of_it = replicas.iter().filter(|replica| replica.container.revision == revision.id);
    of_it.count() >= strategy.replicas as usize
}

/// Forgets what was taken over once no container of it is left, unless it is what should run.
pub fn forget(history: &mut DeploymentHistory, replicas: &[Replica]) {
    let active = history.rollout.revision().cloned();
    let is_left = |id: &RevisionId| replicas.iter().any(|replica| replica.container.revision == *id);
    history.revisions.retain(|known| !known.taken_over || Some(&known.id) == active.as_ref() || is_left(&known.id));
}

/// Says that another replica of it would be needed.
pub fn cannot_be_made(decided: &mut Decided, revision: &Revision) {
    decided.wait(format!(
        "a person: a replica of revision {} is missing and cannot be made again, because nobody remembers what it was made from; \
         edit the manifest, or `evenkeel rollout retry`",
        revision.number
    ));
    decided.blocked = true;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_that_a_container_publishes_counts_and_no_other() {
        let ports_of = |json| serde_json::from_value::<Vec<Port>>(json).unwrap();
        let declared = ports_of(serde_json::json!([
            {"name": "http", "port": 81, "hostPort": 8080}, {"name": "metrics", "port": 9090, "hostPort": 9090},
        ]));
        let published = ports_of(serde_json::json!([
            {"port": 81, "hostPort": 80, "hostIP": "10.0.0.1"}, {"port": 81, "hostPort": 8081}, {"port": 70, "hostPort": 70},
        ]));
        let found = ports(&declared, &published);
        let told = found.iter().map(|port| {
            let host = port.host_port.as_ref().map(|host| host.bounds().unwrap().0);
            (port.name.as_deref(), port.port, host)
        });
        let expected = [
            (Some("http"), 81, Some(80)),
            (Some("http"), 81, Some(8081)),
            (None, 70, Some(70)),
            (Some("metrics"), 9090, None),
        ];
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }
}
