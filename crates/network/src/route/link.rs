//! Links.

use std::fmt;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::str::FromStr;
use std::time::Instant;

use nix::errno::Errno;
use nix::libc;

use crate::limits;
use crate::netlink::{Attributes, Body, Messages, NetlinkError, NetlinkSocket, text, u32_at};

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddress(pub [u8; 6]);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a MAC address such as 02:00:00:00:00:01")]
pub struct MacAddressError(String);

impl FromStr for MacAddress {
    type Err = MacAddressError;

    fn from_str(text: &str) -> Result<Self, MacAddressError> {
        let refused = || MacAddressError(text.chars().take(64).collect());
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part =
                parts.next().filter(|part| part.len() == 2 && !part.starts_with('+')).ok_or_else(refused)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| refused())?;
        }
        if parts.next().is_some() { Err(refused()) } else { Ok(Self(bytes)) }
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A link as the kernel reports it.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) name: String,
    /// What we wrote beside the name: the whole id of the thing that the link belongs to.
    pub(crate) alias: Option<String>,
    pub(crate) mac: Option<MacAddress>,
    pub(crate) mtu: u32,
    /// Whether packets get through. A veth whose other end came up second is ready a moment later.
    pub(crate) operational: bool,
}

const OPERSTATE_UP: u8 = 6;
/// `struct ifinfomsg`.
const HEADER_BYTES: usize = 16;
const VETH_INFO_PEER: u16 = 1;
const INET_CONF: u16 = 1;
/// `RTEXT_FILTER_SKIP_STATS`: they are most of an answer, and we have no use for them.
const WITHOUT_STATISTICS: u32 = 8;

pub(crate) struct VethEnd<'a> {
    pub(crate) name: &'a str,
    /// An index of our choice, which spares asking for it. Only sure to be free in a new namespace.
    pub(crate) index: Option<u32>,
    pub(crate) mac: MacAddress,
}

/// Makes a pair of connected links: one in the socket's namespace, which is up, and its peer in another. The kernel does
/// not let the peer be up so early. The one that comes up second works at once, the first a moment later.
pub(crate) fn add_veth(
    messages: &mut Messages,
    near: &VethEnd<'_>,
    far: &VethEnd<'_>,
    far_namespace: BorrowedFd<'_>,
    mtu: u32,
) {
    let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    messages.push("create a veth pair", libc::RTM_NEWLINK, flags, &[], |body| {
        veth_end(body, near, mtu, libc::IFF_UP as u32);
        body.nested(libc::IFLA_LINKINFO, |info| {
            info.attribute(libc::IFLA_INFO_KIND, b"veth");
            info.nested(libc::IFLA_INFO_DATA, |data| {
                data.nested(VETH_INFO_PEER, |peer| {
                    veth_end(peer, far, mtu, 0);
                    peer.u32(libc::IFLA_NET_NS_FD, far_namespace.as_raw_fd() as u32);
                });
            });
        });
    });
}

fn veth_end(body: &mut Body<'_>, end: &VethEnd<'_>, mtu: u32, flags: u32) {
    body.raw(&header(end.index.unwrap_or(0), flags, flags));
    body.text(libc::IFLA_IFNAME, end.name);
    body.attribute(libc::IFLA_ADDRESS, &end.mac.0);
    body.u32(libc::IFLA_MTU, mtu);
}

/// How the kernel treats packets on one link, beyond the namespace's defaults.
#[derive(Clone, Copy)]
pub(crate) struct InterfaceSettings {
    pub(crate) forwarding: bool,
    /// Drop a packet whose source would be reached through another link.
    pub(crate) strict_reverse_path: bool,
}

/// The group of all links that [`configure`] has seen.
const INTERFACE_GROUP: u32 = 0x6774;
/// The group of links that are deleted next.
const LEAVING_GROUP: u32 = 0x6775;

/// Sets what the kernel keeps per link, proxy ARP and redirects always off, without a look at /proc/sys.
pub(crate) fn configure(messages: &mut Messages, index: u32, alias: &str, settings: InterfaceSettings) {
    // Numbers of `enum` IPV4_DEVCONF in linux/ip.h.
    const FORWARDING: u16 = 1;
    const PROXY_ARP: u16 = 3;
    const ACCEPT_REDIRECTS: u16 = 4;
    const SEND_REDIRECTS: u16 = 6;
    const RP_FILTER: u16 = 8;
    messages.push("configure a link", libc::RTM_SETLINK, 0, &[], |body| {
        body.raw(&header(index, 0, 0));
        body.text(libc::IFLA_IFALIAS, alias);
        body.u32(libc::IFLA_GROUP, INTERFACE_GROUP);
        body.nested(libc::IFLA_AF_SPEC, |families| {
            families.nested(libc::AF_INET as u16, |inet| {
                inet.nested(INET_CONF, |conf| {
                    conf.u32(FORWARDING, settings.forwarding.into());
                    conf.u32(PROXY_ARP, 0);
                    conf.u32(ACCEPT_REDIRECTS, 0);
                    conf.u32(SEND_REDIRECTS, 0);
                    conf.u32(RP_FILTER, settings.strict_reverse_path.into());
                });
            });
        });
    });
}

/// Writes only the alias, on a link whose settings are the host's business.
pub(crate) fn name_link(messages: &mut Messages, index: u32, alias: &str) {
    messages.push("name a link", libc::RTM_SETLINK, 0, &[], |body| {
        body.raw(&header(index, 0, 0));
        body.text(libc::IFLA_IFALIAS, alias);
    });
}

pub(crate) fn set_up(messages: &mut Messages, index: u32) {
    messages.push("set a link up", libc::RTM_SETLINK, 0, &[], |body| {
        body.raw(&header(index, libc::IFF_UP as u32, libc::IFF_UP as u32));
    });
}

/// Deletes a link, and with one end of a veth the other. One that is gone already is no failure.
pub(crate) fn delete_link(messages: &mut Messages, name: &str) {
    messages.push("delete a link", libc::RTM_DELLINK, 0, &[Errno::ENODEV], |body| {
        body.raw(&header(0, 0, 0));
        body.text(libc::IFLA_IFNAME, name);
    });
}

/// Deletes every configured link of the namespace at once: a hundred take no longer than one, which is some 30 ms.
pub(crate) fn delete_configured_links(messages: &mut Messages) {
    delete_group(messages, INTERFACE_GROUP);
}

/// Deletes the named links of the namespace at once. Those that are gone already are no failure.
pub(crate) fn delete_links<'a>(messages: &mut Messages, names: impl IntoIterator<Item = &'a str>) {
    for name in names {
        messages.push("mark a link", libc::RTM_SETLINK, 0, &[Errno::ENODEV], |body| {
            body.raw(&header(0, 0, 0));
            body.text(libc::IFLA_IFNAME, name);
            body.u32(libc::IFLA_GROUP, LEAVING_GROUP);
        });
    }
    delete_group(messages, LEAVING_GROUP);
}

fn delete_group(messages: &mut Messages, group: u32) {
    messages.push("delete a group of links", libc::RTM_DELLINK, 0, &[Errno::ENODEV], |body| {
        body.raw(&header(0, 0, 0));
        body.u32(libc::IFLA_GROUP, group);
    });
}

pub(crate) fn link_by_name(socket: &NetlinkSocket, name: &str) -> Result<Option<Link>, NetlinkError> {
    let mut messages = Messages::new();
    messages.push("look up a link", libc::RTM_GETLINK, 0, &[], |body| {
        body.raw(&header(0, 0, 0));
        body.text(libc::IFLA_IFNAME, name);
        body.u32(libc::IFLA_EXT_MASK, WITHOUT_STATISTICS);
    });
    match socket.query(messages) {
        Ok(answers) => Ok(answers.iter().find_map(|answer| parse(&answer.body))),
        Err(error) if error.is(Errno::ENODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Waits until packets get through a link; false when that takes too long. The end of a veth that came up first drops
/// them until the kernel has noticed the other end, and a first packet that is lost costs a second.
pub(crate) fn becomes_operational(socket: &NetlinkSocket, name: &str) -> Result<bool, NetlinkError> {
    let deadline = Instant::now() + limits::LINK_READY_WAIT;
    loop {
        let link = link_by_name(socket, name)?;
        if link.is_some_and(|link| link.operational) {
            return Ok(true);
        }
        if Instant::now() > deadline {
            return Ok(false);
        }
        std::thread::sleep(limits::LINK_READY_POLL);
    }
}

pub(crate) fn links(socket: &NetlinkSocket) -> Result<Vec<Link>, NetlinkError> {
    let mut messages = Messages::new();
    messages.push("list links", libc::RTM_GETLINK, libc::NLM_F_DUMP, &[], |body| {
        body.raw(&header(0, 0, 0));
        body.u32(libc::IFLA_EXT_MASK, WITHOUT_STATISTICS);
    });
    Ok(socket.query(messages)?.iter().filter_map(|answer| parse(&answer.body)).collect())
}

fn header(index: u32, flags: u32, change: u32) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..16].copy_from_slice(&change.to_ne_bytes());
    bytes
}

fn parse(body: &[u8]) -> Option<Link> {
    let index = u32_at(body, 4)?;
    let attributes = Attributes::new(body.get(HEADER_BYTES..)?);
    let mut link = Link { index, name: String::new(), alias: None, mac: None, mtu: 0, operational: false };
    for (kind, payload) in attributes {
        match kind {
            libc::IFLA_IFNAME => link.name = text(payload),
            libc::IFLA_IFALIAS => link.alias = Some(text(payload)),
            libc::IFLA_ADDRESS => link.mac = payload.try_into().ok().map(MacAddress),
            libc::IFLA_MTU => link.mtu = u32_at(payload, 0).unwrap_or(0),
            libc::IFLA_OPERSTATE => link.operational = payload.first() == Some(&OPERSTATE_UP),
            _ => {}
        }
    }
    Some(link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_address_is_parsed_strictly() {
        let parsed: MacAddress = "02:0a:FF:00:10:01".parse().unwrap();
        assert_eq!(parsed.to_string(), "02:0a:ff:00:10:01");
        for text in [
            "",
            "02:0a:ff:00:10",
            "02:0a:ff:00:10:01:02",
            "2:a:ff:0:10:1",
            "02-0a-ff-00-10-01",
            "+2:0a:ff:00:10:01",
        ] {
            assert!(text.parse::<MacAddress>().is_err(), "{text}");
        }
    }
}
