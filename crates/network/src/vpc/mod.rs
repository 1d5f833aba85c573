//! VPCs on this machine: a network namespace each, the uplink to the host, and the interfaces plugged into it.
//!
//! ```text
//!  task's namespace          VPC's namespace                          host's namespace
//!  eth0 172.31.0.5/32 ─────  e0123..  169.254.1.1/32
//!       default via          lo       172.31.0.2 (DNS), load
//!       169.254.1.1                   balancers, metadata
//!                            uplink   169.254.192.2/30 ───────────── gta-0000  169.254.192.1/30
//!                                     masquerade                     masquerade, forward
//! ```
//! A task reaches what the host serves on its own addresses, as far as the host's firewall lets it, like anything else
//! outside; it does not reach what the host serves on its loopback.
//!
//! The kernel is the record: links carry the id they belong to as alias, the number of an uplink is in its name. So a
//! process that was killed anywhere is followed by one that finds out and goes on, and every operation may be repeated.

mod container;
mod host;
mod interface;
mod teardown;
mod turns;
mod uplink;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gantry_types::{NetworkInterfaceId, VpcId};

use crate::cidr::Ipv4Cidr;
use crate::limits;
use crate::name::{self, Instance, NameError};
use crate::namespace::{self, NamespaceError};
use crate::netlink::{Messages, NetlinkError, NetlinkSocket, Protocol};
use crate::nft::LiveTable;
use crate::route::{self, Destination, Route};
use crate::security::{SecurityError, VpcBase, VpcSecurity, compile};
use host::Host;
use turns::Turns;

pub use container::{BridgeConfig, PortForward, PortProtocol};
pub(crate) use host::takes_our_rule;
pub use interface::{ExistingInterface, InterfaceConfig, TaskNamespace};

/// Where a task asks for its credentials and its own metadata.
pub const CREDENTIALS_ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 170, 2);
/// Where an instance asks for its metadata.
pub const METADATA_ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// The next hop of every interface.
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
/// The first link of every namespace.
pub(crate) const LOOPBACK_INDEX: u32 = 1;

#[derive(Debug, Clone)]
pub struct NetworkConfig {
    /// Namespaces are mounted under `run_dir/netns/`. It should be emptied by a reboot, but need not be.
    pub run_dir: PathBuf,
    pub instance: Instance,
    /// Pairs of addresses between VPC namespaces and the host come from here, four addresses each.
    pub uplink_range: Ipv4Cidr,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VpcConfig {
    pub vpc_id: VpcId,
    pub cidrs: Vec<Ipv4Cidr>,
    /// The VPC's base plus two.
    pub dns_address: Ipv4Addr,
    /// Load balancers' addresses. Security groups judge what goes to them and comes from them.
    pub local_addresses: BTreeSet<Ipv4Addr>,
    /// Addresses of services that we offer inside the VPC, reachable whatever the security groups say.
    pub service_addresses: BTreeSet<Ipv4Addr>,
}

#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    #[error("{place}: {source}")]
    Netlink { place: String, source: NetlinkError },
    #[error("security groups of {vpc_id}: {source}")]
    Security { vpc_id: VpcId, source: SecurityError },
    #[error("there is no {0} on this machine")]
    NoSuchVpc(VpcId),
    #[error("there is no instance {0} on this machine")]
    NoSuchInstance(NetworkInterfaceId),
    #[error("no address is free in {range} behind the instance {instance}")]
    BridgeFull { instance: NetworkInterfaceId, range: Ipv4Cidr },
    #[error("the rules of {0} cannot be set before the VPC is ensured")]
    NotEnsured(VpcId),
    #[error(
        "{range} of {vpc_id} overlaps {uplink_range}, which leads from VPCs to the host; configure another uplink range"
    )]
    OverlapsUplink { vpc_id: VpcId, range: Ipv4Cidr, uplink_range: Ipv4Cidr },
    #[error("{vpc_id} has {count} {what}; the limit is {limit}")]
    TooMany { vpc_id: VpcId, what: &'static str, count: usize, limit: usize },
    #[error("no pair of addresses is free in the uplink range {0}")]
    UplinkRangeFull(Ipv4Cidr),
    #[error("link {link} in {vpc_id} belongs to {owner}")]
    LinkTaken { link: String, vpc_id: VpcId, owner: String },
    #[error("another interface in {vpc_id} has the address {address}")]
    AddressTaken { address: Ipv4Addr, vpc_id: VpcId },
    #[error("link {link} does not come up")]
    NotOperational { link: String },
    #[error("set {path} to {value}: {source}")]
    Setting { path: String, value: &'static str, source: io::Error },
}

/// All VPCs of one installation on this machine.
///
/// Calls block for as long as the kernel works, milliseconds to tens of them: make them from a blocking thread.
/// They may be made from several threads at once.
pub struct Vpcs {
    config: NetworkConfig,
    host: Host,
    vpcs: Mutex<HashMap<VpcId, Arc<Vpc>>>,
    interfaces: Turns,
}

/// One VPC that this process works with.
pub(crate) struct Vpc {
    id: VpcId,
    namespace: OwnedFd,
    route: NetlinkSocket,
    netfilter: NetlinkSocket,
    state: Mutex<VpcState>,
}

#[derive(Default)]
struct VpcState {
    table: LiveTable,
    /// None until `ensure_vpc` was called in this process.
    base: Option<VpcBase>,
    security: VpcSecurity,
}

impl Vpcs {
    /// Works with the network of the calling thread as "the host".
    pub fn new(config: NetworkConfig) -> Result<Self, NetworkError> {
        namespace::prepare_directory(&config.run_dir.join("netns"))?;
        let host = Host::open()?;
        Ok(Self { config, host, vpcs: Mutex::default(), interfaces: Turns::default() })
    }

    /// Where the namespace of this VPC is mounted, for `NamespaceSockets::open`.
    pub fn vpc_namespace(&self, vpc_id: &VpcId) -> PathBuf {
        self.namespace_path(vpc_id.as_str())
    }

    /// Makes a VPC, or makes it as configured. Idempotent.
    ///
    /// A new VPC lets nothing through until [`set_security`](Self::set_security). One that was there before keeps the rules
    /// that it has until then, so a restarted process cuts nobody off.
    pub fn ensure_vpc(&self, config: &VpcConfig) -> Result<(), NetworkError> {
        self.check(config)?;
        // One at a time: uplinks take the next free number.
        let _turn = self.host.turn();
        self.host.ensure(&self.config)?;
        let vpc = match self.vpc(&config.vpc_id) {
            Err(NetworkError::NoSuchVpc(_)) => self.create(&config.vpc_id)?,
            outcome => outcome?,
        };
        self.ensure_uplink(&vpc)?;
        vpc.ensure_routes(config).map_err(|error| vpc.failed(error))?;
        vpc.ensure_base(config)
    }

    /// Replaces the security groups of a VPC and their members: the whole state, applied as one transaction. Flows that
    /// were let through go on.
    pub fn set_security(&self, vpc_id: &VpcId, security: VpcSecurity) -> Result<(), NetworkError> {
        let vpc = self.vpc(vpc_id)?;
        let mut state = vpc.state();
        let Some(base) = &state.base else { return Err(NetworkError::NotEnsured(vpc_id.clone())) };
        let table = compile(base, &security)
            .map_err(|source| NetworkError::Security { vpc_id: vpc_id.clone(), source })?;
        state.table.apply(&vpc.netfilter, table).map_err(|error| vpc.failed(error))?;
        state.security = security;
        Ok(())
    }

    fn check(&self, config: &VpcConfig) -> Result<(), NetworkError> {
        name::check_vpc(&config.vpc_id)?;
        let uplink_range = self.config.uplink_range;
        for range in &config.cidrs {
            if range.overlaps(uplink_range) {
                return Err(NetworkError::OverlapsUplink {
                    vpc_id: config.vpc_id.clone(),
                    range: *range,
                    uplink_range,
                });
            }
        }
        let loopback = config.local_addresses.len() + config.service_addresses.len();
        for (what, count, limit) in [
            ("CIDR blocks", config.cidrs.len(), limits::VPC_CIDRS_MAX),
            ("addresses of its own", loopback, limits::LOOPBACK_ADDRESSES_MAX),
        ] {
            if count > limit {
                return Err(NetworkError::TooMany { vpc_id: config.vpc_id.clone(), what, count, limit });
            }
        }
        Ok(())
    }

    /// A VPC that exists, found in the file system if this process has not met it yet.
    fn vpc(&self, vpc_id: &VpcId) -> Result<Arc<Vpc>, NetworkError> {
        name::check_vpc(vpc_id)?;
        if let Some(vpc) = self.known().get(vpc_id) {
            return Ok(vpc.clone());
        }
        let namespace = namespace::open(&self.vpc_namespace(vpc_id))?;
        let namespace = namespace.ok_or_else(|| NetworkError::NoSuchVpc(vpc_id.clone()))?;
        let path = self.vpc_namespace(vpc_id);
        let sockets = namespace::within(&namespace, open_sockets).map_err(|source| NamespaceError {
            attempt: "enter",
            path,
            source,
        })?;
        Ok(self.remember(vpc_id, namespace, sockets.map_err(in_namespace_of(vpc_id))?))
    }

    fn create(&self, vpc_id: &VpcId) -> Result<Arc<Vpc>, NetworkError> {
        let (namespace, sockets) = namespace::create(&self.vpc_namespace(vpc_id), || {
            write_settings(VPC_SETTINGS)?;
            open_sockets().map_err(in_namespace_of(vpc_id))
        })?;
        Ok(self.remember(vpc_id, namespace, sockets?))
    }

    fn remember(
        &self,
        vpc_id: &VpcId,
        namespace: OwnedFd,
        (route, netfilter): (NetlinkSocket, NetlinkSocket),
    ) -> Arc<Vpc> {
        let vpc = Vpc { id: vpc_id.clone(), namespace, route, netfilter, state: Mutex::default() };
        // Another thread may have been faster; its entry may hold state already.
        self.known().entry(vpc_id.clone()).or_insert_with(|| Arc::new(vpc)).clone()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<VpcId, Arc<Vpc>>> {
        self.vpcs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn namespace_path(&self, name: &str) -> PathBuf {
        self.config.run_dir.join("netns").join(name)
    }

    fn interface_namespace(&self, id: &NetworkInterfaceId) -> PathBuf {
        self.namespace_path(id.as_str())
    }
}

impl Vpc {
    fn state(&self) -> MutexGuard<'_, VpcState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, source: NetlinkError) -> NetworkError {
        in_namespace_of(&self.id)(source)
    }

    /// The loopback's addresses, and no way out for the VPC's own ranges but through an interface.
    fn ensure_routes(&self, config: &VpcConfig) -> Result<(), NetlinkError> {
        let mut messages = Messages::new();
        route::set_up(&mut messages, LOOPBACK_INDEX);
        let mut wanted = always_reachable(config);
        wanted.extend(&config.local_addresses);
        for existing in route::addresses(&self.route)? {
            let ours = existing.link_index == LOOPBACK_INDEX && !existing.address.is_loopback();
            if ours && !wanted.remove(&existing.address) {
                route::delete_address(&mut messages, LOOPBACK_INDEX, existing.address, existing.prefix);
            }
        }
        for address in wanted {
            route::add_address(&mut messages, LOOPBACK_INDEX, address, 32);
        }
        // An address of the VPC that nobody has is refused at once, and never asked for outside.
        for range in &config.cidrs {
            route::put_route(&mut messages, Route { range: *range, destination: Destination::Unreachable });
        }
        self.route.request(messages)
    }

    fn ensure_base(&self, config: &VpcConfig) -> Result<(), NetworkError> {
        let mut state = self.state();
        let base = VpcBase { always_reachable: always_reachable(config) };
        state.base = Some(base.clone());
        if state.table.is_inherited(&self.netfilter, name::VPC_TABLE).map_err(|error| self.failed(error))? {
            return Ok(());
        }
        let table = compile(&base, &state.security)
            .map_err(|source| NetworkError::Security { vpc_id: self.id.clone(), source })?;
        state.table.apply(&self.netfilter, table).map_err(|error| self.failed(error))?;
        // The table has woken connection tracking in this namespace.
        namespace::within(&self.namespace, || write_settings(TRACKING_SETTINGS)).map_err(|source| {
            NamespaceError { attempt: "enter the namespace of", path: self.id.as_str().into(), source }
        })?
    }
}

fn always_reachable(config: &VpcConfig) -> BTreeSet<Ipv4Addr> {
    let mut addresses = config.service_addresses.clone();
    addresses.extend([CREDENTIALS_ADDRESS, METADATA_ADDRESS, config.dns_address]);
    addresses
}

fn open_sockets() -> Result<(NetlinkSocket, NetlinkSocket), NetlinkError> {
    Ok((NetlinkSocket::open(Protocol::Route)?, NetlinkSocket::open(Protocol::Netfilter)?))
}

fn in_namespace_of(vpc_id: &VpcId) -> impl Fn(NetlinkError) -> NetworkError {
    move |source| NetworkError::Netlink { place: vpc_id.to_string(), source }
}

/// What every new link inside a VPC's namespace inherits, and what the namespace does as a whole.
const VPC_SETTINGS: &[(&str, &str)] = &[
    ("ipv4/ip_forward", "1"),
    ("ipv4/conf/all/rp_filter", "1"),
    ("ipv4/conf/default/rp_filter", "1"),
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
    // The load balancer's connections to targets start here: as many source ports as there are.
    ("ipv4/ip_local_port_range", "1024 65535"),
    ("ipv4/tcp_tw_reuse", "1"),
    ("ipv6/conf/all/disable_ipv6", "1"),
    ("ipv6/conf/default/disable_ipv6", "1"),
];

/// A closed connection is forgotten after seconds: the load balancer may open thousands in each, and a full table drops
/// packets.
const TRACKING_SETTINGS: &[(&str, &str)] = &[("netfilter/nf_conntrack_tcp_timeout_time_wait", "10")];

/// Writes settings of the calling thread's network namespace.
fn write_settings(settings: &'static [(&str, &'static str)]) -> Result<(), NetworkError> {
    for (name, value) in settings {
        let path = Path::new("/proc/sys/net").join(name);
        match std::fs::write(&path, value) {
            // A kernel without IPv6 has nothing to switch off. The others only make things better.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !name.starts_with("ipv4/") => {}
            Err(source) => {
                return Err(NetworkError::Setting { path: path.display().to_string(), value, source });
            }
            Ok(()) => {}
        }
    }
    Ok(())
}
