//! Routes and neighbours.

use std::net::Ipv4Addr;

use nix::errno::Errno;
use nix::libc;

use super::link::MacAddress;
use crate::cidr::Ipv4Cidr;
use crate::netlink::{Attributes, Messages, NetlinkError, NetlinkSocket, ipv4, u32_at};

/// `struct rtmsg`.
const HEADER_BYTES: usize = 12;
/// Marks routes as ours in listings (`ip route` prints the number).
const PROTOCOL: u8 = 0x67;

/// `RTNH_F_ONLINK`.
const ONLINK: u32 = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Destination {
    /// On the link itself.
    Link(u32),
    /// Through a router, which need not be in a range of the link.
    Gateway(Ipv4Addr, u32),
    /// Refused at once with "no route to host", rather than sent somewhere it does not belong.
    Unreachable,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) range: Ipv4Cidr,
    pub(crate) destination: Destination,
}

/// Adds a route, or changes the one for the same range.
pub(crate) fn put_route(messages: &mut Messages, route: Route) {
    push_route(messages, "put a route", libc::NLM_F_CREATE | libc::NLM_F_REPLACE, route);
}

/// Adds a route; `EEXIST` when there is one for the same range.
pub(crate) fn add_route(messages: &mut Messages, route: Route) {
    push_route(messages, "add a route", libc::NLM_F_CREATE | libc::NLM_F_EXCL, route);
}

fn push_route(messages: &mut Messages, attempt: &'static str, flags: libc::c_int, route: Route) {
    messages.push(attempt, libc::RTM_NEWROUTE, flags, &[], |body| {
        let (scope, kind, route_flags) = match route.destination {
            Destination::Link(_) => (libc::RT_SCOPE_LINK, libc::RTN_UNICAST, 0),
            Destination::Gateway(..) => (libc::RT_SCOPE_UNIVERSE, libc::RTN_UNICAST, ONLINK),
            Destination::Unreachable => (libc::RT_SCOPE_UNIVERSE, libc::RTN_UNREACHABLE, 0),
        };
        let mut header = [0; HEADER_BYTES];
        header[0] = libc::AF_INET as u8;
        header[1] = route.range.prefix();
        header[4..8].copy_from_slice(&[libc::RT_TABLE_MAIN, PROTOCOL, scope, kind]);
        header[8..12].copy_from_slice(&route_flags.to_ne_bytes());
        body.raw(&header);
        body.attribute(libc::RTA_DST, &route.range.network().octets());
        match route.destination {
            Destination::Link(index) => body.u32(libc::RTA_OIF, index),
            Destination::Gateway(gateway, index) => {
                body.attribute(libc::RTA_GATEWAY, &gateway.octets());
                body.u32(libc::RTA_OIF, index);
            }
            Destination::Unreachable => {}
        }
    });
}

/// Takes a route through a link away. One that is gone already is no failure.
pub(crate) fn delete_route(messages: &mut Messages, range: Ipv4Cidr, link_index: u32) {
    let gone = &[Errno::ESRCH, Errno::ENODEV];
    messages.push("delete a route", libc::RTM_DELROUTE, 0, gone, |body| {
        let mut header = [0; HEADER_BYTES];
        header[0] = libc::AF_INET as u8;
        header[1] = range.prefix();
        header[4] = libc::RT_TABLE_MAIN;
        header[6] = libc::RT_SCOPE_NOWHERE;
        body.raw(&header);
        body.attribute(libc::RTA_DST, &range.network().octets());
        body.u32(libc::RTA_OIF, link_index);
    });
}

/// Tells a link where an address is, for good: no ARP before the first packet, and nobody to answer it falsely.
pub(crate) fn add_neighbour(messages: &mut Messages, link_index: u32, address: Ipv4Addr, mac: MacAddress) {
    let flags = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
    messages.push("add a neighbour", libc::RTM_NEWNEIGH, flags, &[], |body| {
        // `struct ndmsg`.
        let mut header = [0; 12];
        header[0] = libc::AF_INET as u8;
        header[4..8].copy_from_slice(&link_index.to_ne_bytes());
        header[8..10].copy_from_slice(&libc::NUD_PERMANENT.to_ne_bytes());
        body.raw(&header);
        body.attribute(libc::NDA_DST, &address.octets());
        body.attribute(libc::NDA_LLADDR, &mac.0);
    });
}

/// The unicast IPv4 routes of the main table.
pub(crate) fn routes(socket: &NetlinkSocket) -> Result<Vec<Route>, NetlinkError> {
    let mut messages = Messages::new();
    messages.push("list routes", libc::RTM_GETROUTE, libc::NLM_F_DUMP, &[], |body| {
        let mut header = [0; HEADER_BYTES];
        header[0] = libc::AF_INET as u8;
        body.raw(&header);
    });
    Ok(socket.query(messages)?.iter().filter_map(|answer| parse(&answer.body)).collect())
}

fn parse(body: &[u8]) -> Option<Route> {
    let header = body.get(..HEADER_BYTES)?;
    if header[4] != libc::RT_TABLE_MAIN {
        return None;
    }
    let attributes = Attributes::new(&body[HEADER_BYTES..]);
    let network = attributes.get(libc::RTA_DST).and_then(ipv4).unwrap_or(Ipv4Addr::UNSPECIFIED);
    let link = attributes.get(libc::RTA_OIF).and_then(|payload| u32_at(payload, 0));
    let gateway = attributes.get(libc::RTA_GATEWAY).and_then(ipv4);
    let destination = match (header[7], link, gateway) {
        (libc::RTN_UNICAST, Some(link), Some(gateway)) => Destination::Gateway(gateway, link),
        (libc::RTN_UNICAST, Some(link), None) => Destination::Link(link),
        (libc::RTN_UNREACHABLE, ..) => Destination::Unreachable,
        _ => return None,
    };
    Some(Route { range: Ipv4Cidr::around(network, header[1]), destination })
}
