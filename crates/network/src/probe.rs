//! What this machine lets us do, tried rather than guessed.

use std::collections::BTreeSet;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;

use nix::sched::{CloneFlags, unshare};

use crate::cidr::Ipv4Cidr;
use crate::name::Instance;
use crate::namespace;
use crate::netlink::{Messages, NetlinkSocket, Protocol};
use crate::nft::{self, ForeignChain, LiveTable};
use crate::route::{self, Destination, MacAddress, Route, VethEnd};
use crate::security::{
    Attachment, IcmpKind, Member, Peer, PortRange, Rule, SecurityGroup, Traffic, VpcBase, VpcSecurity,
    compile,
};
use crate::vpc::takes_our_rule;

/// What `doctor` tells about the network. Each failure is a sentence.
#[derive(Debug)]
pub struct Probe {
    /// Making network namespaces.
    pub namespaces: Result<(), String>,
    /// Making pairs of virtual links.
    pub veth: Result<(), String>,
    /// Everything that security groups and masquerading need of nf_tables.
    pub nf_tables: Result<(), String>,
    /// Whether the host forwards already; it is switched on with the first VPC.
    pub forwards: Result<bool, String>,
    /// Ranges that the host reaches by a route of its own.
    pub overlaps: Vec<RouteOverlap>,
    /// Firewalls that forwarded packets pass besides our own rules.
    pub firewalls: Vec<Firewall>,
}

/// A route of the host for addresses that a VPC or the uplinks also use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteOverlap {
    pub range: Ipv4Cidr,
    pub route: Ipv4Cidr,
    pub link: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firewall {
    /// `Docker`, `ufw`, `firewalld`, or None for rules that somebody wrote.
    pub program: Option<&'static str>,
    /// Table and chain.
    pub place: String,
    pub effect: FirewallEffect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirewallEffect {
    /// Our rule in front lets VPCs through; nothing to do.
    MakesRoom,
    /// Its table takes no rules of others: its own commands have to let VPCs through.
    Owned,
    /// It drops what it does not know, and is not ours to open.
    Drops,
    /// Rules of the old kernel interface, which we do not read.
    Unknown,
}

/// Tries what VPCs need in a namespace that is gone afterwards, and looks at the host without changing it.
pub fn probe(instance: &Instance, ranges: &[Ipv4Cidr]) -> Probe {
    let (namespaces, veth, nf_tables) = try_in_namespace();
    Probe {
        namespaces,
        veth,
        nf_tables,
        forwards: std::fs::read("/proc/sys/net/ipv4/ip_forward")
            .map(|value| value.starts_with(b"1"))
            .map_err(|error| format!("read whether the host forwards: {error}")),
        overlaps: overlaps(instance, ranges).unwrap_or_default(),
        firewalls: firewalls(instance).unwrap_or_default(),
    }
}

type Tried = Result<(), String>;

fn try_in_namespace() -> (Tried, Tried, Tried) {
    let not_tried = || Err("not tried, since there is no network namespace to try it in".to_owned());
    let thread = std::thread::Builder::new().name("netns".to_owned()).spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| format!("make a network namespace: {errno}"))?;
        Ok((try_veth(), try_nf_tables()))
    });
    let outcome =
        thread.map(|thread| thread.join().unwrap_or_else(|_| Err("the attempt panicked".to_owned())));
    match outcome {
        Ok(Ok((veth, nf_tables))) => (Ok(()), veth, nf_tables),
        Ok(Err(reason)) => (Err(reason), not_tried(), not_tried()),
        Err(error) => (Err(format!("start a thread: {error}")), not_tried(), not_tried()),
    }
}

fn try_veth() -> Tried {
    let attempt = || -> Result<(), Box<dyn std::error::Error>> {
        let own = namespace::current()?;
        let socket = NetlinkSocket::open(Protocol::Route)?;
        let mut messages = Messages::new();
        let end = |name, last| VethEnd { name, index: None, mac: MacAddress([2, 0, 0, 0, 0, last]) };
        route::add_veth(
            &mut messages,
            &end("near", 1),
            &end("far", 2),
            own.as_fd(),
            crate::limits::MTU_DEFAULT,
        );
        Ok(socket.request(messages)?)
    };
    attempt().map_err(|error| error.to_string())
}

/// Applies a table in which every kind of match occurs.
fn try_nf_tables() -> Tried {
    let peer = Peer::Group("sg-00000000000000001".into());
    let kinds = [
        Traffic::Tcp(PortRange { first: 80, last: 81 }),
        Traffic::Udp(PortRange::one(53)),
        Traffic::Icmp(IcmpKind::TypeAndCode(8, 0)),
    ];
    let rules: Vec<_> = kinds.map(|traffic| Rule { traffic, peer: peer.clone() }).into();
    let range =
        Rule { traffic: Traffic::All, peer: Peer::Cidr(Ipv4Cidr::around(Ipv4Addr::new(10, 0, 0, 0), 8)) };
    let group = SecurityGroup { ingress: rules, egress: vec![range] };
    let member = Member {
        address: Ipv4Addr::new(10, 0, 0, 1),
        attachment: Attachment::Interface("eni-00000000000000001".into()),
        groups: BTreeSet::from(["sg-00000000000000001".into(), "sg-00000000000000002".into()]),
    };
    let security =
        VpcSecurity { groups: [("sg-00000000000000001".into(), group)].into(), members: vec![member] };
    let base = VpcBase { always_reachable: BTreeSet::from([Ipv4Addr::new(10, 0, 0, 2)]) };
    let table = compile(&base, &security).map_err(|error| error.to_string())?;
    let apply = || LiveTable::default().apply(&NetlinkSocket::open(Protocol::Netfilter)?, table);
    apply().map_err(|error| error.to_string())
}

fn overlaps(instance: &Instance, ranges: &[Ipv4Cidr]) -> io::Result<Vec<RouteOverlap>> {
    let socket = NetlinkSocket::open(Protocol::Route).map_err(io::Error::other)?;
    let links = route::links(&socket).map_err(io::Error::other)?;
    let routes = route::routes(&socket).map_err(io::Error::other)?;
    let mut found = Vec::new();
    for Route { range: route, destination } in routes {
        let link = match destination {
            Destination::Link(index) | Destination::Gateway(_, index) => links
                .iter()
                .find(|link| link.index == index)
                .map(|link| link.name.clone())
                .unwrap_or_default(),
            Destination::Unreachable => "unreachable".to_owned(),
        };
        if route == Ipv4Cidr::ANY || link.starts_with(&instance.link_prefix()) {
            continue;
        }
        let overlapping = ranges.iter().filter(|range| range.overlaps(route));
        found.extend(overlapping.map(|range| RouteOverlap { range: *range, route, link: link.clone() }));
    }
    Ok(found)
}

fn firewalls(instance: &Instance) -> io::Result<Vec<Firewall>> {
    let socket = NetlinkSocket::open(Protocol::Netfilter).map_err(io::Error::other)?;
    let ours = instance.host_table();
    let chains = nft::forward_chains(&socket, |table| table == ours).map_err(io::Error::other)?;
    let all = nft::chain_names(&socket).map_err(io::Error::other)?;
    let owned = nft::owned_tables(&socket).map_err(io::Error::other)?;
    let mut found = Vec::new();
    for foreign in chains {
        let program = program_behind(&foreign, &all);
        let effect = if !takes_our_rule(&foreign) {
            if !foreign.drops_by_default {
                continue;
            }
            FirewallEffect::Drops
        } else if owned.contains(&(foreign.family, foreign.table.clone())) {
            FirewallEffect::Owned
        } else {
            FirewallEffect::MakesRoom
        };
        found.push(Firewall { program, place: format!("{} {}", foreign.table, foreign.chain), effect });
    }
    // What iptables-legacy writes is not in nf_tables.
    let legacy = std::fs::read_to_string("/proc/thread-self/net/ip_tables_names").unwrap_or_default();
    if legacy.lines().any(|table| table == "filter") {
        found.push(Firewall {
            program: None,
            place: "iptables-legacy filter".to_owned(),
            effect: FirewallEffect::Unknown,
        });
    }
    Ok(found)
}

/// Each program gives itself away by the names of its chains.
fn program_behind(foreign: &ForeignChain, all: &[ForeignChain]) -> Option<&'static str> {
    let has = |wanted: &str| {
        all.iter().any(|other| {
            (other.family, &other.table) == (foreign.family, &foreign.table)
                && other.chain.starts_with(wanted)
        })
    };
    match () {
        () if foreign.table == "firewalld" => Some("firewalld"),
        () if has("ufw-") => Some("ufw"),
        () if has("DOCKER") => Some("Docker"),
        () => None,
    }
}
