//! Networks: created with a subnet of our own choosing, recreated only when nothing of ours would be cut off.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use sha2::{Digest, Sha256};

use super::world::{Decided, World};
use crate::model::action::{Call, NetworkCreate};
use crate::model::container::label;
use crate::model::desired::Declared;
use crate::model::name::Key;
use crate::model::observed::{Container, ContainerState, Network};
use crate::model::spec::NetworkSpec;
use crate::model::status::{Condition, Status};
use crate::model::text::{hex, listed};

/// A range of IPv4 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    first: u32,
    bits: u32,
}

impl Subnet {
    /// Reads CIDR form; an IPv6 subnet is `None`.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let bits: u32 = bits.parse().ok().filter(|bits| *bits <= 32)?;
        let address: Ipv4Addr = address.parse().ok()?;
        Some(Self { first: u32::from(address) & mask(bits), bits })
    }

    fn overlaps(self, other: Subnet) -> bool {
        let shorter = mask(self.bits.min(other.bits));
        self.first & shorter == other.first & shorter
    }

    /// The /24 subnets in it.
    fn parts(self) -> impl Iterator<Item = Subnet> {
        let count = 1u32 << 24u32.saturating_sub(self.bits).min(16);
        (0..count).map(move |n| Subnet { first: self.first + (n << 8), bits: 24 })
    }
}

impl std::fmt::Display for Subnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.first), self.bits)
    }
}

fn mask(bits: u32) -> u32 {
    if bits == 0 { 0 } else { u32::MAX << (32 - bits) }
}

/// Subnets still to give away in this pass.
pub struct Pool {
    pool: Option<Subnet>,
    taken: Vec<Subnet>,
}

impl Pool {
    /// The pool of the settings, less what networks and the host use and what manifests ask for.
    pub fn new(world: World) -> Self {
        let networks = world.observed.networks.values().flat_map(|network| &network.subnets);
        let declared = world.desired.networks.values().flat_map(|network| &network.spec.subnets);
        let taken = networks.chain(declared).chain(&world.observed.host_subnets);
        Self {
            pool: Subnet::parse(&world.desired.settings.subnet_pool),
            // A default route covers everything and means nothing here.
            taken: taken.filter_map(|text| Subnet::parse(text)).filter(|subnet| subnet.bits > 0).collect(),
        }
    }

    fn take(&mut self) -> Option<Subnet> {
        let free = self.pool?.parts().find(|part| !self.taken.iter().any(|taken| taken.overlaps(*part)))?;
        self.taken.push(free);
        Some(free)
    }
}

/// Decides for one declared network.
pub fn network(world: World, pool: &mut Pool, key: &Key, declared: &Declared<NetworkSpec>) -> Decided {
    let spec = &declared.spec;
    let mut decided = Decided::default();
    let name = world.desired.network_name(key);
    let live = world.observed.networks.get(&name);
    match live {
        Some(_) if spec.external => decided.status = ready("external"),
        None if spec.external => decided.status = waiting(format!("external network {name} does not exist")),
        None => create(world, pool, key, spec, name, &mut decided),
        Some(live) if !is_ours(world, &live.labels, key) => {
            let message = format!(
                "network {name} exists and is not Evenkeel's: declare it with external: true, or give this one another name"
            );
            decided.status = degraded("NameTaken", message);
        }
        Some(live) if live.labels.get(label::SPEC) == Some(&spec_hash(spec)) => {
            decided.status = ready(&live.subnets.join(", "));
        }
        Some(live) => recreate(world, key, live, &difference(spec, live), &mut decided),
    }
    if let Some(waiting) = decided.waiting.first() {
        decided.status.message = waiting.clone();
    }
    decided
}

/// Whether a network or volume with these labels carries those that this object's would.
pub fn is_ours(world: World, labels: &BTreeMap<String, String>, key: &Key) -> bool {
    let label = |name: &str| labels.get(name).map(String::as_str);
    label(label::INSTANCE) == Some(world.desired.settings.instance.as_str())
        && label(label::KIND) == Some(key.kind.word())
        && label(label::NAMESPACE) == Some(key.namespace.as_str())
        && label(label::NAME) == Some(key.name.as_str())
}

fn create(world: World, pool: &mut Pool, key: &Key, spec: &NetworkSpec, name: String, decided: &mut Decided) {
    let subnets = if spec.subnets.is_empty() {
        let Some(free) = pool.take() else {
            let pool = &world.desired.settings.subnet_pool;
            decided.status =
                degraded("NoFreeSubnet", format!("the pool {pool} has no free /24 left: set a larger --subnet-pool"));
            return;
        };
        vec![free.to_string()]
    } else {
        if let Some((subnet, network)) = taken(world, spec) {
            let message = format!(
                "subnet {subnet} is not free, network {network} has it: choose another one, or this network is made once that is gone"
            );
            decided.status = waiting(message);
            return;
        }
        spec.subnets.clone()
    };
    decided.status = waiting("being created".into());
    let create = NetworkCreate {
        name,
        labels: labels(world, key, &spec.labels, spec_hash(spec)),
        driver: spec.driver.clone().unwrap_or_else(|| "bridge".into()),
        internal: spec.internal,
        subnets,
        options: spec.options.clone(),
    };
    decided.act(world, key, Call::CreateNetwork(create), "it is declared and does not exist");
}

/// A subnet that a network is to have and another one has, with that one. The engine refuses it, of bridges in every case.
fn taken<'a>(world: World<'a>, spec: &'a NetworkSpec) -> Option<(&'a str, &'a str)> {
    let is_bridge = |driver: Option<&str>| driver.unwrap_or("bridge") == "bridge";
    let all = world.observed.networks.values().filter(|_| is_bridge(spec.driver.as_deref()));
    let mut others = all.filter(|network| is_bridge(Some(&network.driver)));
    others.find_map(|network| {
        let theirs = || network.subnets.iter().filter_map(|text| Subnet::parse(text));
        let is_taken =
            |text: &&String| Subnet::parse(text).is_some_and(|own| theirs().any(|other| other.overlaps(own)));
        Some((spec.subnets.iter().find(is_taken)?.as_str(), network.name.as_str()))
    })
}

/// What of its declaration changed, as far as the engine's list shows it.
fn difference(spec: &NetworkSpec, live: &Network) -> String {
    let driver = spec.driver.as_deref().unwrap_or("bridge");
    if driver != live.driver {
        return format!("driver {driver} instead of {}", live.driver);
    }
    if !spec.subnets.is_empty() && spec.subnets != live.subnets {
        return format!("{} instead of {}", spec.subnets.join(", "), live.subnets.join(", "));
    }
    let is_own = |(key, _): &(&String, &String)| !key.starts_with(label::PREFIX);
    if !spec.labels.iter().eq(live.labels.iter().filter(is_own)) {
        return "its labels".into();
    }
    "internal, options or subnets".into()
}

/// A network cannot be changed, only made anew. That cuts off whoever is on it, so it waits until nobody of ours is.
fn recreate(world: World, key: &Key, live: &Network, difference: &str, decided: &mut Decided) {
    let users = users(world, &live.name);
    if users.is_empty() {
        decided.status = waiting("being recreated".into());
        let call = Call::RemoveNetwork { id: live.id.clone(), name: live.name.clone() };
        let cause = format!("its declaration changed ({difference}), and Docker cannot change a network in place");
        return decided.act(world, key, call, cause);
    }
    let message = format!(
        "its declaration changed ({difference}), but recreating it would cut off {}; it stays as it is until nothing uses it",
        listed(users.iter(), USERS_NAMED)
    );
    decided.status = degraded("ChangeHeld", message);
}

/// How many users of a network are named.
pub const USERS_NAMED: usize = 5;

/// Containers of ours that are attached to a network, stopped ones included: they could never start again. A Job's that has
/// ended never will.
pub fn users(world: World, network: &str) -> Vec<String> {
    let is_over = |container: &Container| {
        container.owner.kind.runs_to_completion() && matches!(container.state, ContainerState::Exited(_))
    };
    let uses = |container: &&Container| container.networks.contains_key(network) && !is_over(container);
    let attached = world.observed.containers.values().filter(uses);
    let mut names: Vec<String> = attached.map(|container| container.name.clone()).collect();
    names.sort();
    names
}

/// The labels of a network or volume of ours.
pub fn labels(world: World, key: &Key, own: &BTreeMap<String, String>, spec: String) -> BTreeMap<String, String> {
    let mut labels = own.clone();
    let ours = [
        (label::INSTANCE, world.desired.settings.instance.to_string()),
        (label::KIND, key.kind.to_string()),
        (label::NAMESPACE, key.namespace.to_string()),
        (label::NAME, key.name.to_string()),
        (label::SPEC, spec),
    ];
    labels.extend(ours.map(|(key, value)| (key.to_string(), value)));
    labels
}

/// The hash of what cannot be changed in place.
fn spec_hash(spec: &NetworkSpec) -> String {
    let text = serde_json::to_string(spec).expect("a spec is plain data");
    hex(&Sha256::digest(text.as_bytes()), 16)
}

/// The status of something that is there.
pub fn ready(message: &str) -> Status {
    Status { phase: "Ready".into(), message: message.into(), ..Status::default() }
}

/// The status of something that will be there.
pub fn waiting(message: String) -> Status {
    Status { phase: "Pending".into(), message, ..Status::default() }
}

/// The status of something that a person should look at.
pub fn degraded(reason: &str, message: String) -> Status {
    let condition =
        Condition { kind: "Degraded".into(), status: true, reason: reason.into(), message: message.clone() };
    Status { phase: "Degraded".into(), message, conditions: vec![condition], ..Status::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets_overlap_when_one_contains_the_other() {
        let subnet = |text| Subnet::parse(text).unwrap();
        assert!(subnet("10.0.0.0/8").overlaps(subnet("10.201.3.0/24")));
        assert!(!subnet("10.201.2.0/24").overlaps(subnet("10.201.3.0/24")));
    }

    #[test]
    fn a_pool_of_16_bits_has_256_networks() {
        assert_eq!(Subnet::parse("10.201.0.0/16").unwrap().parts().count(), 256);
    }
}
