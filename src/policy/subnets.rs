//! Subnets as a policy sees them: whose addresses they are. It judges nothing.

use std::net::IpAddr;

/// Addresses at which clouds hand out credentials, within the private ranges.
const CREDENTIALS: [&str; 2] = ["100.100.100.200/32", "fd00:ec2::254/128"];
/// A route to more than the largest private range stands for everywhere, as the default route does: a tunnel sets two halves of it.
const BITS_OF_EVERYWHERE: u8 = 7;

/// Addresses that begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    address: IpAddr,
    bits: u8,
}

impl Subnet {
    /// Reads CIDR form.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let (address, bits): (IpAddr, u8) = (address.parse().ok()?, bits.parse().ok()?);
        let most = if address.is_ipv4() { 32 } else { 128 };
        (bits <= most).then_some(Self { address, bits })
    }

    /// Whether two have an address in common.
    pub fn meets(self, other: Subnet) -> bool {
        let bits = self.bits.min(other.bits);
        match (self.address, other.address) {
            (IpAddr::V4(one), IpAddr::V4(other)) => {
                (u32::from(one) ^ u32::from(other)).checked_shr(32 - u32::from(bits)).unwrap_or(0) == 0
            }
            (IpAddr::V6(one), IpAddr::V6(other)) => {
                (u128::from(one) ^ u128::from(other)).checked_shr(128 - u32::from(bits)).unwrap_or(0) == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }

    /// Whether a route to it is one to everywhere.
    pub fn is_everywhere(self) -> bool {
        self.bits <= BITS_OF_EVERYWHERE
    }

    /// Whether a cloud hands out credentials in it.
    pub fn has_credentials(self) -> bool {
        CREDENTIALS.iter().filter_map(|text| Subnet::parse(text)).any(|address| self.meets(address))
    }

    /// Whether it lies in the ranges that nobody outside has (RFC 1918, RFC 6598, RFC 4193), or in the one that is set aside for
    /// measuring networks (RFC 2544).
    pub fn is_private(self) -> bool {
        match self.address {
            IpAddr::V4(address) => {
                let [a, b, ..] = address.octets();
                match (a, b) {
                    (10, _) => self.bits >= 8,
                    (172, 16..=31) => self.bits >= 12,
                    (192, 168) => self.bits >= 16,
                    (100, 64..=127) => self.bits >= 10,
                    (198, 18..=19) => self.bits >= 15,
                    _ => false,
                }
            }
            IpAddr::V6(address) => address.segments()[0] & 0xfe00 == 0xfc00 && self.bits >= 7,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        Subnet::parse(text).unwrap()
    }

    #[test]
    fn a_subnet_is_private_when_all_of_it_is() {
        for private in ["10.0.0.0/8", "172.16.0.0/12", "192.168.7.0/24", "100.64.0.0/10", "fd00:1::/64"] {
            assert!(subnet(private).is_private(), "{private}");
        }
        for public in ["8.8.8.0/24", "10.0.0.0/7", "172.32.0.0/16", "0.0.0.0/0", "127.0.0.0/8", "2001:db8::/32"] {
            assert!(!subnet(public).is_private(), "{public}");
        }
        assert_eq!([Subnet::parse("x"), Subnet::parse("10.0.0.0/33"), Subnet::parse("10.0.0.0")], [None; 3]);
    }

    #[test]
    fn two_meet_when_one_is_in_the_other() {
        for (one, other) in [
            ("10.0.0.0/16", "10.0.5.0/24"),
            ("10.0.5.0/24", "10.0.0.0/16"),
            ("fd00::/8", "fd00:1::/64"),
            ("0.0.0.0/0", "10.0.0.0/8"),
        ] {
            assert!(subnet(one).meets(subnet(other)), "{one} {other}");
        }
        for (one, other) in [("10.0.0.0/16", "10.1.0.0/24"), ("10.0.0.1/32", "10.0.0.2/32"), ("::/0", "10.0.0.0/8")] {
            assert!(!subnet(one).meets(subnet(other)), "{one} {other}");
        }
    }

    #[test]
    fn addresses_of_credentials_are_known_in_any_subnet_that_has_them() {
        for cloud in ["100.100.100.0/24", "100.64.0.0/10", "fd00:ec2::/64"] {
            assert!(subnet(cloud).has_credentials(), "{cloud}");
        }
        assert!(!subnet("100.100.101.0/24").has_credentials());
    }
}
