//! Every limit and default of this crate, in one place.

use std::time::Duration;

use crate::cidr::Ipv4Cidr;

/// Each answer to a request sits in the socket's receive buffer (about 200 kB) until all have been sent.
pub(crate) const REQUESTS_PER_SEND: usize = 64;
/// A VPC of 10,000 interfaces with its groups stays well below this.
pub(crate) const TRANSACTION_BYTES_MAX: usize = 32 << 20;
/// The kernel sends at most 32 KiB a datagram.
pub(crate) const RECEIVE_BYTES: usize = 64 << 10;
pub(crate) const DUMP_ANSWERS_MAX: usize = 1 << 20;
pub(crate) const DUMP_ATTEMPTS: usize = 5;

/// Where the pairs of addresses between VPC namespaces and the host come from unless configured: link-local, so never
/// inside a VPC's own range; away from the metadata, credentials and gateway addresses. Room for 4,096 VPCs.
pub const UPLINK_RANGE_DEFAULT: Ipv4Cidr = Ipv4Cidr::around(std::net::Ipv4Addr::new(169, 254, 192, 0), 18);
/// Where containers in `bridge` mode have their addresses, the same in every instance: link-local, so never inside a VPC's own
/// range, and where the ECS agent has its bridge.
pub(crate) const BRIDGE_RANGE: Ipv4Cidr = Ipv4Cidr::around(std::net::Ipv4Addr::new(169, 254, 172, 0), 22);
/// What a link can carry: IPv6's minimum as the floor, AWS's jumbo frames as the ceiling.
pub(crate) const MTU_MIN: u32 = 1280;
pub(crate) const MTU_MAX: u32 = 9001;
pub(crate) const MTU_DEFAULT: u32 = 1500;
/// How long a new veth pair may take until packets get through (normally below a millisecond).
pub(crate) const LINK_READY_WAIT: Duration = Duration::from_secs(2);
pub(crate) const LINK_READY_POLL: Duration = Duration::from_micros(200);
/// Addresses on one VPC's loopback on one machine.
pub(crate) const LOOPBACK_ADDRESSES_MAX: usize = 4096;
/// Ranges of one VPC; AWS's quota can be raised to 50.
pub(crate) const VPC_CIDRS_MAX: usize = 50;
/// Connections that wait to be accepted: what a new process finds when the old one crashed. The kernel caps it at
/// net.core.somaxconn, which is 4096 by default.
pub(crate) const LISTEN_BACKLOG: i32 = 4096;

/// How long a resolver may keep an answer of ours. Addresses of tasks and load balancers change within seconds.
pub(crate) const DNS_TTL_SECONDS: u32 = 10;
/// What passes every network without fragments.
pub(crate) const DNS_UDP_PAYLOAD_BYTES: u16 = 1232;
/// A longer datagram is cut off and then malformed.
pub(crate) const DNS_MESSAGE_BYTES: usize = 4096;
/// Name servers of a resolv.conf that are asked, as by the C library.
pub(crate) const DNS_RESOLVERS_MAX: usize = 3;
/// For one resolver, and for all together. The C library gives up on us after 5 seconds.
pub(crate) const DNS_UPSTREAM_WAIT: Duration = Duration::from_millis(1500);
pub(crate) const DNS_FORWARD_WAIT: Duration = Duration::from_millis(4500);
/// Questions of one VPC that wait for the host's resolvers.
pub(crate) const DNS_FORWARDS_MAX: usize = 512;
pub(crate) const DNS_FORWARDS_PER_CLIENT_MAX: usize = 64;
/// Connections to a VPC's DNS.
pub(crate) const DNS_CONNECTIONS_MAX: usize = 256;
pub(crate) const DNS_CONNECTIONS_PER_CLIENT_MAX: usize = 16;
pub(crate) const DNS_REQUESTS_PER_CONNECTION_MAX: usize = 256;
pub(crate) const DNS_CONNECTION_IDLE: Duration = Duration::from_secs(10);
/// Failures to receive in a row, each followed by a pause, until the server gives up.
pub(crate) const DNS_FAILURES_MAX: u32 = 100;
pub(crate) const DNS_ERROR_PAUSE: Duration = Duration::from_millis(50);
/// How long the host's resolv.conf is believed without another look.
pub(crate) const RESOLV_CONF_AGE: Duration = Duration::from_secs(5);
