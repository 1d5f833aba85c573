//! What AWS's rules mean, said directly.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use gantry_types::SecurityGroupId;

use super::model::{Direction, IcmpKind, Peer, Rule, Traffic, VpcSecurity};

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMP: u8 = 1;

/// The first packet of a flow, as far as rules look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet {
    Tcp {
        port: u16,
    },
    Udp {
        port: u16,
    },
    Icmp {
        kind: u8,
        code: u8,
    },
    /// Any other protocol, by its number.
    Other(u8),
}

impl VpcSecurity {
    /// Whether a holder of these groups may take (ingress) or send (egress) the first packet of a flow from or to
    /// `peer`. This is what a load balancer asks when it accepts a client from outside the VPC.
    pub fn admits(
        &self,
        groups: &BTreeSet<SecurityGroupId>,
        direction: Direction,
        packet: Packet,
        peer: Ipv4Addr,
    ) -> bool {
        let rules =
            groups.iter().filter_map(|group| self.groups.get(group)).flat_map(|group| match direction {
                Direction::Ingress => &group.ingress,
                Direction::Egress => &group.egress,
            });
        rules.into_iter().any(|rule| rule.traffic.covers(packet) && self.names(rule, peer))
    }

    fn names(&self, rule: &Rule, peer: Ipv4Addr) -> bool {
        match &rule.peer {
            Peer::Cidr(range) => range.contains(peer),
            Peer::Group(group) => {
                self.groups.contains_key(group)
                    && self
                        .members
                        .iter()
                        .any(|member| member.address == peer && member.groups.contains(group))
            }
        }
    }
}

impl Traffic {
    fn covers(self, packet: Packet) -> bool {
        match (self, packet) {
            (Self::All, _) => true,
            (Self::Tcp(ports), Packet::Tcp { port }) | (Self::Udp(ports), Packet::Udp { port }) => {
                ports.contains(port)
            }
            (Self::Icmp(IcmpKind::Any), Packet::Icmp { .. }) => true,
            (Self::Icmp(IcmpKind::Type(wanted)), Packet::Icmp { kind, .. }) => wanted == kind,
            (Self::Icmp(IcmpKind::TypeAndCode(wanted, wanted_code)), Packet::Icmp { kind, code }) => {
                (wanted, wanted_code) == (kind, code)
            }
            (Self::Protocol(wanted), packet) => wanted == packet.protocol(),
            (Self::Tcp(_) | Self::Udp(_) | Self::Icmp(_), _) => false,
        }
    }
}

impl Packet {
    pub(crate) fn protocol(self) -> u8 {
        match self {
            Self::Tcp { .. } => TCP,
            Self::Udp { .. } => UDP,
            Self::Icmp { .. } => ICMP,
            Self::Other(number) => number,
        }
    }
}
