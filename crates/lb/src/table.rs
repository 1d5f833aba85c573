//! What shards read: an immutable table, replaced as a whole.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use gantry_domain::elb::TargetHealthState;
use gantry_domain::network::{IpProtocol, Peer, SecurityRule};
use gantry_routing::{
    Algorithm, Availability, Candidate, GroupSlot, ListenerRules, RouteTable, SHARE_FULL, Standing,
    availability, select_target, slow_start_share,
};
use gantry_types::{Arn, Timestamp};

use crate::attributes::LoadBalancerAttributes;
use crate::core::{SocketPurpose, State, TargetKey, wanted_sockets};
use crate::counters::{LoadBalancerCounters, Sharded};
use crate::group::GroupRuntime;
use crate::outbound::Outbound;
use crate::registry::{Registry, SocketId};
use crate::target::TargetRuntime;

/// Routes for every listening socket.
#[derive(Debug, Default)]
pub(crate) struct Table {
    sockets: HashMap<SocketId, Socket>,
    slots: Vec<Option<Arc<GroupTable>>>,
    groups: HashMap<Arn, Arc<GroupTable>>,
}

/// Whose requests come in on a socket.
#[derive(Debug)]
enum Socket {
    Own(Arc<ListenerTable>),
    Shared { by_host: HashMap<Vec<u8>, Arc<ListenerTable>>, only: Option<Arc<ListenerTable>> },
}

/// One listener of one load balancer.
#[derive(Debug)]
pub(crate) struct ListenerTable {
    pub(crate) arn: Arn,
    pub(crate) port: u16,
    pub(crate) rules: Arc<ListenerRules>,
    pub(crate) balancer: Arc<LoadBalancerTable>,
}

#[derive(Debug)]
pub(crate) struct LoadBalancerTable {
    pub(crate) dns_name: String,
    pub(crate) attributes: LoadBalancerAttributes,
    pub(crate) counters: Arc<Sharded<LoadBalancerCounters>>,
    ingress: Vec<SecurityRule>,
}

/// One target group with the targets that it has now.
#[derive(Debug)]
pub(crate) struct GroupTable {
    pub(crate) runtime: Arc<GroupRuntime>,
    algorithm: Algorithm,
    availability: Availability,
    /// A target is starting or promised.
    hopeful: bool,
    slow_start: Duration,
    targets: Vec<TargetEntry>,
}

#[derive(Debug)]
pub(crate) struct TargetEntry {
    pub(crate) runtime: Arc<TargetRuntime>,
    pub(crate) outbound: Outbound,
    slow_start_from: Option<Timestamp>,
}

/// What a request that wants a target gets.
#[derive(Debug)]
pub(crate) enum Pick<'a> {
    Target(&'a TargetEntry),
    Hold,
    /// None is registered.
    NoTargets,
    /// Each was tried by this request.
    AllTried,
}

impl Table {
    /// Builds the table. What outlives it (counters, requests in flight, pools) comes from the registry.
    pub(crate) fn build(state: &State, registry: &mut Registry, shared_address: Option<Ipv4Addr>) -> Self {
        let listeners = state.load_balancers().flat_map(|config| &config.listeners);
        let routes = RouteTable::compile(listeners.map(|config| (&config.listener, config.rules.as_slice())));
        let mut groups: HashMap<Arn, Arc<GroupTable>> = HashMap::new();
        for group in state.groups() {
            let table = GroupTable::build(state, group, registry);
            groups.insert(group.config().group.arn.clone(), Arc::new(table));
        }
        for arn in routes.groups() {
            // A rule may be heard of before its group.
            groups.entry(arn.clone()).or_insert_with(|| Arc::new(GroupTable::expected(registry.group(arn))));
        }
        let slots = routes.groups().iter().map(|arn| groups.get(arn).cloned()).collect();
        let listeners = listener_tables(state, &routes, registry);
        let sockets = wanted_sockets(state, shared_address)
            .into_iter()
            .filter_map(|(name, spec)| {
                let socket = Socket::build(&spec.purpose, &listeners)?;
                Some((registry.socket(&name), socket))
            })
            .collect();
        Self { sockets, slots, groups }
    }

    /// The listener that a request is for. On a shared address the Host says which.
    pub(crate) fn listener(&self, socket: SocketId, host: &[u8]) -> Option<&Arc<ListenerTable>> {
        match self.sockets.get(&socket)? {
            Socket::Own(listener) => Some(listener),
            Socket::Shared { by_host, only } => {
                let found = by_host.get(host).or_else(|| by_host.get(&host.to_ascii_lowercase()));
                found.or(only.as_ref())
            }
        }
    }

    /// The listener that a socket belongs to before any request is read; `None` for a shared one.
    pub(crate) fn own_listener(&self, socket: SocketId) -> Option<&Arc<ListenerTable>> {
        match self.sockets.get(&socket)? {
            Socket::Own(listener) => Some(listener),
            Socket::Shared { .. } => None,
        }
    }

    pub(crate) fn group(&self, slot: GroupSlot) -> Option<&Arc<GroupTable>> {
        self.slots.get(slot.0)?.as_ref()
    }

    /// A group after the table was replaced.
    pub(crate) fn group_by_arn(&self, arn: &Arn) -> Option<&Arc<GroupTable>> {
        self.groups.get(arn)
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = &Arc<GroupTable>> {
        self.groups.values()
    }
}

impl Socket {
    fn build(purpose: &SocketPurpose, listeners: &HashMap<Arn, Arc<ListenerTable>>) -> Option<Self> {
        match purpose {
            SocketPurpose::Listener(arn) => listeners.get(arn).cloned().map(Self::Own),
            SocketPurpose::Shared(arns) => {
                let all: Vec<_> = arns.iter().filter_map(|arn| listeners.get(arn)).collect();
                let by_host = all.iter().map(|listener| {
                    (listener.balancer.dns_name.to_ascii_lowercase().into_bytes(), Arc::clone(listener))
                });
                let only = if let [only] = all.as_slice() { Some(Arc::clone(only)) } else { None };
                Some(Self::Shared { by_host: by_host.collect(), only })
            }
        }
    }
}

fn listener_tables(
    state: &State,
    routes: &RouteTable,
    registry: &mut Registry,
) -> HashMap<Arn, Arc<ListenerTable>> {
    let mut listeners = HashMap::new();
    for config in state.load_balancers() {
        let balancer = Arc::new(LoadBalancerTable {
            dns_name: config.load_balancer.dns_name.clone(),
            attributes: LoadBalancerAttributes::of(&config.load_balancer),
            counters: registry.load_balancer(&config.load_balancer.arn),
            ingress: config.ingress.clone(),
        });
        for listener in &config.listeners {
            let arn = &listener.listener.arn;
            let Some(rules) = routes.listener(arn) else { continue };
            let table = ListenerTable {
                arn: arn.clone(),
                port: listener.listener.port,
                rules: Arc::clone(rules),
                balancer: Arc::clone(&balancer),
            };
            listeners.insert(arn.clone(), Arc::new(table));
        }
    }
    listeners
}

impl LoadBalancerTable {
    /// Whether the load balancer's security groups let a client from outside the VPC in. What is inside was judged by
    /// the VPC itself.
    pub(crate) fn lets_in(&self, client: Ipv4Addr, port: u16) -> bool {
        self.ingress.iter().any(|rule| {
            let protocol = match rule.protocol {
                IpProtocol::All => true,
                IpProtocol::Tcp => (rule.from_port..=rule.to_port).contains(&i32::from(port)),
                IpProtocol::Udp | IpProtocol::Icmp => false,
                IpProtocol::Other(number) => number == 6,
            };
            protocol && matches!(&rule.peer, Peer::Cidr(range) if range.contains(client))
        })
    }
}

impl GroupTable {
    fn build(state: &State, group: &crate::core::Group, registry: &mut Registry) -> Self {
        let config = group.config();
        let mut targets = Vec::new();
        let mut standings = Vec::new();
        for target in group.targets() {
            let record = target.record();
            let key = TargetKey {
                target_group: config.group.arn.clone(),
                registration: record.registration.clone(),
            };
            // A group that no load balancer uses gets no requests.
            let Some(outbound) = state.outbound(&key) else { continue };
            let runtime = registry.target(&key, std::net::SocketAddrV4::new(record.address, record.port));
            targets.push(TargetEntry { runtime, outbound, slow_start_from: target.slow_start_from() });
            standings.push(target.standing());
        }
        let starting = |standing: &Standing| {
            matches!(standing.state, TargetHealthState::Initial | TargetHealthState::Unused)
        };
        Self {
            runtime: registry.group(&config.group.arn),
            algorithm: Algorithm::of(&config.group),
            availability: availability(&standings, config.promised),
            hopeful: config.promised || standings.iter().any(starting),
            slow_start: config.group.slow_start(),
            targets,
        }
    }

    /// A group that a rule names and `control` has not sent yet.
    fn expected(runtime: Arc<GroupRuntime>) -> Self {
        Self {
            runtime,
            algorithm: Algorithm::default(),
            availability: Availability::Hold,
            hopeful: true,
            slow_start: Duration::ZERO,
            targets: Vec::new(),
        }
    }

    /// Picks a target that the request has not tried yet.
    pub(crate) fn pick(&self, tried: &[Arc<TargetRuntime>], random: u64, now: Timestamp) -> Pick<'_> {
        let choice = match &self.availability {
            Availability::Serve(choice) | Availability::FailOpen(choice) => choice,
            Availability::Hold => return Pick::Hold,
            Availability::NoTargets => return Pick::NoTargets,
        };
        let failing_open = matches!(self.availability, Availability::FailOpen(_));
        let turn = self.runtime.next_turn();
        let select = |skips: &dyn Fn(&TargetRuntime) -> bool| {
            let chosen = select_target(self.algorithm, choice.len(), turn, random, |index| {
                let entry = &self.targets[choice[index]];
                Candidate {
                    outstanding: entry.runtime.outstanding(),
                    share: self.share(entry, now),
                    excluded: skips(&entry.runtime) || was_tried(tried, &entry.runtime),
                }
            });
            chosen.map(|index| &self.targets[choice[index]])
        };
        if let Some(entry) = select(&|runtime| runtime.is_closed() || (runtime.is_refused() && !failing_open))
        {
            return Pick::Target(entry);
        }
        if self.hopeful {
            return Pick::Hold;
        }
        // All are refused or closing and none is to come: the others deserve a try, as when all are unhealthy.
        match select(&|runtime| runtime.is_closed()) {
            Some(entry) => Pick::Target(entry),
            None if tried.is_empty() => Pick::NoTargets,
            None => Pick::AllTried,
        }
    }

    fn share(&self, entry: &TargetEntry, now: Timestamp) -> u32 {
        entry.slow_start_from.map_or(SHARE_FULL, |from| slow_start_share(from, self.slow_start, now))
    }

    /// How many targets could be picked besides those that were tried.
    pub(crate) fn others(&self, tried: &[Arc<TargetRuntime>], current: &Arc<TargetRuntime>) -> usize {
        let (Availability::Serve(choice) | Availability::FailOpen(choice)) = &self.availability else {
            return 0;
        };
        let fit = |runtime: &Arc<TargetRuntime>| {
            !runtime.is_closed()
                && !runtime.is_refused()
                && !Arc::ptr_eq(runtime, current)
                && !was_tried(tried, runtime)
        };
        choice.iter().filter(|index| fit(&self.targets[**index].runtime)).count()
    }

    pub(crate) fn fails_open(&self) -> bool {
        matches!(self.availability, Availability::FailOpen(_))
    }

    pub(crate) fn targets(&self) -> impl Iterator<Item = &TargetEntry> {
        self.targets.iter()
    }
}

fn was_tried(tried: &[Arc<TargetRuntime>], runtime: &Arc<TargetRuntime>) -> bool {
    tried.iter().any(|other| Arc::ptr_eq(other, runtime))
}
