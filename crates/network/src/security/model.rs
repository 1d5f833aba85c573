//! AWS's security groups as values.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use gantry_types::{NetworkInterfaceId, SecurityGroupId};

use crate::cidr::Ipv4Cidr;
use crate::name::NameError;

/// Everything that decides who may talk to whom in one VPC.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VpcSecurity {
    pub groups: BTreeMap<SecurityGroupId, SecurityGroup>,
    /// Every address of the VPC, wherever its interface is. An address that is not listed reaches nothing and is
    /// reached by nobody.
    pub members: Vec<Member>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecurityGroup {
    pub ingress: Vec<Rule>,
    pub egress: Vec<Rule>,
}

/// Lets traffic through. There is no rule that denies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    pub traffic: Traffic,
    /// The source of an ingress rule, the destination of an egress rule.
    pub peer: Peer,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    Cidr(Ipv4Cidr),
    /// Every member of a group, which may be the rule's own. A group that does not exist (any more) matches nothing.
    Group(SecurityGroupId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Traffic {
    All,
    Tcp(PortRange),
    Udp(PortRange),
    Icmp(IcmpKind),
    /// Another protocol by its number; it has no ports.
    Protocol(u8),
}

/// Both ends included, the first not above the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortRange {
    pub(crate) first: u16,
    pub(crate) last: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IcmpKind {
    Any,
    Type(u8),
    TypeAndCode(u8, u8),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub address: Ipv4Addr,
    pub attachment: Attachment,
    /// A group that does not exist lets nothing through.
    pub groups: BTreeSet<SecurityGroupId>,
}

/// Where a member's address is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attachment {
    /// On an interface on this machine, which need not exist yet.
    Interface(NetworkInterfaceId),
    /// On the loopback of the VPC's namespace on this machine: a load balancer.
    Loopback,
    /// On another machine: it counts as a member of its groups, and is judged there.
    Elsewhere,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    Ingress,
    Egress,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecurityError {
    #[error("{0} is a member of the VPC twice")]
    AddressTwice(Ipv4Addr),
    #[error("interface {0} is a member of the VPC twice")]
    InterfaceTwice(NetworkInterfaceId),
    #[error(transparent)]
    Name(#[from] NameError),
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrafficError {
    #[error("{0:?} is not an IP protocol: expected -1, tcp, udp, icmp or a number up to 255")]
    Protocol(String),
    #[error("ports {first} to {last} are no range within 0 to 65535")]
    Ports { first: i32, last: i32 },
    #[error("ICMP type {kind} with code {code} does not exist")]
    Icmp { kind: i32, code: i32 },
}

impl PortRange {
    pub const ALL: Self = Self { first: 0, last: u16::MAX };

    pub const fn one(port: u16) -> Self {
        Self { first: port, last: port }
    }

    pub fn new(first: u16, last: u16) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    pub(crate) const fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }
}

impl Traffic {
    /// Reads the three fields of an EC2 `IpPermission`. For ICMP the "ports" are type and code, -1 meaning any.
    pub fn from_permission(protocol: &str, from: Option<i32>, to: Option<i32>) -> Result<Self, TrafficError> {
        match protocol {
            "-1" => Ok(Self::All),
            "tcp" | "6" => Ok(Self::Tcp(ports(from, to)?)),
            "udp" | "17" => Ok(Self::Udp(ports(from, to)?)),
            "icmp" | "1" => Ok(Self::Icmp(icmp(from.unwrap_or(-1), to.unwrap_or(-1))?)),
            "icmpv6" => Ok(Self::Protocol(58)),
            _ => {
                let refused = || TrafficError::Protocol(protocol.chars().take(32).collect());
                if protocol.is_empty() || !protocol.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(refused());
                }
                protocol.parse().map(Self::Protocol).map_err(|_| refused())
            }
        }
    }
}

fn ports(from: Option<i32>, to: Option<i32>) -> Result<PortRange, TrafficError> {
    // Without ports, and with -1 for both, all are meant.
    let (first, last) = match (from.unwrap_or(-1), to.unwrap_or(-1)) {
        (-1, -1) => return Ok(PortRange::ALL),
        bounds => bounds,
    };
    let narrow = |port: i32| u16::try_from(port).ok();
    narrow(first)
        .zip(narrow(last))
        .and_then(|(first, last)| PortRange::new(first, last))
        .ok_or(TrafficError::Ports { first, last })
}

fn icmp(kind: i32, code: i32) -> Result<IcmpKind, TrafficError> {
    match (u8::try_from(kind), u8::try_from(code)) {
        (Err(_), _) if kind == -1 && code == -1 => Ok(IcmpKind::Any),
        (Ok(kind), Err(_)) if code == -1 => Ok(IcmpKind::Type(kind)),
        (Ok(kind), Ok(code)) => Ok(IcmpKind::TypeAndCode(kind, code)),
        _ => Err(TrafficError::Icmp { kind, code }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_read_as_ec2_reads_them() {
        let read = |protocol, from, to| Traffic::from_permission(protocol, from, to);
        assert_eq!(read("-1", None, None), Ok(Traffic::All));
        assert_eq!(read("-1", Some(80), Some(80)), Ok(Traffic::All));
        assert_eq!(read("tcp", Some(80), Some(90)), Ok(Traffic::Tcp(PortRange { first: 80, last: 90 })));
        assert_eq!(read("6", None, None), Ok(Traffic::Tcp(PortRange::ALL)));
        assert_eq!(read("udp", Some(53), Some(53)), Ok(Traffic::Udp(PortRange::one(53))));
        assert_eq!(read("icmp", Some(-1), Some(-1)), Ok(Traffic::Icmp(IcmpKind::Any)));
        assert_eq!(read("icmp", Some(8), Some(-1)), Ok(Traffic::Icmp(IcmpKind::Type(8))));
        assert_eq!(read("icmp", Some(3), Some(4)), Ok(Traffic::Icmp(IcmpKind::TypeAndCode(3, 4))));
        assert_eq!(read("50", None, None), Ok(Traffic::Protocol(50)));
        for (protocol, from, to) in [
            ("tcp", Some(90), Some(80)),
            ("tcp", Some(-1), Some(80)),
            ("udp", Some(0), Some(65536)),
            ("icmp", Some(-1), Some(3)),
            ("icmp", Some(256), Some(0)),
            ("256", None, None),
            ("+6", None, None),
            ("", None, None),
            ("sctp?", None, None),
        ] {
            assert!(read(protocol, from, to).is_err(), "{protocol} {from:?} {to:?}");
        }
    }
}
