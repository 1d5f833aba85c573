//! A small kernel: runs packets through a table as nf_tables would, for tests.

use std::net::Ipv4Addr;

use super::evaluate::{ICMP, Packet, TCP, UDP};
use crate::nft::{ElementKey, HookPoint, LinkPattern, MapKey, Match, Policy, Rule, Table, Verdict};

#[derive(Debug, Clone)]
pub(super) struct Passing {
    pub(super) input: Option<String>,
    pub(super) output: Option<String>,
    pub(super) source: Ipv4Addr,
    pub(super) destination: Ipv4Addr,
    pub(super) packet: Packet,
    pub(super) established: bool,
}

/// Whether every base chain of a hook lets the packet pass.
pub(super) fn passes(table: &Table, point: HookPoint, passing: &Passing) -> bool {
    let mut base: Vec<_> = table
        .chains
        .values()
        .filter_map(|chain| chain.hook.map(|hook| (hook, &chain.rules)))
        .filter(|(hook, _)| hook.point == point)
        .collect();
    base.sort_by_key(|(hook, _)| hook.priority);
    base.into_iter().all(|(hook, rules)| match run(table, rules, passing, 0) {
        End::Accepted => true,
        End::Dropped => false,
        End::Through | End::Gone => hook.policy == Policy::Accept,
    })
}

enum End {
    Accepted,
    Dropped,
    /// The end of the chain: a jump comes back.
    Through,
    /// The end of a chain that was entered by goto: the base chain's policy decides.
    Gone,
}

fn run(table: &Table, rules: &[Rule], passing: &Passing, depth: usize) -> End {
    assert!(depth < 16, "the kernel allows 16 jumps");
    for rule in
        rules.iter().filter(|rule| rule.matches.iter().all(|condition| holds(table, condition, passing)))
    {
        match &rule.verdict {
            Verdict::Accept => return End::Accepted,
            Verdict::Drop => return End::Dropped,
            Verdict::Masquerade | Verdict::SendTo(..) => {}
            Verdict::Jump(chain) => match run(table, &table.chains[chain].rules, passing, depth + 1) {
                End::Through => {}
                end => return end,
            },
            Verdict::GotoByMap(key, map) => {
                let key = match key {
                    MapKey::InputLink => passing.input.clone().map(ElementKey::Link),
                    MapKey::OutputLink => passing.output.clone().map(ElementKey::Link),
                    MapKey::Source => Some(ElementKey::Address(passing.source)),
                    MapKey::Destination => Some(ElementKey::Address(passing.destination)),
                };
                if let Some(chain) = key.and_then(|key| table.maps[map].elements.get(&key)) {
                    return match run(table, &table.chains[chain].rules, passing, depth + 1) {
                        End::Through => End::Gone,
                        end => end,
                    };
                }
            }
        }
    }
    End::Through
}

fn holds(table: &Table, condition: &Match, passing: &Passing) -> bool {
    let is = |link: &Option<String>, pattern: &LinkPattern| {
        link.as_deref().is_some_and(|link| match pattern {
            LinkPattern::Named(name) => link == name,
            LinkPattern::StartingWith(beginning) => link.starts_with(beginning),
        })
    };
    let contains = |set: &String, key: ElementKey| table.sets[set].elements.contains(&key);
    match condition {
        Match::EstablishedOrRelated => passing.established,
        Match::Invalid => false,
        Match::InputLink(pattern) => is(&passing.input, pattern),
        Match::NotInputLink(pattern) => !is(&passing.input, pattern),
        Match::OutputLink(pattern) => is(&passing.output, pattern),
        Match::NotOutputLink(pattern) => !is(&passing.output, pattern),
        Match::Source(range) => range.contains(passing.source),
        Match::Destination(range) => range.contains(passing.destination),
        Match::SourceIn(set) => contains(set, ElementKey::Address(passing.source)),
        Match::DestinationIn(set) => contains(set, ElementKey::Address(passing.destination)),
        Match::InputLinkAndSourceIn(set) => {
            let pair = |link: &String| ElementKey::LinkAndAddress(link.clone(), passing.source);
            passing.input.as_ref().is_some_and(|link| contains(set, pair(link)))
        }
        Match::Protocol(number) => passing.packet.protocol() == *number,
        Match::DestinationPorts(first, last) => {
            assert!(
                matches!(passing.packet.protocol(), TCP | UDP),
                "ports are looked at behind the protocol only"
            );
            match passing.packet {
                Packet::Tcp { port } | Packet::Udp { port } => (*first..=*last).contains(&port),
                Packet::Icmp { .. } | Packet::Other(_) => false,
            }
        }
        Match::IcmpType(number) => icmp(passing.packet).0 == *number,
        Match::IcmpCode(number) => icmp(passing.packet).1 == *number,
    }
}

fn icmp(packet: Packet) -> (u8, u8) {
    match packet {
        Packet::Icmp { kind, code } => (kind, code),
        Packet::Tcp { .. } | Packet::Udp { .. } | Packet::Other(_) => {
            panic!("type and code are looked at behind the protocol {ICMP} only")
        }
    }
}
