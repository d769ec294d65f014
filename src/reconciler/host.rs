//! The host itself: its name, and what it uses of the address space, its IPv4 routes.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// What the host is called; `this host` where the kernel does not tell.
pub fn name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "this host".into() } else { name.trim().into() }
}

/// The subnets of the host's routes in CIDR form; none where the kernel does not tell.
pub fn subnets() -> BTreeSet<String> {
    std::fs::read_to_string("/proc/net/route").map(|text| routes(&text)).unwrap_or_default()
}

/// Columns: interface, destination, gateway, flags, refcnt, use, metric, mask, …; numbers in hexadecimal, little-endian.
fn routes(text: &str) -> BTreeSet<String> {
    let route = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let number = |index: usize| u32::from_str_radix(columns.get(index)?, 16).ok().map(u32::from_be);
        let (destination, mask) = (number(1)?, number(7)?);
        (mask != 0).then(|| format!("{}/{}", Ipv4Addr::from(destination), mask.count_ones()))
    };
    text.lines().skip(1).filter_map(route).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_read_and_the_default_route_is_left_out() {
        let text = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n\
                    eth0 00000000 0101A8C0 0003 0 0 0 00000000 0 0 0\n\
                    br0 0003C90A 00000000 0001 0 0 0 00FFFFFF 0 0 0\n";
        assert_eq!(routes(text), BTreeSet::from(["10.201.3.0/24".to_string()]));
    }
}
