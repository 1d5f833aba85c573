//! From security groups to an nftables table.
//!
//! A packet is judged twice, by its sender's egress rules and by its receiver's ingress rules. nftables' accept ends only
//! the base chain it is said in, so each hook has two base chains, first egress, then ingress:
//!
//! ```text
//! prerouting  pin        the source address belongs to the link
//! input       in-egress  of the sending interface        in-ingress   of the VPC's own address
//! forward     egress     of the sending interface        ingress      of the receiving interface
//! output      out-egress of the VPC's own address        out-ingress  of the receiving interface
//! ```
//! A verdict map leads from the link (or the VPC's own address) to the chain of its groups: `out-sg-..` and `in-sg-..`
//! for one group, a chain that jumps to each for several. It is entered by goto, so what no rule accepts meets the base
//! chain's policy, which is to drop.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use gantry_types::SecurityGroupId;

use super::evaluate::{ICMP, TCP, UDP};
use super::model::{Attachment, Direction, IcmpKind, Peer, Rule, SecurityError, Traffic, VpcSecurity};
use crate::cidr::Ipv4Cidr;
use crate::name::{self, UPLINK};
use crate::nft::{
    Chain, ElementKey, Hook, HookPoint, KeyType, LinkPattern, Map, MapKey, Match, Policy, Rule as NftRule,
    Set, Table, Verdict,
};

/// The set of addresses on the VPC's loopback that no rule guards.
const ALWAYS_REACHABLE: &str = "always-reachable";
/// The set of (link, source address) pairs that are true.
const SOURCES: &str = "sources";
const LINK_EGRESS: &str = "link-egress";
const LINK_INGRESS: &str = "link-ingress";
const OWN_EGRESS: &str = "own-egress";
const OWN_INGRESS: &str = "own-ingress";

/// What a VPC's table needs beside its security groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VpcBase {
    /// The DNS, metadata and other service addresses.
    pub(crate) always_reachable: BTreeSet<Ipv4Addr>,
}

/// Makes the whole table of a VPC.
pub(crate) fn compile(base: &VpcBase, security: &VpcSecurity) -> Result<Table, SecurityError> {
    let mut compiler = Compiler { security, table: base_table(base), groups_with_set: BTreeSet::new() };
    compiler.members()?;
    compiler.group_sets();
    Ok(compiler.table)
}

fn base_table(base: &VpcBase) -> Table {
    let set = |key| Set { key, elements: BTreeSet::new() };
    let map = |key| Map { key, elements: BTreeMap::new() };
    let always = base.always_reachable.iter().copied().map(ElementKey::Address).collect();
    Table {
        name: name::VPC_TABLE.to_owned(),
        chains: base_chains(),
        sets: [
            (ALWAYS_REACHABLE.to_owned(), Set { key: KeyType::Address, elements: always }),
            (SOURCES.to_owned(), set(KeyType::LinkAndAddress)),
        ]
        .into(),
        maps: [
            (LINK_EGRESS.to_owned(), map(KeyType::Link)),
            (LINK_INGRESS.to_owned(), map(KeyType::Link)),
            (OWN_EGRESS.to_owned(), map(KeyType::Address)),
            (OWN_INGRESS.to_owned(), map(KeyType::Address)),
        ]
        .into(),
    }
}

/// A chain whose hook or priority changes takes another name: the tables of former versions are taken over as they are,
/// and a chain cannot change its hook.
fn base_chains() -> BTreeMap<String, Chain> {
    let uplink = || LinkPattern::named(UPLINK);
    let loopback = || LinkPattern::named("lo");
    let accept = |matches: Vec<Match>| NftRule::new(matches, Verdict::Accept);
    let established = || accept(vec![Match::EstablishedOrRelated]);
    let invalid = || NftRule::new([Match::Invalid], Verdict::Drop);
    let by_map = |key, map: &str| NftRule::new([], Verdict::GotoByMap(key, map.to_owned()));
    let always = || Match::DestinationIn(ALWAYS_REACHABLE.to_owned());
    const RAW: i32 = -300;
    const FIRST: i32 = -10;
    const SECOND: i32 = 0;
    const SOURCE_NAT: i32 = 100;
    let chain =
        |point, priority, policy, rules| Chain { hook: Some(Hook { point, priority, policy }), rules };
    [
        (
            // Before connection tracking, so that a false packet leaves no trace there. IPv6 has no pair and ends here.
            "pin",
            chain(
                HookPoint::Prerouting,
                RAW,
                Policy::Drop,
                vec![
                    accept(vec![Match::InputLink(loopback())]),
                    accept(vec![Match::InputLink(uplink())]),
                    accept(vec![Match::InputLinkAndSourceIn(SOURCES.to_owned())]),
                ],
            ),
        ),
        (
            "in-egress",
            chain(
                HookPoint::Input,
                FIRST,
                Policy::Drop,
                vec![
                    established(),
                    invalid(),
                    // A packet from an address of the VPC itself passed `out-egress` on its way here.
                    accept(vec![Match::InputLink(loopback())]),
                    accept(vec![Match::NotInputLink(uplink()), always()]),
                    by_map(MapKey::InputLink, LINK_EGRESS),
                ],
            ),
        ),
        (
            "in-ingress",
            chain(
                HookPoint::Input,
                SECOND,
                Policy::Drop,
                vec![established(), accept(vec![always()]), by_map(MapKey::Destination, OWN_INGRESS)],
            ),
        ),
        (
            // Clients from outside never enter: nothing new comes in by the uplink, which has no entry in the map.
            "egress",
            chain(
                HookPoint::Forward,
                FIRST,
                Policy::Drop,
                vec![established(), invalid(), by_map(MapKey::InputLink, LINK_EGRESS)],
            ),
        ),
        (
            "ingress",
            chain(
                HookPoint::Forward,
                SECOND,
                Policy::Drop,
                vec![
                    established(),
                    accept(vec![Match::OutputLink(uplink())]),
                    by_map(MapKey::OutputLink, LINK_INGRESS),
                ],
            ),
        ),
        (
            // The namespace's other addresses (the gateway's, the uplink's) are nobody's, have no entry in the map, and
            // may send. The last rule lets them; a default would also let what the chains of the map refuse.
            "out-egress",
            chain(
                HookPoint::Output,
                FIRST,
                Policy::Drop,
                vec![established(), by_map(MapKey::Source, OWN_EGRESS), accept(vec![])],
            ),
        ),
        (
            "out-ingress",
            chain(
                HookPoint::Output,
                SECOND,
                Policy::Drop,
                vec![
                    established(),
                    // `input` judges these.
                    accept(vec![Match::OutputLink(loopback())]),
                    accept(vec![Match::OutputLink(uplink())]),
                    by_map(MapKey::OutputLink, LINK_INGRESS),
                ],
            ),
        ),
        (
            "masquerade",
            chain(
                HookPoint::SourceNat,
                SOURCE_NAT,
                Policy::Accept,
                vec![NftRule::new([Match::OutputLink(uplink())], Verdict::Masquerade)],
            ),
        ),
    ]
    .into_iter()
    .map(|(name, chain)| (name.to_owned(), chain))
    .collect()
}

struct Compiler<'a> {
    security: &'a VpcSecurity,
    table: Table,
    /// Groups that some rule names as a peer.
    groups_with_set: BTreeSet<SecurityGroupId>,
}

impl Compiler<'_> {
    fn members(&mut self) -> Result<(), SecurityError> {
        let mut addresses = BTreeSet::new();
        for member in &self.security.members {
            if !addresses.insert(member.address) {
                return Err(SecurityError::AddressTwice(member.address));
            }
            match &member.attachment {
                Attachment::Interface(id) => {
                    let link = name::interface_link(id)?;
                    let egress = self.chain_of(&member.groups, Direction::Egress)?;
                    let ingress = self.chain_of(&member.groups, Direction::Ingress)?;
                    if !self.map_to(LINK_EGRESS, ElementKey::Link(link.clone()), egress) {
                        return Err(SecurityError::InterfaceTwice(id.clone()));
                    }
                    self.map_to(LINK_INGRESS, ElementKey::Link(link.clone()), ingress);
                    self.add_to(SOURCES, ElementKey::LinkAndAddress(link, member.address));
                }
                Attachment::Loopback => {
                    let egress = self.chain_of(&member.groups, Direction::Egress)?;
                    let ingress = self.chain_of(&member.groups, Direction::Ingress)?;
                    self.map_to(OWN_EGRESS, ElementKey::Address(member.address), egress);
                    self.map_to(OWN_INGRESS, ElementKey::Address(member.address), ingress);
                }
                Attachment::Elsewhere => {}
            }
        }
        Ok(())
    }

    /// False when the key has a chain already.
    fn map_to(&mut self, map: &str, key: ElementKey, chain: String) -> bool {
        let map = self.table.maps.get_mut(map).expect("the base table has every map");
        map.elements.insert(key, chain).is_none()
    }

    fn add_to(&mut self, set: &str, key: ElementKey) {
        let set = self.table.sets.get_mut(set).expect("the base table has every fixed set");
        set.elements.insert(key);
    }

    /// The chain for holders of these groups, made on first use.
    fn chain_of(
        &mut self,
        groups: &BTreeSet<SecurityGroupId>,
        direction: Direction,
    ) -> Result<String, SecurityError> {
        let mut chains = Vec::new();
        for group in groups {
            chains.push(self.group_chain(group, direction)?);
        }
        if let [only] = &chains[..] {
            return Ok(only.clone());
        }
        let name = format!("{}-any-{:016x}", prefix(direction), fingerprint(&chains));
        let jumps = chains.into_iter().map(|chain| NftRule::new([], Verdict::Jump(chain)));
        self.add_chain(name.clone(), jumps.collect());
        Ok(name)
    }

    fn group_chain(&mut self, id: &SecurityGroupId, direction: Direction) -> Result<String, SecurityError> {
        name::check_group(id)?;
        let name = format!("{}-{id}", prefix(direction));
        if self.table.chains.contains_key(&name) {
            return Ok(name);
        }
        let rules = self.security.groups.get(id).map_or(&[][..], |group| match direction {
            Direction::Ingress => &group.ingress,
            Direction::Egress => &group.egress,
        });
        // Sorted and without repetitions, so that the same rules in another order are no change.
        let rules: BTreeSet<&Rule> = rules.iter().collect();
        let mut compiled = Vec::new();
        for rule in rules {
            compiled.extend(self.rule(rule, direction)?);
        }
        self.add_chain(name.clone(), compiled);
        Ok(name)
    }

    fn add_chain(&mut self, name: String, rules: Vec<NftRule>) {
        self.table.chains.insert(name, Chain { hook: None, rules });
    }

    fn rule(&mut self, rule: &Rule, direction: Direction) -> Result<Option<NftRule>, SecurityError> {
        let mut matches = Vec::new();
        match &rule.peer {
            Peer::Cidr(range) if *range == Ipv4Cidr::ANY => {}
            Peer::Cidr(range) => matches.push(match direction {
                Direction::Ingress => Match::Source(*range),
                Direction::Egress => Match::Destination(*range),
            }),
            Peer::Group(group) => {
                name::check_group(group)?;
                if !self.security.groups.contains_key(group) {
                    return Ok(None);
                }
                self.groups_with_set.insert(group.clone());
                matches.push(match direction {
                    Direction::Ingress => Match::SourceIn(group.to_string()),
                    Direction::Egress => Match::DestinationIn(group.to_string()),
                });
            }
        }
        match rule.traffic {
            Traffic::All => {}
            Traffic::Tcp(ports) => port_matches(&mut matches, TCP, ports),
            Traffic::Udp(ports) => port_matches(&mut matches, UDP, ports),
            Traffic::Icmp(kind) => {
                matches.push(Match::Protocol(ICMP));
                match kind {
                    IcmpKind::Any => {}
                    IcmpKind::Type(number) => matches.push(Match::IcmpType(number)),
                    IcmpKind::TypeAndCode(number, code) => {
                        matches.extend([Match::IcmpType(number), Match::IcmpCode(code)]);
                    }
                }
            }
            Traffic::Protocol(number) => matches.push(Match::Protocol(number)),
        }
        Ok(Some(NftRule::new(matches, Verdict::Accept)))
    }

    /// The members of each group that rules name, on whatever machine they are.
    fn group_sets(&mut self) {
        for group in std::mem::take(&mut self.groups_with_set) {
            let members = self.security.members.iter().filter(|member| member.groups.contains(&group));
            let elements = members.map(|member| ElementKey::Address(member.address)).collect();
            self.table.sets.insert(group.to_string(), Set { key: KeyType::Address, elements });
        }
    }
}

fn port_matches(matches: &mut Vec<Match>, protocol: u8, ports: super::PortRange) {
    matches.push(Match::Protocol(protocol));
    if ports != super::PortRange::ALL {
        matches.push(Match::DestinationPorts(ports.first, ports.last));
    }
}

fn prefix(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "in",
        Direction::Egress => "out",
    }
}

/// FNV-1a: a short name for a list of chains that is the same in every process.
fn fingerprint(chains: &[String]) -> u64 {
    let bytes = chains.iter().flat_map(|chain| chain.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
