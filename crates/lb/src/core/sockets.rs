//! Which sockets the load balancers listen on.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use gantry_domain::elb::{ListenerProtocol, Scheme};
use gantry_types::{Arn, VpcId};

use super::State;

/// One address and port to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketSpec {
    pub address: SocketAddrV4,
    /// `None` is outside every VPC.
    pub vpc: Option<VpcId>,
    pub purpose: SocketPurpose,
}

/// What a socket is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketPurpose {
    /// One listener's own address.
    Listener(Arn),
    /// The address that all internet-facing load balancers with a listener on this port share, told apart by Host.
    Shared(Vec<Arn>),
}

impl SocketPurpose {
    /// The listeners that are reached through the socket.
    pub fn listeners(&self) -> &[Arn] {
        match self {
            Self::Listener(arn) => std::slice::from_ref(arn),
            Self::Shared(arns) => arns,
        }
    }
}

/// Every socket that the state asks for, by the stable name under which its descriptors are kept. Listeners that speak TLS
/// are not among them: this balancer does not serve it.
pub fn wanted_sockets(state: &State, shared_address: Option<Ipv4Addr>) -> BTreeMap<String, SocketSpec> {
    let mut wanted = BTreeMap::new();
    let mut shared: BTreeMap<u16, Vec<Arn>> = BTreeMap::new();
    for config in state.load_balancers() {
        let balancer = &config.load_balancer;
        for listener in &config.listeners {
            let listener = &listener.listener;
            if listener.protocol != ListenerProtocol::Http {
                continue;
            }
            let mut own = |address: Ipv4Addr, vpc: Option<VpcId>| {
                let address = SocketAddrV4::new(address, listener.port);
                let purpose = SocketPurpose::Listener(listener.arn.clone());
                wanted.insert(format!("lb/{}/{address}", listener.arn), SocketSpec { address, vpc, purpose });
            };
            for subnet in &balancer.subnets {
                own(subnet.address, Some(balancer.vpc.clone()));
            }
            if balancer.scheme == Scheme::InternetFacing {
                if let Some(address) = balancer.outside_address {
                    own(address, None);
                }
                shared.entry(listener.port).or_default().push(listener.arn.clone());
            }
        }
    }
    for (port, listeners) in shared {
        if let Some(address) = shared_address {
            let address = SocketAddrV4::new(address, port);
            let purpose = SocketPurpose::Shared(listeners);
            wanted.insert(format!("lb/shared/{address}"), SocketSpec { address, vpc: None, purpose });
        }
    }
    wanted
}
