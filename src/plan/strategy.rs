//! The strategy that can work: what the manifest asks for, less what a host port, a volume or the network rules out for the
//! revision that is being reached. That may be another one than the manifest's.

use std::sync::Arc;

use super::holdings;
use super::replica::{Replica, find};
use super::taken_over;
use super::world::World;
use crate::model::history::DeploymentHistory;
use crate::model::name::{Key, Kind, Name};
use crate::model::observed::Container;
use crate::model::spec::{DeploymentSpec, NetworkAttachment, Port, StrategyType, Template};
use crate::model::time::Span;

/// How replicas are replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// As many as should run.
    pub replicas: u32,
    /// How many may run beyond that.
    pub surge: u32,
    /// How many may be missing.
    pub unavailable: u32,
    /// Whether all old ones stop before a new one starts.
    pub recreate: bool,
    /// The pause between steps.
    pub delay: Span,
    /// Why it is not what the manifest says.
    pub because: Option<String>,
}

impl Effective {
    /// The fewest replicas that must be available during an update.
    pub fn floor(&self) -> u32 {
        if self.recreate { 0 } else { self.replicas.saturating_sub(self.unavailable) }
    }

    /// Whether an old replica stops before its replacement starts.
    pub fn stop_first(&self) -> bool {
        self.recreate || self.surge == 0
    }
}

/// The strategy for a Deployment on its way to the revision that `history` says, or staying there.
pub fn effective(
    world: World,
    key: &Key,
    spec: &DeploymentSpec,
    history: &DeploymentHistory,
    replicas: &[Replica],
) -> Effective {
    let strategy = &spec.strategy;
    let asked = Effective {
        replicas: spec.replicas,
        surge: strategy.max_surge,
        unavailable: strategy.max_unavailable,
        recreate: strategy.kind == StrategyType::Recreate,
        delay: strategy.delay,
        because: None,
    };
    if asked.stop_first() {
        return asked;
    }
    match Change::of(world, key, spec, history, replicas).surge_limit() {
        Some((limit, _)) if limit >= asked.surge => asked,
        Some((limit, because)) => {
            // With no room for even one more, the only way left is to stop one first.
            let unavailable = if limit == 0 { asked.unavailable.max(1) } else { asked.unavailable };
            Effective { surge: limit, unavailable, because: Some(because), ..asked }
        }
        None => asked,
    }
}

/// What takes the place of what.
struct Change<'a> {
    world: World<'a>,
    key: &'a Key,
    /// How many replicas there are to be.
    replicas: u32,
    /// The template of the revision being reached; the manifest's, where there is none yet.
    template: &'a Template,
    /// The running replicas of other revisions.
    old: Vec<Old<'a>>,
}

/// A running replica that is to go.
struct Old<'a> {
    container: &'a Container,
    /// What it was made from; where nobody remembers, what the engine tells.
    template: Arc<Template>,
}

impl<'a> Change<'a> {
    fn of(
        world: World<'a>,
        key: &'a Key,
        spec: &'a DeploymentSpec,
        history: &'a DeploymentHistory,
        replicas: &[Replica<'a>],
    ) -> Self {
        let target = history.rollout.revision().and_then(|id| find(history, id));
        let is_old = |container: &Container| target.is_none_or(|target| container.revision != target.id);
        let old = |container: &'a Container| {
            let known = find(history, &container.revision).map(|revision| Arc::clone(&revision.template));
            Old { container, template: known.unwrap_or_else(|| Arc::new(taken_over::guess(spec, container))) }
        };
        let running = replicas.iter().filter(|replica| replica.runs()).map(|replica| replica.container);
        Change {
            world,
            key,
            replicas: spec.replicas,
            template: target.map_or(&spec.template, |target| &target.template),
            old: running.filter(|container| is_old(container)).map(old).collect(),
        }
    }

    /// How many replicas can run beyond those that are wanted, and why no more; `None` when nothing limits it.
    fn surge_limit(&self) -> Option<(u32, String)> {
        let template = self.template;
        // Nobody knows at which ports it listens.
        if template.host_network && self.is_contested(|old| old.is_on_host()) {
            return Some((0, "two replicas cannot share the host's network ports".into()));
        }
        let mut addressed = template.networks.iter().filter(|network| network.address().is_some());
        if let Some(network) = addressed.find(|network| self.is_contested(|old| self.has_address(old, network))) {
            return Some((0, format!("two replicas cannot share the fixed address on network {}", network.name())));
        }
        let volumes = template.mounts.iter().filter_map(|mount| mount.volume.as_ref());
        let mut single = volumes.filter(|volume| holdings::is_single_writer(self.world.desired, self.key, volume));
        if let Some(volume) = single.find(|volume| self.is_contested(|old| self.has_volume(old, volume))) {
            return Some((0, format!("volume {volume} allows one replica at a time")));
        }
        if let Some(other) = self.world.holdings.exchanged_with(self.key) {
            return Some((0, format!("what only one can have is exchanged with {other}")));
        }
        let contested = |port: &&Port| self.is_contested(|old| old.has_port(port));
        let rooms = template.ports.iter().filter(contested).filter_map(|port| {
            let (first, last) = port.host_port.as_ref()?.bounds().ok()?;
            let room = (u32::from(last - first) + 1).saturating_sub(self.replicas);
            let text = if first == last { format!("host port {first}") } else { format!("host ports {first}-{last}") };
            Some((room, format!("{text}: each can be used by one replica at a time")))
        });
        rooms.min_by_key(|(room, _)| *room)
    }

    /// Whether there may not be enough of a thing: what no old replica has is free for the new ones.
    fn is_contested(&self, has: impl Fn(&Old) -> bool) -> bool {
        self.old.is_empty() || self.old.iter().any(has)
    }

    /// Whether it was made with an address, or was given it by chance.
    fn has_address(&self, old: &Old, wanted: &NetworkAttachment) -> bool {
        let is_same = |other: &NetworkAttachment| other.name() == wanted.name() && other.address() == wanted.address();
        let network = self.world.desired.network_name(&self.key.sibling(Kind::Network, wanted.name()));
        let given = old.container.networks.get(&network).and_then(|endpoint| endpoint.address.or(endpoint.fixed));
        old.template.networks.iter().any(is_same) || given.is_some() && given == wanted.address()
    }

    /// Whether it mounts a volume, be it by another name.
    fn has_volume(&self, old: &Old, volume: &Name) -> bool {
        let name = self.world.desired.volume_name(&self.key.sibling(Kind::Volume, volume));
        let mounts = &old.template.mounts;
        mounts.iter().any(|mount| mount.volume.as_ref() == Some(volume)) || old.container.volumes.contains(&name)
    }
}

impl Old<'_> {
    /// Whether it has any port of the host.
    fn is_on_host(&self) -> bool {
        self.template.host_network || self.template.ports.iter().any(|port| port.host_port.is_some())
    }

    /// Whether it may have the port of the host that another one is to have.
    fn has_port(&self, port: &Port) -> bool {
        self.template.host_network || self.template.ports.iter().any(|other| overlap(port, other))
    }
}

/// Whether two ports may want the same one of the host. Addresses are not compared: 0.0.0.0 covers them all.
fn overlap(a: &Port, b: &Port) -> bool {
    let bounds = |port: &Port| port.host_port.as_ref().and_then(|host| host.bounds().ok());
    match (bounds(a), bounds(b)) {
        (Some((first, last)), Some((other_first, other_last))) => {
            a.protocol == b.protocol && first <= other_last && other_first <= last
        }
        (Some(_), None) | (None, Some(_)) | (None, None) => false,
    }
}
