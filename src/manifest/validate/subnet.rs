//! Subnets in CIDR form. Arithmetic only.

use std::net::IpAddr;

/// A subnet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    address: IpAddr,
    prefix: u8,
}

impl Subnet {
    /// Reads `10.0.0.0/24`; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not a subnet such as 10.20.0.0/24");
        let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
        let longest = if address.is_ipv4() { 30 } else { 126 };
        if prefix == 0 || prefix > longest {
            return Err(format!("'{text}': the prefix of a network is from /1 to /{longest}"));
        }
        let subnet = Self { address, prefix };
        if subnet.bits() & !subnet.mask() != 0 {
            return Err(format!("'{text}' has bits beyond its prefix; the subnet is {}", subnet.first()));
        }
        Ok(subnet)
    }

    /// Whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let other = Self { address, prefix: self.prefix };
        self.is_ipv4() == other.is_ipv4() && self.bits() == other.bits() & other.mask()
    }

    /// Its family (IPv4 first), and its first and last address in that family's highest bits.
    pub fn range(&self) -> (bool, u128, u128) {
        (!self.is_ipv4(), self.bits(), self.bits() | !self.mask())
    }

    /// Whether it is of IPv4.
    pub fn is_ipv4(&self) -> bool {
        self.address.is_ipv4()
    }

    /// Both kinds of address as 128 bits, an IPv4 address in the highest 32.
    fn bits(&self) -> u128 {
        match self.address {
            IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
            IpAddr::V6(address) => address.to_bits(),
        }
    }

    fn mask(&self) -> u128 {
        u128::MAX << (128 - u32::from(self.prefix))
    }

    fn first(&self) -> String {
        let bits = self.bits() & self.mask();
        match self.address {
            IpAddr::V4(_) => format!("{}/{}", std::net::Ipv4Addr::from_bits((bits >> 96) as u32), self.prefix),
            IpAddr::V6(_) => format!("{}/{}", std::net::Ipv6Addr::from_bits(bits), self.prefix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_has_no_bits_beyond_its_prefix() {
        for right in ["10.0.0.0/8", "10.20.30.0/24", "fd00:1::/64", "192.168.0.4/30"] {
            assert!(Subnet::parse(right).is_ok(), "{right}");
        }
        assert!(Subnet::parse("10.20.30.1/24").unwrap_err().contains("10.20.30.0/24"));
        assert!(Subnet::parse("fd00::1/64").unwrap_err().contains("fd00::/64"));
        for wrong in
            ["", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/0", "10.0.0/24", "10.0.0.0/x", "10.0.0.0/31", "fd00::/128"]
        {
            assert!(Subnet::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_range_covers_what_the_subnet_contains() {
        let subnet = |text| Subnet::parse(text).unwrap();
        let (_, first, last) = subnet("10.0.0.0/8").range();
        let (_, inner_first, inner_last) = subnet("10.20.30.0/24").range();
        assert!(first < inner_first && inner_last < last);
        assert!(subnet("10.20.30.0/24").contains("10.20.30.7".parse().unwrap()));
        assert!(!subnet("10.20.30.0/24").contains("10.20.31.7".parse().unwrap()));
        assert!(!subnet("10.0.0.0/8").contains("a00::1".parse().unwrap()));
    }
}
