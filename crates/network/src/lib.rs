//! The network of a machine's VPCs: namespaces, interfaces, security groups, DNS.
//!
//! A VPC is a network namespace, so two VPCs may have the same addresses, and nothing but one uplink each touches the
//! host's own network. [`Vpcs`] makes VPCs and interfaces and applies security groups; [`NamespaceSockets`] gives a
//! process outside sockets inside; [`dns`] answers names.
//!
//! Invariants:
//! - The kernel is the record. What was made carries the id it belongs to, so every operation may be repeated, by the
//!   same process or the next, after a crash anywhere.
//! - Closed by default: an interface without security groups reaches DNS and metadata, and nothing else.
//! - Rules change as a whole or not at all, and flows that were let through outlive the change.
//! - No other program is called: links, routes and rules go to the kernel as netlink messages.
//! - A thread that entered a namespace comes back, or the process ends.
//!
//! Apart from DNS, which runs on tokio, everything here is synchronous: the kernel answers netlink at once. Making takes
//! about a millisecond; taking away takes some 30, for which the kernel waits.

mod cidr;
pub mod dns;
mod limits;
mod name;
mod namespace;
mod netlink;
mod nft;
mod probe;
mod route;
mod security;
mod sockets;
mod vpc;

pub use cidr::{CidrError, Ipv4Cidr};
pub use dns::places::{Place, Places};
pub use limits::UPLINK_RANGE_DEFAULT;
pub use name::{Instance, NameError};
pub use namespace::NamespaceError;
pub use netlink::NetlinkError;
pub use probe::{Firewall, FirewallEffect, Probe, RouteOverlap, probe};
pub use route::{MacAddress, MacAddressError};
pub use security::{
    Attachment, Direction, IcmpKind, Member, Packet, Peer, PortRange, Rule, SecurityError, SecurityGroup,
    Traffic, TrafficError, VpcSecurity,
};
pub use sockets::NamespaceSockets;
pub use vpc::{
    BridgeConfig, CREDENTIALS_ADDRESS, ExistingInterface, InterfaceConfig, METADATA_ADDRESS, NetworkConfig,
    NetworkError, PortForward, PortProtocol, TaskNamespace, VpcConfig, Vpcs,
};
