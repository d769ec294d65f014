//! How many networks still fit into ranges of addresses. Pure.

use std::net::Ipv4Addr;

use crate::engine::Pool;

/// What the engine cuts networks from when its configuration names no ranges.
pub fn built_in() -> Vec<Pool> {
    let sixteen = (17..32).map(|second| Pool { base: format!("172.{second}.0.0/16"), size: 16 });
    sixteen.chain([Pool { base: "192.168.0.0/16".into(), size: 20 }]).collect()
}

/// How many networks the pools have room for, and how many of those are taken by one of `subnets`. IPv6 is not counted.
pub fn room(pools: &[Pool], subnets: &[String]) -> (u64, u64) {
    let taken: Vec<Range> = subnets.iter().filter_map(|subnet| range(subnet)).collect();
    let counts = pools.iter().filter_map(|pool| {
        let base = range(&pool.base)?;
        let each = 1u64.checked_shl(u32::from(32u8.checked_sub(pool.size)?))?;
        let total = base.size() / each;
        // A network may lie across several places, and several networks in one.
        let mut places: Vec<u64> = Vec::new();
        for range in taken.iter().filter(|range| range.first <= base.last && base.first <= range.last) {
            let first = (range.first.max(base.first) - base.first) / each;
            let last = (range.last.min(base.last) - base.first) / each;
            places.extend((first..=last).filter(|place| *place < total));
        }
        places.sort_unstable();
        places.dedup();
        Some((total, places.len() as u64))
    });
    counts.fold((0, 0), |sum, (total, taken)| (sum.0 + total, sum.1 + taken))
}

/// Addresses from the first to the last.
struct Range {
    first: u64,
    last: u64,
}

impl Range {
    fn size(&self) -> u64 {
        self.last - self.first + 1
    }
}

fn range(subnet: &str) -> Option<Range> {
    let (address, prefix) = subnet.split_once('/')?;
    let address = u64::from(u32::from(address.parse::<Ipv4Addr>().ok()?));
    let size = 1u64 << 32u32.checked_sub(prefix.parse().ok()?)?;
    let first = address / size * size;
    Some(Range { first, last: first + size - 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(pools: &[Pool], subnets: &[&str]) -> (u64, u64) {
        room(pools, &subnets.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn networks_are_counted_by_the_places_that_they_take() {
        assert_eq!(taken(&built_in(), &["172.17.0.0/16", "172.18.0.0/16", "10.0.0.0/8", "fd00::/64"]), (31, 2));
        let ours = [Pool { base: "10.201.0.0/16".into(), size: 24 }];
        assert_eq!(taken(&ours, &["10.201.0.0/24", "10.201.0.128/25", "10.201.4.0/22"]), (256, 5));
        assert_eq!(taken(&ours, &["0.0.0.0/0"]), (256, 256));
    }

    #[test]
    fn what_is_no_range_counts_nothing() {
        assert_eq!(
            taken(&[Pool { base: "x".into(), size: 24 }, Pool { base: "10.0.0.0/8".into(), size: 40 }], &[]),
            (0, 0)
        );
    }
}
