//! VPCs, subnets, security groups and network interfaces, as far as decisions and the data plane read them.

use std::net::Ipv4Addr;

use gantry_types::{
    AvailabilityZone, InstanceId, NetworkInterfaceId, Region, SecurityGroupId, SubnetId, TaskId, Timestamp,
    Value, VpcId,
};

/// An IPv4 range: `10.0.0.0/16`. The host bits are zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    address: Ipv4Addr,
    prefix: u8,
}

impl Cidr {
    /// Masks the host bits away; `prefix` beyond 32 is refused.
    pub fn new(address: Ipv4Addr, prefix: u8) -> Option<Self> {
        (prefix <= 32).then(|| Self { address: Ipv4Addr::from(u32::from(address) & mask(prefix)), prefix })
    }
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        Self::new(address.parse().ok()?, prefix.parse().ok()?)
    }
    pub fn address(self) -> Ipv4Addr {
        self.address
    }
    pub fn prefix(self) -> u8 {
        self.prefix
    }
    pub fn contains(self, address: Ipv4Addr) -> bool {
        u32::from(address) & mask(self.prefix) == u32::from(self.address)
    }
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }
    /// The address `offset` behind the first one; `None` outside the range.
    pub fn nth(self, offset: u32) -> Option<Ipv4Addr> {
        let address = Ipv4Addr::from(u32::from(self.address).checked_add(offset)?);
        self.contains(address).then_some(address)
    }
    /// How many addresses the range has, at most 2^32 - 1.
    pub fn len(self) -> u32 {
        u32::try_from(1u64 << (32 - u32::from(self.prefix))).unwrap_or(u32::MAX)
    }
    pub fn is_empty(self) -> bool {
        false
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}
impl std::fmt::Debug for Cidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}
impl TryFrom<String> for Cidr {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or(text)
    }
}
impl From<Cidr> for String {
    fn from(cidr: Cidr) -> Self {
        cidr.to_string()
    }
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Vpc {
    pub region: Region,
    pub id: VpcId,
    pub cidr: Cidr,
    pub is_default: bool,
    pub created_at: Timestamp,
    pub document: Value,
}

impl Vpc {
    /// Amazon's resolver: the range's base plus two.
    pub fn dns_address(&self) -> Ipv4Addr {
        self.cidr.nth(2).unwrap_or(self.cidr.address())
    }
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Subnet {
    pub region: Region,
    pub id: SubnetId,
    pub vpc: VpcId,
    pub cidr: Cidr,
    pub availability_zone: AvailabilityZone,
    pub is_default: bool,
    pub map_public_ip: bool,
    pub document: Value,
}

impl Subnet {
    /// AWS keeps the first four addresses and the last one of each subnet for itself.
    pub const RESERVED_FIRST: u32 = 4;
    pub const RESERVED_LAST: u32 = 1;

    /// How many interfaces the subnet can hold.
    pub fn capacity(&self) -> u32 {
        self.cidr.len().saturating_sub(Self::RESERVED_FIRST + Self::RESERVED_LAST)
    }
    /// The address of slot `slot`, `slot` in `0..capacity`.
    pub fn address(&self, slot: u32) -> Option<Ipv4Addr> {
        if slot < self.capacity() { self.cidr.nth(slot + Self::RESERVED_FIRST) } else { None }
    }
}

/// The protocol of a security group's rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum IpProtocol {
    /// `-1`: every protocol and port.
    All,
    Tcp,
    Udp,
    Icmp,
    Other(u8),
}

/// Where a security group's rule lets traffic come from, or go to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Peer {
    Cidr(Cidr),
    /// Every interface that is in the group.
    Group(SecurityGroupId),
    /// IPv6 ranges and prefix lists are kept and given back; no IPv6 address exists here, so none of them matches.
    Unmatched(String),
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SecurityRule {
    /// `sgr-` and 17 hexadecimal digits.
    pub id: String,
    pub protocol: IpProtocol,
    /// Inclusive; for ICMP the type and the code, -1 for any; ignored for [`IpProtocol::All`].
    pub from_port: i32,
    pub to_port: i32,
    pub peer: Peer,
    pub description: Option<String>,
    pub tags: Value,
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SecurityGroup {
    pub region: Region,
    pub id: SecurityGroupId,
    pub name: String,
    pub description: String,
    pub vpc: VpcId,
    pub ingress: Vec<SecurityRule>,
    pub egress: Vec<SecurityRule>,
    pub document: Value,
}

/// An address in a subnet, with who uses it.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct NetworkInterface {
    pub region: Region,
    pub id: NetworkInterfaceId,
    pub vpc: VpcId,
    pub subnet: SubnetId,
    pub availability_zone: AvailabilityZone,
    pub address: Ipv4Addr,
    pub mac: String,
    pub security_groups: Vec<SecurityGroupId>,
    pub owner: InterfaceOwner,
    pub created_at: Timestamp,
    pub document: Value,
}

/// Who uses an interface.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum InterfaceOwner {
    Task(TaskId),
    LoadBalancer(gantry_types::Arn),
    Instance(InstanceId),
    /// Made by CreateNetworkInterface and attached to nothing of ours.
    User,
}

/// A MAC address for an interface's address, as AWS's look: `0a:` and the VPC-unique address behind it.
pub fn mac_address(address: Ipv4Addr, salt: u8) -> String {
    let [a, b, c, d] = address.octets();
    format!("0a:{salt:02x}:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_knows_its_addresses() {
        let cidr = Cidr::parse("172.31.16.9/20").expect("a range");
        assert_eq!(cidr.to_string(), "172.31.16.0/20");
        assert!(cidr.contains(Ipv4Addr::new(172, 31, 31, 255)));
        assert!(!cidr.contains(Ipv4Addr::new(172, 31, 32, 0)));
        assert_eq!(cidr.len(), 4096);
        assert_eq!(cidr.nth(4096), None);
        assert_eq!(Cidr::parse("0.0.0.0/0").map(Cidr::len), Some(u32::MAX));
        for bad in ["", "1.2.3.4", "1.2.3.4/33", "1.2.3/8", "x/8"] {
            assert_eq!(Cidr::parse(bad), None, "{bad}");
        }
    }
}
