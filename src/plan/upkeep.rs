//! The care of a running replica: its networks, its name, its limits, its life. It neither creates nor retires any.

use std::collections::BTreeSet;

use super::build::{self, Places};
use super::converge::Scene;
use super::replica::{Replica, template_of};
use super::restarts::may_restart;
use super::world::{Decided, World};
use crate::model::action::{Call, Connection, Stop};
use crate::model::container::Adjustable;
use crate::model::history::DeploymentHistory;
use crate::model::observed::{Container, ContainerState, ProbeResult};

static NO_NAMES: BTreeSet<String> = BTreeSet::new();

/// The next thing that `replica` needs, if it needs anything: one at a time, because they act on the same container.
pub fn upkeep(scene: &Scene, decided: &mut Decided, history: &mut DeploymentHistory, replica: &Replica) {
    let container = replica.container;
    if container.state == ContainerState::Paused {
        let call = Call::Unpause { container: container.id.clone(), name: container.name.clone() };
        return decided.act(scene.world, scene.key, call, "it is paused, and no run wants it quiet");
    }
    if !matches!(container.state, ContainerState::Running { .. }) {
        return;
    }
    let places = scene.places_of(history, container);
    if let Some(call) = missing_network(&places, container, false) {
        return decided.act(scene.world, scene.key, call, "it was disconnected from its network");
    }
    if let Some(call) = mend_cut(scene.world, replica) {
        return decided.act(scene.world, scene.key, call, "its last reconnection broke off, and it is not ready");
    }
    if let Some(call) = rename(&places, replica) {
        let cause =
            if replica.readiness.is_ready() { "it is ready".into() } else { replica.readiness.message().to_string() };
        return decided.act(scene.world, scene.key, call, cause);
    }
    let template = template_of(scene.spec, history, &container.revision);
    let (grace, wanted) = (template.termination_grace_period, build::adjustable(scene.key, template));
    if let Some(message) = dead(container)
        && may_restart(scene.world, decided, history, container, &message)
    {
        let name = container.name.clone();
        let call = Call::Restart(Stop { container: container.id.clone(), name, pre_stop: Vec::new(), grace });
        return decided.act(scene.world, scene.key, call, message);
    }
    if container.adjustable != wanted && !is_stuck_with_a_limit(container, &wanted) {
        let call = Call::Update { container: container.id.clone(), name: container.name.clone(), adjustable: wanted };
        decided.act(scene.world, scene.key, call, "its limits or restart policy differ from the manifest");
    }
}

/// Whether somebody gave a container a limit that it should not have: the engine cannot take one away, so that only
/// another container helps.
pub fn is_stuck_with_a_limit(container: &Container, wanted: &Adjustable) -> bool {
    let (is, should_be) = (&container.adjustable.limits, &wanted.limits);
    is.cpu.is_some() && should_be.cpu.is_none() || is.memory.is_some() && should_be.memory.is_none()
}

/// Whether a ready replica has all its names: only then do clients reach it, and only then may it take another's place.
pub fn has_its_names(scene: &Scene, history: &DeploymentHistory, replica: &Replica) -> bool {
    rename(&scene.places_of(history, replica.container), replica).is_none()
}

/// Gives a ready replica its names, and takes them from one that certainly is not; what is unknown stays as it is.
fn rename(places: &Places, replica: &Replica) -> Option<Call> {
    let readiness = &replica.readiness;
    if !readiness.is_ready() && !readiness.is_not_ready() {
        return None;
    }
    replica.container.networks.iter().find_map(|(network, endpoint)| {
        let wanted = places.names.get(network).filter(|_| readiness.is_ready()).unwrap_or(&NO_NAMES);
        (endpoint.aliases != *wanted).then(|| reconnect(replica.container, network, wanted.clone()))
    })
}

/// The call that gives a container its names on the first network where it lacks some.
pub fn name_again(places: &Places, container: &Container) -> Option<Call> {
    container.networks.iter().find_map(|(network, endpoint)| {
        let wanted = places.names.get(network).filter(|wanted| **wanted != endpoint.aliases)?;
        Some(reconnect(container, network, wanted.clone()))
    })
}

/// The call that takes a container's names away on the first network where it has some.
pub fn unname(container: &Container) -> Option<Call> {
    let named = container.networks.iter().find(|(_, endpoint)| !endpoint.aliases.is_empty());
    named.map(|(network, _)| reconnect(container, network, BTreeSet::new()))
}

/// The call that attaches a replica anew whose last reconnection broke off and that is not ready: an engine that was
/// killed in the middle of it may have left the container without the network that its records name.
fn mend_cut(world: World, replica: &Replica) -> Option<Call> {
    let container = replica.container;
    let network = world.container_failure(container)?.cut.as_ref()?;
    let is_listed = container.networks.contains_key(network);
    (replica.readiness.is_not_ready() && is_listed).then(|| reconnect(container, network, BTreeSet::new()))
}

/// The call that attaches a container to the first of its template's networks that it lacks.
pub fn missing_network(places: &Places, container: &Container, named: bool) -> Option<Call> {
    let missing = places.attachments.iter().find(|attachment| !container.networks.contains_key(&attachment.network))?;
    let names = places.names.get(&missing.network).filter(|_| named);
    Some(Call::Connect(Connection {
        container: container.id.clone(),
        name: container.name.clone(),
        network: missing.network.clone(),
        aliases: names.cloned().unwrap_or_default(),
        address: missing.address,
    }))
}

/// The call that makes a stopped container's attachments as they are at a start: without names (`named` is for one that
/// is ready at once), and with the template's own address or any. An address that an earlier reconnection left may
/// belong to somebody else by now, and Docker would refuse the start for ever.
pub fn reset(places: &Places, container: &Container, named: bool) -> Option<Call> {
    places.attachments.iter().find_map(|attachment| {
        let endpoint = container.networks.get(&attachment.network)?;
        let aliases = if named { endpoint.aliases.clone() } else { BTreeSet::new() };
        (endpoint.fixed != attachment.address || endpoint.aliases != aliases).then(|| {
            Call::Reconnect(Connection {
                container: container.id.clone(),
                name: container.name.clone(),
                network: attachment.network.clone(),
                aliases,
                address: attachment.address,
            })
        })
    })
}

/// The call that attaches a stopped container to the network that has the name of its own, when that was removed and
/// made anew: Docker remembers the old one's id and would refuse to start it for ever.
pub fn move_to_living_network(world: World, container: &Container) -> Option<Call> {
    let stale = container.networks.iter().find(|(name, endpoint)| {
        let living = world.observed.networks.get(*name);
        !endpoint.network.0.is_empty() && living.is_some_and(|living| living.id != endpoint.network)
    });
    stale.map(|(network, _)| {
        Call::Reconnect(Connection {
            container: container.id.clone(),
            name: container.name.clone(),
            network: network.clone(),
            aliases: BTreeSet::new(),
            address: None,
        })
    })
}

fn reconnect(container: &Container, network: &str, aliases: BTreeSet<String>) -> Call {
    Call::Reconnect(Connection {
        container: container.id.clone(),
        name: container.name.clone(),
        network: network.to_string(),
        aliases,
        address: container.networks.get(network).and_then(|endpoint| endpoint.address),
    })
}

/// Why a container must be restarted, if it must.
fn dead(container: &Container) -> Option<String> {
    let failed = |name: &str, result: &Option<ProbeResult>| match result {
        Some(ProbeResult::Failure { message }) => Some(format!("{name} probe: {message}")),
        Some(ProbeResult::Unknown { .. } | ProbeResult::Unmade { .. } | ProbeResult::Success) | None => None,
    };
    failed("liveness", &container.probes.liveness).or(failed("startup", &container.probes.startup))
}
