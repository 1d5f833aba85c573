//! The compiled table means what the rules mean, and every change of rules leads to the table that is wanted.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use gantry_types::SecurityGroupId;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::compile::{VpcBase, compile};
use super::evaluate::Packet;
use super::interpreter::{Passing, passes};
use super::model::*;
use crate::cidr::Ipv4Cidr;
use crate::name::{UPLINK, interface_link};
use crate::nft::{HookPoint, Table};

const DNS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);

fn group_id(number: u8) -> SecurityGroupId {
    format!("sg-{number:017x}").as_str().into()
}

fn member_address(index: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, index as u8 / 3, 10 + index as u8)
}

fn base() -> VpcBase {
    VpcBase { always_reachable: [DNS].into() }
}

fn traffic() -> impl Strategy<Value = Traffic> {
    let ports = (78u16..84, 0u16..4).prop_map(|(first, more)| PortRange { first, last: first + more });
    let ports = prop_oneof![Just(PortRange::ALL), ports].boxed();
    prop_oneof![
        Just(Traffic::All),
        ports.clone().prop_map(Traffic::Tcp),
        ports.prop_map(Traffic::Udp),
        Just(Traffic::Icmp(IcmpKind::Any)),
        (0u8..3).prop_map(|kind| Traffic::Icmp(IcmpKind::Type(kind))),
        (0u8..3, 0u8..3).prop_map(|(kind, code)| Traffic::Icmp(IcmpKind::TypeAndCode(kind, code))),
        prop::sample::select(vec![1u8, 6, 17, 50]).prop_map(Traffic::Protocol),
    ]
}

fn peer() -> impl Strategy<Value = Peer> {
    let ranges = [
        "0.0.0.0/0",
        "10.0.0.0/16",
        "10.0.0.0/24",
        "10.0.1.0/24",
        "10.0.0.11/32",
        "198.51.100.0/24",
        "8.0.0.0/5",
    ];
    prop_oneof![
        prop::sample::select(ranges.to_vec()).prop_map(|text| Peer::Cidr(text.parse().unwrap())),
        // The last two never exist.
        (0u8..6).prop_map(|number| Peer::Group(group_id(number))),
    ]
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    vec((traffic(), peer()).prop_map(|(traffic, peer)| Rule { traffic, peer }), 0..4)
}

fn securities() -> impl Strategy<Value = VpcSecurity> {
    let groups = vec((rules(), rules()), 1..5);
    let member = (0u8..4, btree_set(0u8..6, 0..4));
    (groups, vec(member, 1..7)).prop_map(|(groups, members)| VpcSecurity {
        groups: groups
            .into_iter()
            .enumerate()
            .map(|(number, (ingress, egress))| (group_id(number as u8), SecurityGroup { ingress, egress }))
            .collect(),
        members: members
            .into_iter()
            .enumerate()
            .map(|(index, (place, groups))| Member {
                address: member_address(index),
                attachment: match place {
                    0 | 1 => Attachment::Interface(format!("eni-{index:017x}").as_str().into()),
                    2 => Attachment::Loopback,
                    _ => Attachment::Elsewhere,
                },
                groups: groups.into_iter().map(group_id).collect(),
            })
            .collect(),
    })
}

fn packets() -> impl Strategy<Value = Packet> {
    prop_oneof![
        (76u16..90).prop_map(|port| Packet::Tcp { port }),
        (76u16..90).prop_map(|port| Packet::Udp { port }),
        (0u8..4, 0u8..4).prop_map(|(kind, code)| Packet::Icmp { kind, code }),
        prop::sample::select(vec![50u8, 132]).prop_map(Packet::Other),
    ]
}

/// One end of a flow as the VPC's namespace sees it.
#[derive(Debug, Clone)]
enum End {
    Member(Member),
    Dns,
    Outside,
}

impl End {
    fn address(&self) -> Ipv4Addr {
        match self {
            Self::Member(member) => member.address,
            Self::Dns => DNS,
            Self::Outside => OUTSIDE,
        }
    }

    /// The link towards it; None for what is on the namespace itself.
    fn link(&self) -> Option<String> {
        match self {
            Self::Member(Member { attachment: Attachment::Interface(id), .. }) => {
                Some(interface_link(id).unwrap())
            }
            Self::Outside => Some(UPLINK.to_owned()),
            Self::Member(_) | Self::Dns => None,
        }
    }

    fn groups(&self) -> BTreeSet<SecurityGroupId> {
        match self {
            Self::Member(member) => member.groups.clone(),
            Self::Dns | Self::Outside => BTreeSet::new(),
        }
    }
}

/// The hooks that a packet meets in the VPC's namespace.
fn arrives(table: &Table, from: &End, to: &End, source: Ipv4Addr, packet: Packet, established: bool) -> bool {
    let own = |link: Option<String>| Some(link.unwrap_or_else(|| "lo".to_owned()));
    let passing =
        |input, output| Passing { input, output, source, destination: to.address(), packet, established };
    match (from.link(), to.link()) {
        (Some(input), Some(output)) => {
            passes(table, HookPoint::Prerouting, &passing(Some(input.clone()), None))
                && passes(table, HookPoint::Forward, &passing(Some(input), Some(output)))
        }
        (input @ Some(_), None) => {
            passes(table, HookPoint::Prerouting, &passing(input.clone(), None))
                && passes(table, HookPoint::Input, &passing(input, None))
        }
        (None, output @ Some(_)) => passes(table, HookPoint::Output, &passing(None, output)),
        (None, None) => {
            let loopback = own(None);
            passes(table, HookPoint::Output, &passing(None, loopback.clone()))
                && passes(table, HookPoint::Prerouting, &passing(loopback.clone(), None))
                && passes(table, HookPoint::Input, &passing(loopback, None))
        }
    }
}

/// What AWS's rules say about the same packet.
fn should_arrive(
    security: &VpcSecurity,
    from: &End,
    to: &End,
    source: Ipv4Addr,
    packet: Packet,
    established: bool,
) -> bool {
    if matches!(from, End::Member(Member { attachment: Attachment::Interface(_), .. }))
        && source != from.address()
    {
        return false;
    }
    if established {
        return true;
    }
    let leaves = match from {
        End::Member(_) => {
            matches!(to, End::Dns if from.link().is_some())
                || security.admits(&from.groups(), Direction::Egress, packet, to.address())
        }
        End::Dns => true,
        End::Outside => false,
    };
    let enters = match to {
        End::Member(_) => security.admits(&to.groups(), Direction::Ingress, packet, from.address()),
        End::Dns | End::Outside => true,
    };
    leaves && enters
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_table_says_what_the_rules_mean(
        security in securities(),
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
        sent in vec((packets(), prop::bool::weighted(0.1), prop::bool::weighted(0.1)), 8),
    ) {
        let table = compile(&base(), &security).unwrap();
        let here = |member: &&Member| member.attachment != Attachment::Elsewhere;
        let mut ends: Vec<_> = security.members.iter().filter(here).cloned().map(End::Member).collect();
        ends.extend([End::Dns, End::Outside]);
        let (from, to) = (from.get(&ends), to.get(&ends));
        for (packet, established, spoofed) in sent {
            // A false source means something from an interface only; elsewhere it is another sender.
            let can_spoof = from.link().is_some_and(|link| link != UPLINK);
            let source = if spoofed && can_spoof { member_address(9) } else { from.address() };
            prop_assert_eq!(
                arrives(&table, from, to, source, packet, established),
                should_arrive(&security, from, to, source, packet, established),
                "{:?} {:?} from {:?} to {:?}", packet, established, from, to
            );
        }
    }

    #[test]
    fn the_same_rules_in_another_order_are_the_same_table(security in securities()) {
        let mut turned = security.clone();
        turned.members.reverse();
        for group in turned.groups.values_mut() {
            group.ingress.reverse();
            group.egress.reverse();
            group.egress.extend(group.egress.clone());
        }
        prop_assert_eq!(compile(&base(), &security).unwrap(), compile(&base(), &turned).unwrap());
    }

    #[test]
    fn a_change_of_rules_leads_to_the_wanted_table(before in securities(), after in securities()) {
        let (before, after) = (compile(&base(), &before).unwrap(), compile(&base(), &after).unwrap());
        crate::nft::check_diff(&before, &after);
    }
}

#[test]
fn the_property_test_sees_packets_pass_and_be_dropped() {
    // One group that takes TCP 80 from itself, one member outside it: the least that tells the answers apart.
    let rule = Rule { traffic: Traffic::Tcp(PortRange::one(80)), peer: Peer::Group(group_id(0)) };
    let anything = Rule { traffic: Traffic::All, peer: Peer::Cidr(Ipv4Cidr::ANY) };
    let member = |index: usize, group| Member {
        address: member_address(index),
        attachment: Attachment::Interface(format!("eni-{index:017x}").as_str().into()),
        groups: [group_id(group)].into(),
    };
    let security = VpcSecurity {
        groups: [
            (group_id(0), SecurityGroup { ingress: vec![rule], egress: vec![anything.clone()] }),
            (group_id(1), SecurityGroup { ingress: vec![], egress: vec![anything] }),
        ]
        .into(),
        members: vec![member(0, 0), member(1, 0), member(2, 1)],
    };
    let table = compile(&base(), &security).unwrap();
    let end = |index: usize| End::Member(security.members[index].clone());
    let sent = |from: usize, to: usize, packet| {
        arrives(&table, &end(from), &end(to), end(from).address(), packet, false)
    };
    assert!(sent(0, 1, Packet::Tcp { port: 80 }));
    assert!(!sent(0, 1, Packet::Tcp { port: 81 }));
    assert!(!sent(2, 1, Packet::Tcp { port: 80 }));
    assert!(!sent(0, 2, Packet::Tcp { port: 80 }));
    assert!(!arrives(&table, &End::Outside, &end(0), OUTSIDE, Packet::Tcp { port: 80 }, false));
    assert!(arrives(&table, &end(2), &End::Outside, end(2).address(), Packet::Tcp { port: 80 }, false));
}

#[test]
fn two_members_cannot_share_an_address_or_an_interface() {
    let member = |address: usize, interface: usize| Member {
        address: member_address(address),
        attachment: Attachment::Interface(format!("eni-{interface:017x}").as_str().into()),
        groups: BTreeSet::new(),
    };
    let refused = |members: Vec<Member>| {
        compile(&base(), &VpcSecurity { members, ..VpcSecurity::default() }).expect_err("refused").to_string()
    };
    assert_eq!(refused(vec![member(0, 0), member(0, 1)]), "10.0.0.10 is a member of the VPC twice");
    assert_eq!(
        refused(vec![member(0, 0), member(1, 0)]),
        "interface eni-00000000000000000 is a member of the VPC twice"
    );
}
