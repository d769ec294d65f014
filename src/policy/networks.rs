//! Networks: to join and to make. The engine takes some names of networks for modes.

use std::collections::BTreeMap;
use std::net::IpAddr;

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
        for subnet in subnets.iter().filter(|subnet| !is_private(subnet)) {
            let why =
                format!("{subnet} is not a private range: the host would send what is meant for it to a container");
            self.refuse("subnets", "network-subnet", why, None);
        }
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

/// Whether a subnet lies in the ranges that nobody outside has (RFC 1918, RFC 6598, RFC 4193), or in the one that is
/// set aside for measuring networks (RFC 2544).
fn is_private(subnet: &str) -> bool {
    let Some((address, bits)) = subnet.split_once('/') else { return false };
    let (Ok(address), Ok(bits)) = (address.parse::<IpAddr>(), bits.parse::<u8>()) else { return false };
    match address {
        IpAddr::V4(address) => {
            let [a, b, ..] = address.octets();
            match (a, b) {
                (10, _) => bits >= 8,
                (172, 16..=31) => bits >= 12,
                (192, 168) => bits >= 16,
                (100, 64..=127) => bits >= 10,
                (198, 18..=19) => bits >= 15,
                _ => false,
            }
        }
        IpAddr::V6(address) => address.segments()[0] & 0xfe00 == 0xfc00 && bits >= 7,
    }
}

#[cfg(test)]
mod tests {
    use super::is_private;

    #[test]
    fn a_subnet_is_private_when_all_of_it_is() {
        for private in ["10.0.0.0/8", "172.16.0.0/12", "192.168.7.0/24", "100.64.0.0/10", "fd00:1::/64"] {
            assert!(is_private(private), "{private}");
        }
        for public in ["8.8.8.0/24", "10.0.0.0/7", "172.32.0.0/16", "0.0.0.0/0", "127.0.0.0/8", "2001:db8::/32", "x"] {
            assert!(!is_private(public), "{public}");
        }
    }
}
