//! Elastic network interfaces: a veth between a namespace of its own and the VPC's.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use gantry_types::{NetworkInterfaceId, VpcId};
use nix::errno::Errno;

use super::{GATEWAY, LOOPBACK_INDEX, NetworkError, Vpc, Vpcs, write_settings};
use crate::cidr::Ipv4Cidr;
use crate::limits;
use crate::name::{self, TASK_LINK, UPLINK};
use crate::namespace::{self, NamespaceError};
use crate::netlink::{Messages, NetlinkSocket, Protocol};
use crate::route::{self, Destination, InterfaceSettings, Link, MacAddress, Route, VethEnd};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceConfig {
    pub vpc_id: VpcId,
    pub interface_id: NetworkInterfaceId,
    pub mac: MacAddress,
    pub address: Ipv4Addr,
}

/// The network namespace of a task or instance, with its interface in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskNamespace {
    pub path: PathBuf,
}

/// An interface that was found on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExistingInterface {
    pub interface_id: NetworkInterfaceId,
    /// None when only the namespace is left, without a link.
    pub vpc_id: Option<VpcId>,
    /// None when the interface is not complete; adding it again completes it.
    pub address: Option<Ipv4Addr>,
    /// None when no namespace is mounted; its processes may live on.
    pub namespace: Option<PathBuf>,
}

/// The first link that is made in a new namespace comes right behind the loopback.
const TASK_LINK_INDEX: u32 = 2;
/// The VPC's end of every interface. They never meet on one wire.
const GATEWAY_MAC: MacAddress = MacAddress([0x02, 0, 169, 254, 1, 1]);

const TASK_SETTINGS: &[(&str, &str)] = &[("ipv6/conf/default/disable_ipv6", "1")];

const VPC_SIDE: InterfaceSettings = InterfaceSettings { forwarding: true, strict_reverse_path: true };

impl Vpcs {
    /// Makes an interface in a namespace of its own. Idempotent: an interface that is there and as configured stays as it
    /// is, and the namespace of one that is not is kept, since a task may live in it.
    ///
    /// Packets get through when this returns, as far as [`set_security`](Self::set_security) lets them.
    pub fn add_interface(&self, config: &InterfaceConfig) -> Result<TaskNamespace, NetworkError> {
        let link_name = name::interface_link(&config.interface_id)?;
        let _turn = self.interfaces.take(&config.interface_id);
        let vpc = self.vpc(&config.vpc_id)?;
        let path = self.interface_namespace(&config.interface_id);
        let existing = route::link_by_name(&vpc.route, &link_name).map_err(|error| vpc.failed(error))?;
        check_owner(&vpc, existing.as_ref(), config)?;
        let task = match namespace::open(&path)? {
            Some(namespace) => {
                let task = Task::enter(namespace, &path)?;
                if existing.is_some()
                    && task.is_complete(config)?
                    && vpc.leads_to(&link_name, config.address)?
                {
                    return Ok(TaskNamespace { path });
                }
                task.disconnect()?;
                task
            }
            None => Task::create(&path)?,
        };
        if existing.is_some() {
            let mut messages = Messages::new();
            route::delete_link(&mut messages, &link_name);
            vpc.route.request(messages).map_err(|error| vpc.failed(error))?;
        }
        self.connect_task(&vpc, &task, &link_name, config)?;
        Ok(TaskNamespace { path })
    }

    fn connect_task(
        &self,
        vpc: &Vpc,
        task: &Task,
        link_name: &str,
        config: &InterfaceConfig,
    ) -> Result<(), NetworkError> {
        let mtu = vpc.mtu()?;
        let mut messages = Messages::new();
        let near = VethEnd { name: link_name, index: None, mac: GATEWAY_MAC };
        let far = VethEnd { name: TASK_LINK, index: task.index_if_new(), mac: config.mac };
        route::add_veth(&mut messages, &near, &far, task.namespace.as_fd(), mtu);
        vpc.route.request(messages).map_err(|error| vpc.failed(error))?;

        let not_there = || NetworkError::NotOperational { link: link_name.to_owned() };
        let link = route::link_by_name(&vpc.route, link_name).map_err(|error| vpc.failed(error))?;
        let link = link.ok_or_else(not_there)?;
        let mut messages = Messages::new();
        route::configure(&mut messages, link.index, config.interface_id.as_str(), VPC_SIDE);
        route::add_address(&mut messages, link.index, GATEWAY, 32);
        route::add_neighbour(&mut messages, link.index, config.address, config.mac);
        let destination = Destination::Link(link.index);
        route::add_route(&mut messages, Route { range: Ipv4Cidr::host(config.address), destination });
        if let Err(error) = vpc.route.request(messages) {
            let mut messages = Messages::new();
            route::delete_link(&mut messages, link_name);
            vpc.route.request(messages).map_err(|error| vpc.failed(error))?;
            return Err(match error.is(Errno::EEXIST) {
                true => NetworkError::AddressTaken { address: config.address, vpc_id: vpc.id.clone() },
                false => vpc.failed(error),
            });
        }

        task.configure(config)?;
        if route::becomes_operational(&vpc.route, link_name).map_err(|error| vpc.failed(error))? {
            Ok(())
        } else {
            Err(not_there())
        }
    }

    /// Makes an interface's address free for another one, at once. Idempotent. What is left is of no use to anybody, and
    /// [`remove_interfaces`](Self::remove_interfaces) takes it away when there is time.
    pub fn disconnect_interface(
        &self,
        vpc_id: &VpcId,
        interface_id: &NetworkInterfaceId,
        address: Ipv4Addr,
    ) -> Result<(), NetworkError> {
        let link_name = name::interface_link(interface_id)?;
        let _turn = self.interfaces.take(interface_id);
        let vpc = match self.vpc(vpc_id) {
            Err(NetworkError::NoSuchVpc(_)) => return Ok(()),
            outcome => outcome?,
        };
        let link = route::link_by_name(&vpc.route, &link_name).map_err(|error| vpc.failed(error))?;
        let Some(link) = link else { return Ok(()) };
        let mut messages = Messages::new();
        route::delete_route(&mut messages, Ipv4Cidr::host(address), link.index);
        vpc.route.request(messages).map_err(|error| vpc.failed(error))
    }

    /// Takes interfaces of a VPC away, and their namespaces. Idempotent. Close the sockets in them first.
    ///
    /// The kernel waits some 30 ms until no packet is on its way through the links, however many they are, and makes nobody
    /// else's link meanwhile.
    pub fn remove_interfaces(
        &self,
        vpc_id: &VpcId,
        interface_ids: &BTreeSet<NetworkInterfaceId>,
    ) -> Result<(), NetworkError> {
        let names: Vec<String> = interface_ids.iter().map(name::interface_link).collect::<Result<_, _>>()?;
        // In their order, so that two callers never wait for each other.
        let _turns: Vec<_> = interface_ids.iter().map(|id| self.interfaces.take(id)).collect();
        match self.vpc(vpc_id) {
            Ok(vpc) => {
                let mut messages = Messages::new();
                route::delete_links(&mut messages, names.iter().map(String::as_str));
                vpc.route.request(messages).map_err(|error| vpc.failed(error))?;
            }
            Err(NetworkError::NoSuchVpc(_)) => {}
            Err(error) => return Err(error),
        }
        for interface_id in interface_ids {
            namespace::remove(&self.interface_namespace(interface_id))?;
        }
        Ok(())
    }

    /// Takes one interface away, and its namespace; see [`remove_interfaces`](Self::remove_interfaces).
    pub fn remove_interface(
        &self,
        vpc_id: &VpcId,
        interface_id: &NetworkInterfaceId,
    ) -> Result<(), NetworkError> {
        self.remove_interfaces(vpc_id, &BTreeSet::from([interface_id.clone()]))
    }

    /// Every interface on this machine, whichever process made it.
    pub fn list_interfaces(&self) -> Result<Vec<ExistingInterface>, NetworkError> {
        let names = self.namespaces()?;
        let mut found = Vec::new();
        for name in names.iter().filter(|name| name.starts_with("vpc-")) {
            match self.vpc(&VpcId::new(name.as_str())) {
                Ok(vpc) => found.extend(self.interfaces_of(&vpc)?),
                // A file without a namespace, as a reboot leaves it.
                Err(NetworkError::NoSuchVpc(_) | NetworkError::Name(_)) => {}
                Err(error) => return Err(error),
            }
        }
        for name in names.iter().filter(|name| name.starts_with("eni-")) {
            let interface_id = NetworkInterfaceId::new(name.as_str());
            if name::interface_link(&interface_id).is_ok()
                && !found.iter().any(|interface| interface.interface_id == interface_id)
            {
                let namespace = Some(self.namespace_path(name));
                found.push(ExistingInterface { interface_id, vpc_id: None, address: None, namespace });
            }
        }
        Ok(found)
    }

    pub(super) fn interfaces_of(&self, vpc: &Vpc) -> Result<Vec<ExistingInterface>, NetworkError> {
        let routes = route::routes(&vpc.route).map_err(|error| vpc.failed(error))?;
        let links = route::links(&vpc.route).map_err(|error| vpc.failed(error))?;
        let mut found = Vec::new();
        for link in links {
            let Some(interface_id) = link.alias.map(NetworkInterfaceId::new) else { continue };
            if name::interface_link(&interface_id).ok().as_deref() != Some(link.name.as_str()) {
                continue;
            }
            let leads = |route: &&Route| {
                route.destination == Destination::Link(link.index) && route.range.prefix() == 32
            };
            let address = routes.iter().find(leads).map(|route| route.range.network());
            let path = self.interface_namespace(&interface_id);
            let namespace = namespace::open(&path)?.map(|_| path);
            found.push(ExistingInterface { interface_id, vpc_id: Some(vpc.id.clone()), address, namespace });
        }
        Ok(found)
    }

    /// Names of the files in our directory of namespaces.
    pub(super) fn namespaces(&self) -> Result<Vec<String>, NetworkError> {
        let directory = self.config.run_dir.join("netns");
        let failed = |source| NamespaceError { attempt: "list", path: directory.clone(), source };
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&directory).map_err(failed)? {
            names.extend(entry.map_err(failed)?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }
}

/// Fifteen bytes of name hold not quite the whole id; the alias does.
fn check_owner(vpc: &Vpc, existing: Option<&Link>, config: &InterfaceConfig) -> Result<(), NetworkError> {
    let owner = existing.and_then(|link| link.alias.as_deref());
    match owner {
        Some(owner) if owner != config.interface_id.as_str() => Err(NetworkError::LinkTaken {
            link: existing.map(|link| link.name.clone()).unwrap_or_default(),
            vpc_id: vpc.id.clone(),
            owner: owner.to_owned(),
        }),
        _ => Ok(()),
    }
}

impl Vpc {
    fn mtu(&self) -> Result<u32, NetworkError> {
        let uplink = route::link_by_name(&self.route, UPLINK).map_err(|error| self.failed(error))?;
        Ok(uplink.map_or(limits::MTU_DEFAULT, |link| link.mtu))
    }

    /// Whether the way to an address is this link.
    fn leads_to(&self, link_name: &str, address: Ipv4Addr) -> Result<bool, NetworkError> {
        let link = route::link_by_name(&self.route, link_name).map_err(|error| self.failed(error))?;
        let routes = route::routes(&self.route).map_err(|error| self.failed(error))?;
        Ok(link.is_some_and(|link| {
            let destination = Destination::Link(link.index);
            routes.contains(&Route { range: Ipv4Cidr::host(address), destination })
        }))
    }
}

/// The inside of an interface.
struct Task {
    namespace: OwnedFd,
    route: NetlinkSocket,
    path: PathBuf,
    is_new: bool,
}

impl Task {
    fn create(path: &std::path::Path) -> Result<Self, NetworkError> {
        let failed = |source| NetworkError::Netlink { place: path.display().to_string(), source };
        let (namespace, route) = namespace::create(path, || {
            write_settings(TASK_SETTINGS)?;
            NetlinkSocket::open(Protocol::Route).map_err(failed)
        })?;
        Ok(Self { namespace, route: route?, path: path.to_owned(), is_new: true })
    }

    fn enter(namespace: OwnedFd, path: &std::path::Path) -> Result<Self, NetworkError> {
        let route = namespace::within(&namespace, || NetlinkSocket::open(Protocol::Route))
            .map_err(|source| NamespaceError { attempt: "enter", path: path.to_owned(), source })?;
        let failed = |source| NetworkError::Netlink { place: path.display().to_string(), source };
        Ok(Self { namespace, route: route.map_err(failed)?, path: path.to_owned(), is_new: false })
    }

    /// Choosing the index spares asking for it, but is only safe where nothing else is.
    fn index_if_new(&self) -> Option<u32> {
        self.is_new.then_some(TASK_LINK_INDEX)
    }

    fn link(&self) -> Result<Option<Link>, NetworkError> {
        route::link_by_name(&self.route, TASK_LINK).map_err(|error| self.failed(error))
    }

    fn is_complete(&self, config: &InterfaceConfig) -> Result<bool, NetworkError> {
        let Some(link) = self.link()?.filter(|link| link.mac == Some(config.mac)) else { return Ok(false) };
        let addresses = route::addresses(&self.route).map_err(|error| self.failed(error))?;
        let routes = route::routes(&self.route).map_err(|error| self.failed(error))?;
        Ok(addresses.iter().any(|found| found.link_index == link.index && found.address == config.address)
            && routes.contains(&way_out(link.index)))
    }

    fn disconnect(&self) -> Result<(), NetworkError> {
        let mut messages = Messages::new();
        route::delete_link(&mut messages, TASK_LINK);
        self.route.request(messages).map_err(|error| self.failed(error))
    }

    fn configure(&self, config: &InterfaceConfig) -> Result<(), NetworkError> {
        let index = match self.index_if_new() {
            Some(index) => index,
            None => {
                let not_there = || NetworkError::NotOperational { link: TASK_LINK.to_owned() };
                self.link()?.ok_or_else(not_there)?.index
            }
        };
        let mut messages = Messages::new();
        route::set_up(&mut messages, LOOPBACK_INDEX);
        route::set_up(&mut messages, index);
        route::add_address(&mut messages, index, config.address, 32);
        route::add_neighbour(&mut messages, index, GATEWAY, GATEWAY_MAC);
        route::put_route(&mut messages, way_out(index));
        self.route.request(messages).map_err(|error| self.failed(error))
    }

    fn failed(&self, source: crate::netlink::NetlinkError) -> NetworkError {
        NetworkError::Netlink { place: self.path.display().to_string(), source }
    }
}

fn way_out(index: u32) -> Route {
    Route { range: Ipv4Cidr::ANY, destination: Destination::Gateway(GATEWAY, index) }
}
