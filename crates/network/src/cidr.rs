//! IPv4 ranges in CIDR notation.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// A network: an address with no bit set behind its prefix.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ipv4Cidr {
    network: u32,
    prefix: u8,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an IPv4 range such as 10.0.0.0/16")]
pub struct CidrError(String);

impl Ipv4Cidr {
    /// Everything: `0.0.0.0/0`.
    pub const ANY: Self = Self { network: 0, prefix: 0 };

    /// The range of this length around an address. A prefix over 32 counts as 32.
    pub const fn around(address: Ipv4Addr, prefix: u8) -> Self {
        let prefix = if prefix > 32 { 32 } else { prefix };
        Self { network: address.to_bits() & mask(prefix), prefix }
    }

    /// One address.
    pub const fn host(address: Ipv4Addr) -> Self {
        Self::around(address, 32)
    }

    pub const fn network(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network)
    }

    pub const fn prefix(self) -> u8 {
        self.prefix
    }

    pub const fn netmask(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(mask(self.prefix))
    }

    pub const fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & mask(self.prefix) == self.network
    }

    pub const fn overlaps(self, other: Self) -> bool {
        self.contains(other.network()) || other.contains(self.network())
    }

    /// How many addresses the range has.
    pub const fn size(self) -> u64 {
        1 << (32 - self.prefix)
    }

    /// The address at this place of the range, if it has so many.
    pub fn nth(self, index: u64) -> Option<Ipv4Addr> {
        (index < self.size()).then(|| Ipv4Addr::from_bits(self.network + index as u32))
    }
}

const fn mask(prefix: u8) -> u32 {
    if prefix == 0 { 0 } else { u32::MAX << (32 - prefix) }
}

impl FromStr for Ipv4Cidr {
    type Err = CidrError;

    /// Bits behind the prefix are cleared, as EC2 does.
    fn from_str(text: &str) -> Result<Self, CidrError> {
        let parse = || {
            let (address, prefix) = text.split_once('/')?;
            let prefix = prefix.parse().ok().filter(|prefix| *prefix <= 32 && !prefix_has_sign(text))?;
            Some(Self::around(address.parse().ok()?, prefix))
        };
        parse().ok_or_else(|| CidrError(text.chars().take(64).collect()))
    }
}

/// Rust's number parser takes `+8`; EC2 does not.
fn prefix_has_sign(text: &str) -> bool {
    text.contains('+')
}

impl fmt::Display for Ipv4Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network(), self.prefix)
    }
}

impl fmt::Debug for Ipv4Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_parsed_and_normalized() {
        for (text, expected) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("1.2.3.4/32", "1.2.3.4/32"),
        ] {
            assert_eq!(text.parse::<Ipv4Cidr>().unwrap().to_string(), expected);
        }
        for text in
            ["", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0/8", "::/0", "1.2.3.4/8/9"]
        {
            assert!(text.parse::<Ipv4Cidr>().is_err(), "{text}");
        }
    }

    #[test]
    fn containment_and_overlap() {
        let range: Ipv4Cidr = "172.31.0.0/16".parse().unwrap();
        assert!(range.contains(Ipv4Addr::new(172, 31, 255, 255)));
        assert!(!range.contains(Ipv4Addr::new(172, 32, 0, 0)));
        assert!(range.overlaps(Ipv4Cidr::ANY) && Ipv4Cidr::ANY.overlaps(range));
        assert!(range.overlaps("172.31.16.0/20".parse().unwrap()));
        assert!(!range.overlaps("172.30.0.0/16".parse().unwrap()));
        assert_eq!(range.nth(2), Some(Ipv4Addr::new(172, 31, 0, 2)));
        assert_eq!(range.nth(65536), None);
        assert_eq!(Ipv4Cidr::ANY.size(), 1 << 32);
    }
}
