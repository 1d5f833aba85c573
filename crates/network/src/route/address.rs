//! Addresses on links.

use std::net::Ipv4Addr;

use nix::errno::Errno;
use nix::libc;

use crate::cidr::Ipv4Cidr;
use crate::netlink::{Attributes, Messages, NetlinkError, NetlinkSocket, ipv4, u32_at};

pub(crate) struct Address {
    pub(crate) link_index: u32,
    pub(crate) address: Ipv4Addr,
    pub(crate) prefix: u8,
}

impl Address {
    pub(crate) fn network(&self) -> Ipv4Cidr {
        Ipv4Cidr::around(self.address, self.prefix)
    }
}

/// `struct ifaddrmsg`.
const HEADER_BYTES: usize = 8;

pub(crate) fn add_address(messages: &mut Messages, link_index: u32, address: Ipv4Addr, prefix: u8) {
    let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    messages.push("add an address", libc::RTM_NEWADDR, flags, &[Errno::EEXIST], |body| {
        body.raw(&header(link_index, prefix));
        body.attribute(libc::IFA_LOCAL, &address.octets());
        body.attribute(libc::IFA_ADDRESS, &address.octets());
    });
}

pub(crate) fn delete_address(messages: &mut Messages, link_index: u32, address: Ipv4Addr, prefix: u8) {
    messages.push("delete an address", libc::RTM_DELADDR, 0, &[Errno::EADDRNOTAVAIL], |body| {
        body.raw(&header(link_index, prefix));
        body.attribute(libc::IFA_LOCAL, &address.octets());
    });
}

/// All IPv4 addresses of the namespace.
pub(crate) fn addresses(socket: &NetlinkSocket) -> Result<Vec<Address>, NetlinkError> {
    let mut messages = Messages::new();
    messages.push("list addresses", libc::RTM_GETADDR, libc::NLM_F_DUMP, &[], |body| body.raw(&header(0, 0)));
    Ok(socket.query(messages)?.iter().filter_map(|answer| parse(&answer.body)).collect())
}

fn header(link_index: u32, prefix: u8) -> [u8; HEADER_BYTES] {
    let [a, b, c, d] = link_index.to_ne_bytes();
    [libc::AF_INET as u8, prefix, 0, 0, a, b, c, d]
}

fn parse(body: &[u8]) -> Option<Address> {
    let attributes = Attributes::new(body.get(HEADER_BYTES..)?);
    let address = attributes.get(libc::IFA_LOCAL).and_then(ipv4)?;
    Some(Address { link_index: u32_at(body, 4)?, address, prefix: body[1] })
}
