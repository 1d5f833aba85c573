//! The veth between a VPC's namespace and the host, with a pair of addresses of its own.

use std::os::fd::AsFd;

use super::host::on_host;
use super::{Vpc, Vpcs};
use crate::cidr::Ipv4Cidr;
use crate::limits;
use crate::name::UPLINK;
use crate::netlink::{Messages, NetlinkError, NetlinkSocket};
use crate::route::{self, Destination, Link, MacAddress, Route, VethEnd};
use crate::vpc::NetworkError;

/// The index of the uplink inside the namespace: it is made right behind the loopback.
const UPLINK_INDEX: u32 = 2;
const PAIR_PREFIX: u8 = 30;
const PAIR_SIZE: u64 = 4;

impl Vpcs {
    /// Connects a VPC with the host, unless it is.
    pub(super) fn ensure_uplink(&self, vpc: &Vpc) -> Result<(), NetworkError> {
        let host = &self.host.route;
        let host_links = route::links(host).map_err(on_host)?;
        let prefix = self.config.instance.link_prefix();
        let ours: Vec<&Link> = host_links.iter().filter(|link| link.name.starts_with(&prefix)).collect();
        let host_end = ours.iter().find(|link| link.alias.as_deref() == Some(vpc.id.as_str()));
        let vpc_end = route::link_by_name(&vpc.route, UPLINK).map_err(|error| vpc.failed(error))?;
        let (number, host_index, vpc_index) = match (host_end, vpc_end) {
            (Some(host_end), Some(vpc_end)) => {
                let number = self
                    .number_of(&host_end.name)
                    .ok_or(NetworkError::UplinkRangeFull(self.config.uplink_range))?;
                (number, host_end.index, vpc_end.index)
            }
            // One end alone is left of a namespace that is gone; ends without an alias, of a process that was killed
            // between making and naming them.
            (host_end, _) => {
                let mut messages = Messages::new();
                let unnamed = ours.iter().filter(|link| link.alias.is_none());
                for link in unnamed.chain(host_end) {
                    route::delete_link(&mut messages, &link.name);
                }
                host.request(messages).map_err(on_host)?;
                let number = self.free_number()?;
                self.connect(vpc, number, mtu(host, &host_links).map_err(on_host)?)?
            }
        };
        self.address_uplink(vpc, number, host_index, vpc_index)
    }

    /// Makes the pair of links and gives its number and the index of each end.
    fn connect(&self, vpc: &Vpc, number: u32, mtu: u32) -> Result<(u32, u32, u32), NetworkError> {
        let host = &self.host.route;
        let name = self.config.instance.host_link(number);
        let mut messages = Messages::new();
        let near = VethEnd { name: &name, index: None, mac: mac(number, 1) };
        // A namespace whose uplink was taken away may have given its index to another link.
        let free = route::links(&vpc.route).map_err(|error| vpc.failed(error))?.len() == 1;
        let far = VethEnd { name: UPLINK, index: free.then_some(UPLINK_INDEX), mac: mac(number, 2) };
        route::add_veth(&mut messages, &near, &far, vpc.namespace.as_fd(), mtu);
        host.request(messages).map_err(on_host)?;
        let not_there = || NetworkError::NotOperational { link: name.clone() };
        let host_end = route::link_by_name(host, &name).map_err(on_host)?.ok_or_else(not_there)?;
        let vpc_end = route::link_by_name(&vpc.route, UPLINK)
            .map_err(|error| vpc.failed(error))?
            .ok_or_else(not_there)?;
        let mut messages = Messages::new();
        route::name_link(&mut messages, host_end.index, vpc.id.as_str());
        host.request(messages).map_err(on_host)?;
        Ok((number, host_end.index, vpc_end.index))
    }

    fn address_uplink(
        &self,
        vpc: &Vpc,
        number: u32,
        host_index: u32,
        vpc_index: u32,
    ) -> Result<(), NetworkError> {
        let full = || NetworkError::UplinkRangeFull(self.config.uplink_range);
        let first = u64::from(number) * PAIR_SIZE;
        let address = |offset| self.config.uplink_range.nth(first + offset).ok_or_else(full);
        let (host_address, vpc_address) = (address(1)?, address(2)?);
        let mut messages = Messages::new();
        route::add_address(&mut messages, host_index, host_address, PAIR_PREFIX);
        self.host.route.request(messages).map_err(on_host)?;
        let mut messages = Messages::new();
        route::set_up(&mut messages, vpc_index);
        route::add_address(&mut messages, vpc_index, vpc_address, PAIR_PREFIX);
        let destination = Destination::Gateway(host_address, vpc_index);
        route::put_route(&mut messages, Route { range: Ipv4Cidr::ANY, destination });
        vpc.route.request(messages).map_err(|error| vpc.failed(error))?;
        // The host's end came up first.
        let link = self.config.instance.host_link(number);
        match route::becomes_operational(&self.host.route, &link).map_err(on_host)? {
            true => Ok(()),
            false => Err(NetworkError::NotOperational { link }),
        }
    }

    fn number_of(&self, link: &str) -> Option<u32> {
        u32::from_str_radix(link.strip_prefix(&self.config.instance.link_prefix())?, 16).ok()
    }

    /// The lowest number whose link does not exist and whose addresses the host does not know otherwise.
    fn free_number(&self) -> Result<u32, NetworkError> {
        let range = self.config.uplink_range;
        let links = route::links(&self.host.route).map_err(on_host)?;
        let taken: Vec<u32> = links.iter().filter_map(|link| self.number_of(&link.name)).collect();
        let networks: Vec<Ipv4Cidr> = route::addresses(&self.host.route)
            .map_err(on_host)?
            .iter()
            .map(route::Address::network)
            .collect();
        let pairs = (range.size() / PAIR_SIZE).min(1 << 16) as u32;
        (0..pairs)
            .filter(|number| !taken.contains(number))
            .find(|number| {
                let base = range.nth(u64::from(*number) * PAIR_SIZE).expect("the number is inside the range");
                let pair = Ipv4Cidr::around(base, PAIR_PREFIX);
                // A wide range on the host (169.254.0.0/16 by zeroconf) is no obstacle: the pair's route is narrower.
                !networks.iter().any(|network| network.prefix() >= range.prefix() && network.overlaps(pair))
            })
            .ok_or(NetworkError::UplinkRangeFull(range))
    }
}

/// Locally administered, different for every end.
fn mac(number: u32, end: u8) -> MacAddress {
    let [a, b, c, d] = number.to_be_bytes();
    MacAddress([0x02, end, a, b, c, d])
}

/// What the host's way out can carry, so that tasks need not find out by losing packets.
fn mtu(host: &NetlinkSocket, links: &[Link]) -> Result<u32, NetlinkError> {
    let routes = route::routes(host)?;
    let default =
        routes.iter().find(|route| route.range == Ipv4Cidr::ANY).and_then(|route| match route.destination {
            Destination::Link(index) | Destination::Gateway(_, index) => Some(index),
            Destination::Unreachable => None,
        });
    let mtu = default.and_then(|index| links.iter().find(|link| link.index == index)).map(|link| link.mtu);
    Ok(mtu.unwrap_or(limits::MTU_DEFAULT).clamp(limits::MTU_MIN, limits::MTU_MAX))
}
