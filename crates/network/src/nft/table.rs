//! A table as a value: what the compiler makes, what the encoder writes, what tests interpret.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::cidr::Ipv4Cidr;

/// An `inet` table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) chains: BTreeMap<String, Chain>,
    pub(crate) sets: BTreeMap<String, Set>,
    pub(crate) maps: BTreeMap<String, Map>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Chain {
    /// Where packets enter, for a base chain; other chains are reached by a verdict.
    pub(crate) hook: Option<Hook>,
    pub(crate) rules: Vec<Rule>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hook {
    pub(crate) point: HookPoint,
    /// Chains of one point run from the lowest to the highest; an accept in one passes the packet on to the next.
    pub(crate) priority: i32,
    pub(crate) policy: Policy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HookPoint {
    Prerouting,
    Input,
    Forward,
    Output,
    /// The chain that rewrites destinations of packets that come in.
    DestinationNat,
    /// The chain that rewrites destinations of packets that are sent from here.
    OutputNat,
    /// The chain that rewrites source addresses.
    SourceNat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    Accept,
    Drop,
}

/// All matches must hold for the verdict to be passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) matches: Vec<Match>,
    pub(crate) verdict: Verdict,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Match {
    /// Belongs to a flow that was let through, or is an ICMP error about one.
    EstablishedOrRelated,
    /// Makes no sense to connection tracking.
    Invalid,
    InputLink(LinkPattern),
    NotInputLink(LinkPattern),
    OutputLink(LinkPattern),
    NotOutputLink(LinkPattern),
    Source(Ipv4Cidr),
    Destination(Ipv4Cidr),
    /// In a named set of addresses.
    SourceIn(String),
    DestinationIn(String),
    /// In a named set of (link, address) pairs.
    InputLinkAndSourceIn(String),
    Protocol(u8),
    /// Of TCP or UDP, both ends included.
    DestinationPorts(u16, u16),
    IcmpType(u8),
    IcmpCode(u8),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LinkPattern {
    Named(String),
    StartingWith(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accept,
    Drop,
    /// Go on in another chain, and come back at its end.
    Jump(String),
    /// Go on in the chain that a map has for the packet, whose end is the end of the base chain. Without one, go on with
    /// the next rule.
    GotoByMap(MapKey, String),
    /// Take the output link's address as source. Source NAT chains only.
    Masquerade,
    /// Send it to this address and port instead. Destination and output NAT chains only; the rule matches a protocol with ports.
    SendTo(Ipv4Addr, u16),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MapKey {
    InputLink,
    OutputLink,
    Source,
    Destination,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyType {
    Address,
    Link,
    LinkAndAddress,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ElementKey {
    Address(Ipv4Addr),
    Link(String),
    LinkAndAddress(String, Ipv4Addr),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Set {
    pub(crate) key: KeyType,
    pub(crate) elements: BTreeSet<ElementKey>,
}

/// From keys to the chains to go on in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Map {
    pub(crate) key: KeyType,
    pub(crate) elements: BTreeMap<ElementKey, String>,
}

impl Rule {
    pub(crate) fn new(matches: impl Into<Vec<Match>>, verdict: Verdict) -> Self {
        Self { matches: matches.into(), verdict }
    }
}

impl LinkPattern {
    pub(crate) fn named(name: impl Into<String>) -> Self {
        Self::Named(name.into())
    }

    /// What the kernel compares: a whole name with its NUL, or only the beginning.
    pub(super) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Named(name) => {
                let mut bytes = name.as_bytes().to_vec();
                bytes.resize(LINK_NAME_BYTES, 0);
                bytes
            }
            Self::StartingWith(beginning) => beginning.as_bytes().to_vec(),
        }
    }
}

/// IFNAMSIZ, the NUL included.
pub(super) const LINK_NAME_BYTES: usize = 16;
