//! The strategy that can work: what the manifest asks for, less what a host port, a volume or the network rules out.

use std::sync::Arc;

use super::holdings;
use super::world::World;
use crate::model::name::Key;
use crate::model::spec::{DeploymentSpec, Port, StrategyType, Template};
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

/// The strategy for a Deployment; `old` are the templates of the running replicas that it replaces, where known.
pub fn effective(world: World, key: &Key, spec: &DeploymentSpec, old: &[Arc<Template>]) -> Effective {
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
    match surge_limit(world, key, spec, old) {
        Some((limit, _)) if limit >= asked.surge => asked,
        Some((limit, because)) => {
            // With no room for even one more, the only way left is to stop one first.
            let unavailable = if limit == 0 { asked.unavailable.max(1) } else { asked.unavailable };
            Effective { surge: limit, unavailable, because: Some(because), ..asked }
        }
        None => asked,
    }
}

/// How many replicas can run beyond `replicas`, and why no more; `None` when nothing limits it.
fn surge_limit(world: World, key: &Key, spec: &DeploymentSpec, old: &[Arc<Template>]) -> Option<(u32, String)> {
    let template = &spec.template;
    if template.host_network {
        return Some((0, "two replicas cannot share the host's network ports".into()));
    }
    if let Some(attachment) = template.networks.iter().find(|n| n.address().is_some()) {
        return Some((0, format!("two replicas cannot share the fixed address on network {}", attachment.name())));
    }
    let single = template
        .mounts
        .iter()
        .filter_map(|m| m.volume.as_ref())
        .find(|volume| holdings::is_single_writer(world.desired, key, volume));
    if let Some(volume) = single {
        return Some((0, format!("volume {volume} allows one replica at a time")));
    }
    if let Some(other) = world.holdings.exchanged_with(key) {
        return Some((0, format!("its host port is exchanged with {other}")));
    }
    // A port that no old replica uses is free for the new ones.
    let contested =
        |port: &&Port| old.is_empty() || old.iter().any(|old| old.ports.iter().any(|other| overlap(port, other)));
    let rooms = template.ports.iter().filter(contested).filter_map(|port| {
        let (first, last) = port.host_port.as_ref()?.bounds().ok()?;
        let room = (u32::from(last - first) + 1).saturating_sub(spec.replicas);
        let text = if first == last { format!("host port {first}") } else { format!("host ports {first}-{last}") };
        Some((room, format!("{text}: each can be used by one replica at a time")))
    });
    rooms.min_by_key(|(room, _)| *room)
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
