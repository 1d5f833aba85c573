//! Containers that share an instance's interface: in `bridge` mode each has a namespace of its own behind the instance's, and
//! ports of the instance lead to it.
//!
//! ```text
//!  container's namespace        instance's namespace
//!  eth0 169.254.172.2/32 ─────  c0002  169.254.172.1/32
//!       default via             eth0   172.31.0.9/32 ───── VPC
//!       169.254.172.1           172.31.0.9:32768 -> 169.254.172.2:80
//!                               169.254.172.0/22 masquerade
//! ```
//! The kernel is the record here too: a link carries its container's name as alias, its own name says the address. Every port
//! has a table of its own, so that a container is connected and taken away without a look at the others, and a port that was given
//! to the next container leads there and nowhere else.

use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use gantry_types::NetworkInterfaceId;

use super::{LOOPBACK_INDEX, NetworkError, Vpcs, open_sockets, write_settings};
use crate::cidr::Ipv4Cidr;
use crate::limits::{self, BRIDGE_RANGE};
use crate::name::{self, CONTAINER_PREFIX, TASK_LINK, VPC_TABLE};
use crate::namespace::{self, NamespaceError};
use crate::netlink::{Messages, NetlinkError, NetlinkSocket, Protocol};
use crate::nft::{self, Chain, Hook, HookPoint, LinkPattern, LiveTable, Match, Policy, Rule, Table, Verdict};
use crate::route::{self, Destination, InterfaceSettings, Link, MacAddress, Route, VethEnd};

/// One container in `bridge` mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeConfig {
    /// Tells it from all others of this installation.
    pub container: String,
    pub instance: NetworkInterfaceId,
    pub instance_address: Ipv4Addr,
    pub ports: Vec<PortForward>,
}

/// A port of the instance that leads to one of the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortForward {
    pub protocol: PortProtocol,
    pub host_port: u16,
    pub container_port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortProtocol {
    Tcp,
    Udp,
}

/// The first address is the instance's end of every container's link.
const GATEWAY_OFFSET: u32 = 1;
const GATEWAY_MAC: MacAddress = MacAddress([0x02, 0, 169, 254, 172, 1]);
const CONTAINER_LINK_INDEX: u32 = 2;

const CONTAINER_SETTINGS: &[(&str, &str)] = &[("ipv6/conf/default/disable_ipv6", "1")];
const INSTANCE_SETTINGS: &[(&str, &str)] = &[
    ("ipv4/ip_forward", "1"),
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
];
const INSTANCE_SIDE: InterfaceSettings = InterfaceSettings { forwarding: true, strict_reverse_path: true };

impl Vpcs {
    /// Where the namespace of a container is mounted that has one of its own.
    pub fn container_namespace(&self, container: &str) -> PathBuf {
        self.namespace_path(&format!("{CONTAINER_PREFIX}{container}"))
    }

    /// A namespace with nothing but a loopback, for a container in the mode `none`. Idempotent.
    pub fn isolate_container(&self, container: &str) -> Result<PathBuf, NetworkError> {
        let path = self.namespace_path(&name::container_namespace(container)?);
        if namespace::open(&path)?.is_none() {
            let inside = Inside::create(&path)?;
            let mut messages = Messages::new();
            route::set_up(&mut messages, LOOPBACK_INDEX);
            inside.route.request(messages).map_err(|error| inside.failed(error))?;
        }
        Ok(path)
    }

    /// Connects a container with its instance, whose interface exists, and lets the instance's ports lead to it; gives its
    /// address. Idempotent: a container that is connected keeps its address, and its flows go on.
    pub fn bridge_container(&self, config: &BridgeConfig) -> Result<Ipv4Addr, NetworkError> {
        let path = self.namespace_path(&name::container_namespace(&config.container)?);
        let _turn = self.interfaces.take(&config.instance);
        let instance = self.instance(&config.instance)?;
        instance.ensure_router()?;
        let offset = match self.connected(&instance, config, &path)? {
            Some(offset) => offset,
            None => self.connect_container(&instance, config, &path)?,
        };
        let address = BRIDGE_RANGE.nth(u64::from(offset)).expect("offsets are inside the range");
        for port in &config.ports {
            let table = port_table(config.instance_address, offset, address, *port);
            LiveTable::default().apply(&instance.netfilter, table).map_err(|error| instance.failed(error))?;
        }
        Ok(address)
    }

    /// Closes the ports of the instance that lead to a container, at once. What is left is of no use to anybody, and
    /// [`remove_container`](Self::remove_container) takes it away when there is time: to delete a link takes the kernel some 30 ms.
    pub fn close_ports(&self, container: &str, instance: &NetworkInterfaceId) -> Result<(), NetworkError> {
        name::container_namespace(container)?;
        let _turn = self.interfaces.take(instance);
        let instance = match self.instance(instance) {
            Err(NetworkError::NoSuchInstance(_)) => return Ok(()),
            instance => instance?,
        };
        match instance.link_of(container)?.as_ref().and_then(offset_of) {
            Some(offset) => instance.forget_ports(offset),
            None => Ok(()),
        }
    }

    /// Takes away a container's namespace, its link and its ports. Idempotent. `instance` is that of its [`BridgeConfig`].
    pub fn remove_container(
        &self,
        container: &str,
        instance: Option<&NetworkInterfaceId>,
    ) -> Result<(), NetworkError> {
        let path = self.namespace_path(&name::container_namespace(container)?);
        if let Some(id) = instance {
            let _turn = self.interfaces.take(id);
            match self.instance(id) {
                Ok(instance) => instance.forget(container)?,
                // With the instance's namespace its links and ports went.
                Err(NetworkError::NoSuchInstance(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(namespace::remove(&path)?)
    }

    /// The containers that have a namespace of their own, whichever process made it.
    pub fn list_containers(&self) -> Result<Vec<String>, NetworkError> {
        let names = self.namespaces()?;
        Ok(names.iter().filter_map(|name| name.strip_prefix(CONTAINER_PREFIX)).map(str::to_owned).collect())
    }

    fn instance(&self, id: &NetworkInterfaceId) -> Result<InstanceSide, NetworkError> {
        name::interface_link(id)?;
        let path = self.interface_namespace(id);
        let namespace = namespace::open(&path)?.ok_or_else(|| NetworkError::NoSuchInstance(id.clone()))?;
        let sockets = namespace::within(&namespace, open_sockets).map_err(|source| NamespaceError {
            attempt: "enter",
            path: path.clone(),
            source,
        })?;
        let failed = |source| NetworkError::Netlink { place: path.display().to_string(), source };
        let (route, netfilter) = sockets.map_err(failed)?;
        Ok(InstanceSide { id: id.clone(), namespace, route, netfilter })
    }

    /// The offset of a container's address, if it is connected completely.
    fn connected(
        &self,
        instance: &InstanceSide,
        config: &BridgeConfig,
        path: &Path,
    ) -> Result<Option<u32>, NetworkError> {
        let Some(link) = instance.link_of(&config.container)? else { return Ok(None) };
        let (Some(offset), Some(namespace)) = (offset_of(&link), namespace::open(path)?) else {
            return Ok(None);
        };
        let inside = Inside::enter(namespace, path)?;
        let address = BRIDGE_RANGE.nth(u64::from(offset)).expect("offsets are inside the range");
        Ok((instance.leads_to(&link, address)? && inside.is_complete(address)?).then_some(offset))
    }

    /// Makes the namespace and the link anew. What is there of them is of a process that was killed in the middle, before anything
    /// ran in it.
    fn connect_container(
        &self,
        instance: &InstanceSide,
        config: &BridgeConfig,
        path: &Path,
    ) -> Result<u32, NetworkError> {
        instance.forget(&config.container)?;
        namespace::remove(path)?;
        let offset = instance.free_offset()?;
        let address = BRIDGE_RANGE.nth(u64::from(offset)).expect("offsets are inside the range");
        let inside = Inside::create(path)?;
        let link_name = link_name(offset);
        let [a, b, c, d] = address.octets();
        let mac = MacAddress([0x02, 0x42, a, b, c, d]);
        let mut messages = Messages::new();
        let near = VethEnd { name: &link_name, index: None, mac: GATEWAY_MAC };
        let far = VethEnd { name: TASK_LINK, index: Some(CONTAINER_LINK_INDEX), mac };
        route::add_veth(&mut messages, &near, &far, inside.namespace.as_fd(), instance.mtu()?);
        instance.route.request(messages).map_err(|error| instance.failed(error))?;
        let not_there = || NetworkError::NotOperational { link: link_name.clone() };
        let link =
            route::link_by_name(&instance.route, &link_name).map_err(|error| instance.failed(error))?;
        let link = link.ok_or_else(not_there)?;
        let mut messages = Messages::new();
        route::configure(&mut messages, link.index, &config.container, INSTANCE_SIDE);
        route::add_address(&mut messages, link.index, gateway(), 32);
        route::add_neighbour(&mut messages, link.index, address, mac);
        let destination = Destination::Link(link.index);
        route::put_route(&mut messages, Route { range: Ipv4Cidr::host(address), destination });
        instance.route.request(messages).map_err(|error| instance.failed(error))?;
        inside.configure(address)?;
        if route::becomes_operational(&instance.route, &link_name).map_err(|error| instance.failed(error))? {
            Ok(offset)
        } else {
            Err(not_there())
        }
    }
}

/// The instance's namespace, as its containers' router.
struct InstanceSide {
    id: NetworkInterfaceId,
    namespace: OwnedFd,
    route: NetlinkSocket,
    netfilter: NetlinkSocket,
}

impl InstanceSide {
    fn failed(&self, source: NetlinkError) -> NetworkError {
        NetworkError::Netlink { place: self.id.to_string(), source }
    }

    /// Lets containers out under the instance's address.
    fn ensure_router(&self) -> Result<(), NetworkError> {
        let mut table = LiveTable::default();
        if table.is_inherited(&self.netfilter, VPC_TABLE).map_err(|error| self.failed(error))? {
            return Ok(());
        }
        namespace::within(&self.namespace, || write_settings(INSTANCE_SETTINGS)).map_err(|source| {
            NamespaceError { attempt: "enter the namespace of", path: self.id.as_str().into(), source }
        })??;
        let out = Rule::new(
            [Match::Source(BRIDGE_RANGE), Match::OutputLink(LinkPattern::named(TASK_LINK))],
            Verdict::Masquerade,
        );
        let chains = [("masquerade".to_owned(), nat(HookPoint::SourceNat, 100, out))].into();
        let wanted = Table { name: VPC_TABLE.to_owned(), chains, ..Table::default() };
        table.apply(&self.netfilter, wanted).map_err(|error| self.failed(error))
    }

    fn mtu(&self) -> Result<u32, NetworkError> {
        let link = route::link_by_name(&self.route, TASK_LINK).map_err(|error| self.failed(error))?;
        Ok(link.map_or(limits::MTU_DEFAULT, |link| link.mtu))
    }

    fn link_of(&self, container: &str) -> Result<Option<Link>, NetworkError> {
        let links = route::links(&self.route).map_err(|error| self.failed(error))?;
        Ok(links.into_iter().find(|link| link.alias.as_deref() == Some(container)))
    }

    fn leads_to(&self, link: &Link, address: Ipv4Addr) -> Result<bool, NetworkError> {
        let routes = route::routes(&self.route).map_err(|error| self.failed(error))?;
        let destination = Destination::Link(link.index);
        Ok(routes.contains(&Route { range: Ipv4Cidr::host(address), destination }))
    }

    /// The lowest that no link has, behind the gateway's.
    fn free_offset(&self) -> Result<u32, NetworkError> {
        let links = route::links(&self.route).map_err(|error| self.failed(error))?;
        let taken: Vec<u32> = links.iter().filter_map(offset_of).collect();
        // The last address of a range is kept for broadcasts, whoever may use it.
        let last = u32::try_from(BRIDGE_RANGE.size()).unwrap_or(u32::MAX) - 2;
        (GATEWAY_OFFSET + 1..=last)
            .find(|offset| !taken.contains(offset))
            .ok_or_else(|| NetworkError::BridgeFull { instance: self.id.clone(), range: BRIDGE_RANGE })
    }

    /// Takes away a container's ports and its link. Ports that lead to another container by now stay.
    fn forget(&self, container: &str) -> Result<(), NetworkError> {
        let links = route::links(&self.route).map_err(|error| self.failed(error))?;
        for link in links.iter().filter(|link| link.alias.as_deref() == Some(container)) {
            if let Some(offset) = offset_of(link) {
                self.forget_ports(offset)?;
            }
            let mut messages = Messages::new();
            route::delete_link(&mut messages, &link.name);
            self.route.request(messages).map_err(|error| self.failed(error))?;
        }
        // A link that was made and not named yet belongs to nobody.
        let unnamed = links.iter().filter(|link| link.alias.is_none() && offset_of(link).is_some());
        let mut messages = Messages::new();
        unnamed.for_each(|link| route::delete_link(&mut messages, &link.name));
        self.route.request(messages).map_err(|error| self.failed(error))
    }

    fn forget_ports(&self, offset: u32) -> Result<(), NetworkError> {
        let all = nft::chain_names(&self.netfilter).map_err(|error| self.failed(error))?;
        let own = format!("{INCOMING}{offset:04x}");
        let tables: Vec<&str> = all
            .iter()
            .filter(|found| found.family == nft::FAMILY_INET && found.chain == own)
            .map(|found| found.table.as_str())
            .collect();
        if tables.is_empty() {
            return Ok(());
        }
        let messages = nft::transaction(|messages| {
            tables.iter().for_each(|table| nft::delete_table(messages, table));
        });
        self.netfilter.transact(messages).map_err(|error| self.failed(error))
    }
}

const INCOMING: &str = "incoming-";

/// The table of one port of an instance.
fn port_table(instance: Ipv4Addr, offset: u32, container: Ipv4Addr, port: PortForward) -> Table {
    let (protocol, number) = match port.protocol {
        PortProtocol::Tcp => ("tcp", 6),
        PortProtocol::Udp => ("udp", 17),
    };
    let forward = || {
        Rule::new(
            [
                Match::Destination(Ipv4Cidr::host(instance)),
                Match::Protocol(number),
                Match::DestinationPorts(port.host_port, port.host_port),
            ],
            Verdict::SendTo(container, port.container_port),
        )
    };
    // A container that calls its own port of the instance would answer itself directly, and not know the answer.
    let own = Ipv4Cidr::host(container);
    let itself = Rule::new([Match::Source(own), Match::Destination(own)], Verdict::Masquerade);
    const DESTINATION_NAT: i32 = -100;
    const BEFORE_SOURCE_NAT: i32 = 90;
    let chains = [
        (format!("{INCOMING}{offset:04x}"), nat(HookPoint::DestinationNat, DESTINATION_NAT, forward())),
        (format!("own-{offset:04x}"), nat(HookPoint::OutputNat, DESTINATION_NAT, forward())),
        (format!("itself-{offset:04x}"), nat(HookPoint::SourceNat, BEFORE_SOURCE_NAT, itself)),
    ];
    Table { name: format!("port-{protocol}-{}", port.host_port), chains: chains.into(), ..Table::default() }
}

fn nat(point: HookPoint, priority: i32, rule: Rule) -> Chain {
    Chain { hook: Some(Hook { point, priority, policy: Policy::Accept }), rules: vec![rule] }
}

fn gateway() -> Ipv4Addr {
    BRIDGE_RANGE.nth(u64::from(GATEWAY_OFFSET)).expect("the range has a second address")
}

fn link_name(offset: u32) -> String {
    format!("c{offset:04x}")
}

fn offset_of(link: &Link) -> Option<u32> {
    u32::from_str_radix(link.name.strip_prefix('c').filter(|digits| digits.len() == 4)?, 16).ok()
}

/// The inside of a container.
struct Inside {
    namespace: OwnedFd,
    route: NetlinkSocket,
    path: PathBuf,
}

impl Inside {
    fn create(path: &Path) -> Result<Self, NetworkError> {
        let failed = |source| NetworkError::Netlink { place: path.display().to_string(), source };
        let (namespace, route) = namespace::create(path, || {
            write_settings(CONTAINER_SETTINGS)?;
            NetlinkSocket::open(Protocol::Route).map_err(failed)
        })?;
        Ok(Self { namespace, route: route?, path: path.to_owned() })
    }

    fn enter(namespace: OwnedFd, path: &Path) -> Result<Self, NetworkError> {
        let route = namespace::within(&namespace, || NetlinkSocket::open(Protocol::Route))
            .map_err(|source| NamespaceError { attempt: "enter", path: path.to_owned(), source })?;
        let failed = |source| NetworkError::Netlink { place: path.display().to_string(), source };
        Ok(Self { namespace, route: route.map_err(failed)?, path: path.to_owned() })
    }

    fn is_complete(&self, address: Ipv4Addr) -> Result<bool, NetworkError> {
        let link = route::link_by_name(&self.route, TASK_LINK).map_err(|error| self.failed(error))?;
        let Some(link) = link else { return Ok(false) };
        let addresses = route::addresses(&self.route).map_err(|error| self.failed(error))?;
        let routes = route::routes(&self.route).map_err(|error| self.failed(error))?;
        Ok(addresses.iter().any(|found| found.link_index == link.index && found.address == address)
            && routes.contains(&way_out(link.index)))
    }

    fn configure(&self, address: Ipv4Addr) -> Result<(), NetworkError> {
        let mut messages = Messages::new();
        route::set_up(&mut messages, LOOPBACK_INDEX);
        route::set_up(&mut messages, CONTAINER_LINK_INDEX);
        route::add_address(&mut messages, CONTAINER_LINK_INDEX, address, 32);
        route::add_neighbour(&mut messages, CONTAINER_LINK_INDEX, gateway(), GATEWAY_MAC);
        route::put_route(&mut messages, way_out(CONTAINER_LINK_INDEX));
        self.route.request(messages).map_err(|error| self.failed(error))
    }

    fn failed(&self, source: NetlinkError) -> NetworkError {
        NetworkError::Netlink { place: self.path.display().to_string(), source }
    }
}

fn way_out(index: u32) -> Route {
    Route { range: Ipv4Cidr::ANY, destination: Destination::Gateway(gateway(), index) }
}
