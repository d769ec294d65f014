//! Networks of the simulated engine: subnets, addresses, names, host ports, and what its DNS answers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use evenkeel::model::action::NetworkCreate;
use evenkeel::model::observed::{ContainerId, Fault, NetworkId};

use super::container::{Endpoint, State};
use super::world::{Network, Refusal, World, refuse};

/// Where ports without a fixed number come from.
const FIRST_EPHEMERAL: u16 = 32_768;
/// Subnets that the engine has by itself for networks without one.
const DEFAULT_POOLS: u32 = 30;

impl World {
    /// Creates a network. A taken name is refused, as is a subnet that overlaps another.
    pub fn create_network(&mut self, wanted: &NetworkCreate) -> Result<NetworkId, Refusal> {
        if self.network(&wanted.name).is_some() {
            return refuse(409, Fault::Conflict, format!("network with name {} already exists", wanted.name));
        }
        let chosen_subnet = !wanted.subnets.is_empty();
        let subnets = if chosen_subnet { wanted.subnets.clone() } else { vec![self.default_subnet()?] };
        for subnet in &subnets {
            let (first, last) = match range(subnet) {
                Some(range) => range,
                None if subnet.contains(':') => continue,
                None => return refuse(400, Fault::Invalid, format!("invalid subnet {subnet}")),
            };
            let taken = |other: &String| range(other).is_some_and(|(from, to)| first <= to && from <= last);
            if self.networks.values().any(|network| network.subnets.iter().any(taken)) {
                return refuse(403, Fault::Conflict, "Pool overlaps with other one on this address space");
            }
        }
        let id = NetworkId(self.next_id());
        let network = Network {
            id: id.clone(),
            name: wanted.name.clone(),
            labels: wanted.labels.clone(),
            driver: wanted.driver.clone(),
            internal: wanted.internal,
            subnets,
            chosen_subnet,
            options: wanted.options.clone(),
        };
        self.networks.insert(id.clone(), network);
        self.tell("network create", None);
        Ok(id)
    }

    fn default_subnet(&self) -> Result<String, Refusal> {
        let used: BTreeSet<&String> = self.networks.values().flat_map(|network| &network.subnets).collect();
        let pools = (0..DEFAULT_POOLS).map(|n| format!("172.{}.0.0/16", 18 + n));
        match pools.into_iter().find(|pool| !used.contains(pool)) {
            Some(pool) => Ok(pool),
            None => refuse(404, Fault::Unavailable, "could not find an available, non-overlapping IPv4 address pool"),
        }
    }

    /// Removes a network that no running container uses. Stopped ones lose it for good.
    pub fn remove_network(&mut self, id: &NetworkId) -> Result<(), Refusal> {
        let Some(network) = self.networks.get(id) else {
            return refuse(404, Fault::Unavailable, format!("network {id} not found"));
        };
        let name = network.name.clone();
        let used = self.containers.values().any(|c| c.is_alive() && c.endpoints.values().any(|e| e.network == *id));
        if used {
            return refuse(403, Fault::Conflict, format!("network {name} has active endpoints"));
        }
        self.networks.remove(id);
        self.tell("network destroy", None);
        Ok(())
    }

    /// The network of that name.
    pub fn network(&self, name: &str) -> Option<&Network> {
        self.networks.values().find(|network| network.name == name)
    }

    /// Attaches a container: with an address at once if it is running, else for its next start.
    pub fn connect(
        &mut self,
        id: &ContainerId,
        network: &str,
        aliases: &BTreeSet<String>,
        fixed: Option<Ipv4Addr>,
    ) -> Result<(), Refusal> {
        let container = self.get(id)?;
        if matches!(container.state, State::Removing) {
            return refuse(409, Fault::Conflict, "container is marked for removal");
        }
        if container.host_network {
            return refuse(400, Fault::Invalid, "cannot connect a container with host networking to a network");
        }
        if fixed.is_some() && self.network(network).is_some_and(|found| !found.chosen_subnet) {
            let words =
                "user specified IP address is supported only when connecting to networks with user configured subnets";
            return refuse(400, Fault::Invalid, words);
        }
        match container.is_alive() {
            true => self.connect_running(id, network, aliases, fixed),
            false => {
                self.note_network(id, network, aliases, fixed);
                Ok(())
            }
        }
    }

    fn connect_running(
        &mut self,
        id: &ContainerId,
        network: &str,
        aliases: &BTreeSet<String>,
        fixed: Option<Ipv4Addr>,
    ) -> Result<(), Refusal> {
        let Some(found) = self.network(network).cloned() else {
            return refuse(404, Fault::Unavailable, format!("network {network} not found"));
        };
        let container = &self.containers[id];
        if container.endpoints.contains_key(network) {
            let words = format!("endpoint with name {} already exists in network {network}", container.name);
            return refuse(403, Fault::Conflict, words);
        }
        let address = Some(self.take_address(&found, fixed)?);
        let serial = self.next_serial();
        let endpoint = Endpoint {
            network: found.id,
            serial,
            address,
            recorded: None,
            fixed,
            aliases: aliases.clone(),
            plugged: true,
        };
        self.container(id).endpoints.insert(network.to_string(), endpoint);
        self.tell("connect", Some(id));
        Ok(())
    }

    /// Keeps a network's name for the next start, which shows whether there is such a network. One that is noted already
    /// and is there stays as it was noted first.
    pub(super) fn note_network(
        &mut self,
        id: &ContainerId,
        network: &str,
        aliases: &BTreeSet<String>,
        fixed: Option<Ipv4Addr>,
    ) {
        let known = self.containers[id].endpoints.get(network).map(|endpoint| endpoint.network.clone());
        if known.is_some_and(|known| self.network_of(&known, network).is_some()) {
            return;
        }
        let network_id = NetworkId(String::new());
        let aliases = aliases.clone();
        let endpoint =
            Endpoint { network: network_id, serial: 0, address: None, recorded: None, fixed, aliases, plugged: true };
        self.container(id).endpoints.insert(network.to_string(), endpoint);
        self.version += 1;
    }

    /// The network that an endpoint means: by id once it has one, by name before.
    fn network_of(&self, id: &NetworkId, name: &str) -> Option<&Network> {
        if id.0.is_empty() { self.network(name) } else { self.networks.get(id) }
    }

    /// Detaches a container.
    pub fn disconnect(&mut self, id: &ContainerId, network: &str) -> Result<Endpoint, Refusal> {
        let now = self.now;
        self.get(id)?;
        let container = self.container(id);
        let Some(endpoint) = container.endpoints.remove(network) else {
            let name = &container.name;
            return refuse(500, Fault::Conflict, format!("container {name} is not connected to network {network}"));
        };
        if !endpoint.aliases.is_empty() && container.endpoints.values().all(|other| other.aliases.is_empty()) {
            container.unnamed_at = Some(now);
        }
        self.tell("disconnect", Some(id));
        Ok(endpoint)
    }

    /// Gives every endpoint its address, as a start does. A network that was removed and made again is not found by a
    /// container that was on it when it ran.
    pub(super) fn attach_all(&mut self, id: &ContainerId) -> Result<(), Refusal> {
        let mut names: Vec<String> = self.containers[id].endpoints.keys().cloned().collect();
        // The one that it was created with comes first.
        let spec = self.containers[id].spec.as_ref();
        let first = spec.and_then(|spec| spec.networks.first()).map(|first| first.network.clone());
        let is_there = |name: &str| self.networks.values().any(|network| network.name == name);
        // 26.1 looks for that one also when the container has left it for another.
        if let Some(first) = first.iter().find(|first| !self.is_old && !names.is_empty() && !is_there(first)) {
            let message = format!("could not find a network matching network mode {first}: network {first} not found");
            return refuse(500, Fault::Unavailable, message);
        }
        names.sort_by_key(|name| Some(name) != first.as_ref());
        for name in names {
            let endpoint = self.containers[id].endpoints[&name].clone();
            let Some(network) = self.network_of(&endpoint.network, &name).cloned() else {
                self.release(id);
                return refuse(404, Fault::Unavailable, format!("network {} not found", endpoint.network));
            };
            let address = match self.take_address(&network, endpoint.fixed) {
                Ok(address) => address,
                Err(refusal) => {
                    self.release(id);
                    return Err(refusal);
                }
            };
            let serial = self.next_serial();
            let endpoint = self.container(id).endpoints.get_mut(&name).expect("it was just read");
            *endpoint = Endpoint {
                network: network.id,
                serial,
                address: Some(address),
                recorded: None,
                plugged: true,
                ..endpoint.clone()
            };
        }
        Ok(())
    }

    /// Frees addresses and host ports, at once, for whoever comes next.
    pub(super) fn release(&mut self, id: &ContainerId) {
        let container = self.container(id);
        container.holds.clear();
        for endpoint in container.endpoints.values_mut() {
            (endpoint.address, endpoint.serial) = (None, 0);
        }
    }

    /// The one that is asked for, or a free one: as the engine does, the lowest, unless somebody has chosen.
    fn take_address(&self, network: &Network, fixed: Option<Ipv4Addr>) -> Result<Ipv4Addr, Refusal> {
        let used: BTreeSet<Ipv4Addr> = self.addresses(&network.id).into_keys().collect();
        let Some((first, last)) = network.subnets.iter().find_map(|subnet| range(subnet)) else {
            return refuse(500, Fault::Unavailable, "no IPv4 subnet");
        };
        match fixed {
            Some(address) if used.contains(&address) => refuse(403, Fault::Conflict, "Address already in use"),
            Some(address) => Ok(address),
            // The first address is the gateway's, the last one is for broadcasts.
            None => match self
                .next_addresses
                .iter()
                .copied()
                .chain((first + 2..last).map(Ipv4Addr::from))
                .find(|address| !used.contains(address))
            {
                Some(address) => Ok(address),
                None => refuse(500, Fault::Unavailable, "no available IPv4 addresses on this network's address pools"),
            },
        }
    }

    /// Who holds which address of a network.
    pub fn addresses(&self, network: &NetworkId) -> BTreeMap<Ipv4Addr, ContainerId> {
        let endpoints = self.containers.values().flat_map(|c| c.endpoints.values().map(move |e| (c, e)));
        let on_it = endpoints.filter(|(_, endpoint)| endpoint.network == *network);
        on_it.filter_map(|(container, endpoint)| Some((endpoint.address?, container.id.clone()))).collect()
    }

    /// What the engine's DNS answers on a network: every container with a process, healthy or not, that has this name,
    /// alias or short id there.
    pub fn resolve(&self, network: &str, name: &str) -> BTreeMap<Ipv4Addr, ContainerId> {
        let named = self.containers.values().filter(|container| container.is_alive()).filter_map(|container| {
            let endpoint = container.endpoints.get(network)?;
            let known = endpoint.aliases.contains(name) || container.name == name || container.id.0[..12] == *name;
            Some((endpoint.address.filter(|_| known)?, container.id.clone()))
        });
        named.collect()
    }

    /// Takes the host's ports, as a start does: all or nothing.
    pub(super) fn take_ports(&mut self, id: &ContainerId) -> Result<(), Refusal> {
        let wanted = self.containers[id].publishes.clone();
        for publish in wanted {
            let range = match publish.first {
                0 => FIRST_EPHEMERAL..=u16::MAX,
                first => first..=publish.last,
            };
            let one = range.clone().count() == 1;
            let free = range.into_iter().find(|port| !self.port_is_taken(publish.address, *port));
            let Some(port) = free else {
                let (address, port) = (publish.address, publish.first);
                let why = match one {
                    true => format!("Bind for {address}:{port} failed: port is already allocated"),
                    false => "all ports are allocated".to_string(),
                };
                return refuse(500, Fault::Conflict, format!("driver failed programming external connectivity: {why}"));
            };
            self.container(id).holds.push((publish.address, port));
        }
        Ok(())
    }

    fn port_is_taken(&self, address: IpAddr, port: u16) -> bool {
        let overlap = |held: &IpAddr| *held == address || held.is_unspecified() || address.is_unspecified();
        self.containers.values().any(|c| c.holds.iter().any(|(held, taken)| *taken == port && overlap(held)))
    }
}

/// First and last address of an IPv4 subnet in CIDR form.
fn range(subnet: &str) -> Option<(u32, u32)> {
    let (address, bits) = subnet.split_once('/')?;
    let (address, bits) = (address.parse::<Ipv4Addr>().ok()?, bits.parse::<u32>().ok().filter(|bits| *bits <= 32)?);
    let size = 1u64 << (32 - bits);
    let first = u32::from(address);
    Some((first, (u64::from(first) + size - 1) as u32))
}
