//! Networks: to join and to make. The engine takes some names of networks for modes.

use std::collections::BTreeMap;

use super::subnets::Subnet;
use super::{Judge, is_in, others};
use crate::model::action::NetworkCreate;
use crate::model::container::label;

/// Driver options of a bridge that change nothing outside of it.
const BRIDGE_OPTIONS: [&str; 5] = [
    "com.docker.network.driver.mtu",
    "com.docker.network.bridge.enable_icc",
    "com.docker.network.bridge.enable_ip_masquerade",
    "com.docker.network.bridge.inhibit_ipv4",
    "com.docker.network.container_iface_prefix",
];

impl Judge<'_> {
    /// Judges a network, by its name in the engine, that a container is to join.
    pub(super) fn network(&mut self, field: &str, name: &str) {
        if name == "host" {
            return self.refuse(field, "host-namespace", "names 'host', which is the host's own network", None);
        }
        if name.starts_with("container:") || name.starts_with("ns:") {
            let why = format!("'{name}' is the network of another container, whoever's it is");
            return self.refuse(field, "container-namespace", why, None);
        }
        if is_in(&self.exceptions.networks, name) {
            return;
        }
        let Some(live) = self.ground.networks.get(name) else { return };
        if let Some(whose) = self.foreign(&live.labels) {
            let entry = format!("`networks: [{name}]`");
            self.refuse(field, "foreign-network", format!("'{name}' belongs to {whose}"), Some(entry));
        }
    }

    /// Judges a network to be made.
    pub(super) fn network_create(&mut self, network: &NetworkCreate) {
        let NetworkCreate { name, labels: _, driver, internal: _, subnets, options } = network;
        self.network("name", name);
        subnets.iter().for_each(|subnet| self.subnet(subnet));
        if is_in(&self.exceptions.network_drivers, driver) {
            return;
        }
        if driver != "bridge" {
            let why = format!("'{driver}' puts containers onto networks outside of the host");
            let entry = format!("`networkDrivers: [{driver}]`");
            return self.refuse("driver", "network-driver", why, Some(entry));
        }
        for option in others(options, &BRIDGE_OPTIONS) {
            let why = format!("'{option}' can change more than this network");
            let entry = "`networkDrivers: [bridge]`".to_owned();
            self.refuse(format!("options.{option}"), "network-option", why, Some(entry));
        }
    }

    /// Judges the addresses of a network to be made: the host sends what is meant for them to its containers.
    fn subnet(&mut self, text: &str) {
        let subnet = Subnet::parse(text);
        let why = match subnet {
            Some(subnet) if subnet.has_credentials() => {
                format!("{text} has an address in it at which clouds hand out credentials")
            }
            Some(subnet) if subnet.is_private() => match self.met_by(subnet) {
                Some(route) => format!(
                    "{text} takes addresses that the host has a route to ({route}): it would send what is meant for them to a container"
                ),
                None => return,
            },
            Some(_) | None => {
                format!("{text} is not a private range: the host would send what is meant for it to a container")
            }
        };
        self.refuse("subnets", "network-subnet", why, None);
    }

    /// A route of the host that a subnet has addresses in common with, other than those to the engine's networks: of them the
    /// engine itself says which are free.
    fn met_by(&self, subnet: Subnet) -> Option<&String> {
        let engine_has = |route: &String| self.ground.networks.values().any(|network| network.subnets.contains(route));
        let meets = |route: &&String| {
            Subnet::parse(route).is_some_and(|route| !route.is_everywhere() && route.meets(subnet))
                && !engine_has(route)
        };
        self.ground.host_subnets.iter().find(meets)
    }

    /// Whose a thing of the engine is, if this namespace may not simply use it. What nobody of Evenkeel's made may be
    /// adopted, except by a restricted namespace.
    pub(super) fn foreign(&self, labels: &BTreeMap<String, String>) -> Option<String> {
        let instance = labels.get(label::INSTANCE);
        let namespace = labels.get(label::NAMESPACE);
        match (instance, namespace) {
            (Some(instance), Some(namespace)) => {
                let ours = *instance == self.ground.desired.settings.instance.as_str();
                let own = namespace == self.namespace.as_str();
                match (ours, own) {
                    (true, true) => None,
                    (true, false) => Some(format!("namespace {namespace}")),
                    (false, _) => Some(format!("namespace {namespace} of the instance {instance}")),
                }
            }
            _ if self.is_restricted() => Some("nobody that Evenkeel knows".into()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::desired::Desired;
    use crate::model::name::Name;
    use crate::model::observed::{Network, NetworkId};
    use crate::model::policy::{Policy, PolicyFile, Standing};
    use crate::policy::{Ground, approve};

    /// Whether a network may be made with a subnet, on a host with these routes and one network of the engine's.
    fn may_be(subnet: &str, routes: &[&str]) -> bool {
        let (file, rules) = ("policy.yaml".into(), PolicyFile::default());
        let policy = Policy { file, rules, guarded: Vec::new(), writers: Vec::new() };
        let desired = Desired { policy: Standing::InForce(policy.into()), ..Desired::default() };
        let (id, name) = (NetworkId("1".into()), "bridge".to_owned());
        let bridge = Network {
            id,
            name: name.clone(),
            labels: BTreeMap::new(),
            driver: name.clone(),
            subnets: vec!["172.17.0.0/16".into()],
        };
        let (networks, volumes) = ([(name, bridge)].into(), BTreeMap::new());
        let host_subnets: BTreeSet<String> = routes.iter().map(|route| (*route).to_owned()).collect();
        let (host_subnets, networks, volumes) = (&host_subnets, &networks, &volumes);
        let ground = Ground { desired: &desired, networks, volumes, host_subnets, paths: None };
        let create = NetworkCreate {
            name: "shop.lan".into(),
            labels: BTreeMap::new(),
            driver: "bridge".into(),
            internal: false,
            subnets: vec![subnet.into()],
            options: BTreeMap::new(),
        };
        approve(ground, &Name::new("shop").unwrap(), &create).is_ok()
    }

    #[test]
    fn a_subnet_takes_no_addresses_that_the_host_reaches_elsewhere() {
        let routes = ["0.0.0.0/1", "128.0.0.0/1", "10.0.0.0/16", "172.17.0.0/16"];
        for taken in ["10.0.5.0/24", "10.0.0.0/8", "10.0.0.0/16", "8.8.8.0/24", "100.100.100.0/24"] {
            assert!(!may_be(taken, &routes), "{taken}");
        }
        // What the engine's own networks have, the engine knows; such a route goes with its network.
        for free in ["10.1.5.0/24", "172.17.3.0/24", "fd00:1::/64"] {
            assert!(may_be(free, &routes), "{free}");
        }
        assert!(may_be("10.0.5.0/24", &[]));
    }
}
