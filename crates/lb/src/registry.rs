//! What outlives a table: counters, requests in flight, idle connections. One of each for as long as its resource exists.

use std::collections::HashMap;
use std::net::SocketAddrV4;
use std::sync::Arc;

use gantry_types::Arn;
use tokio::sync::mpsc;

use crate::core::{Event, State, TargetKey};
use crate::counters::{GroupSums, LoadBalancerCounters, LoadBalancerSums, Sharded, TargetSums};
use crate::group::GroupRuntime;
use crate::target::TargetRuntime;

#[derive(Debug)]
pub(crate) struct Registry {
    shards: usize,
    core: mpsc::Sender<Event>,
    load_balancers: HashMap<Arn, Arc<Sharded<LoadBalancerCounters>>>,
    groups: HashMap<Arn, Arc<GroupRuntime>>,
    targets: HashMap<TargetKey, Arc<TargetRuntime>>,
    sockets: HashMap<String, SocketId>,
}

/// A listening socket by its name, short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SocketId(u64);

/// What was counted since the process began.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    pub load_balancers: Vec<(Arn, LoadBalancerSums)>,
    pub groups: Vec<GroupSnapshot>,
    pub targets: Vec<TargetSnapshot>,
}

#[derive(Debug, Clone)]
pub struct GroupSnapshot {
    pub target_group: Arn,
    /// Requests that wait for a target now.
    pub held_now: usize,
    pub sums: GroupSums,
}

#[derive(Debug, Clone)]
pub struct TargetSnapshot {
    pub target: TargetKey,
    pub address: SocketAddrV4,
    /// Requests in flight now.
    pub in_flight: usize,
    pub sums: TargetSums,
}

impl Registry {
    pub(crate) fn new(shards: usize, core: mpsc::Sender<Event>) -> Self {
        Self {
            shards,
            core,
            load_balancers: HashMap::new(),
            groups: HashMap::new(),
            targets: HashMap::new(),
            sockets: HashMap::new(),
        }
    }

    /// The same name always has the same id, and no other name ever has it.
    pub(crate) fn socket(&mut self, name: &str) -> SocketId {
        let next = SocketId(self.sockets.len() as u64);
        *self.sockets.entry(name.to_owned()).or_insert(next)
    }

    pub(crate) fn load_balancer(&mut self, arn: &Arn) -> Arc<Sharded<LoadBalancerCounters>> {
        let shards = self.shards;
        let counters =
            self.load_balancers.entry(arn.clone()).or_insert_with(|| Arc::new(Sharded::new(shards)));
        Arc::clone(counters)
    }

    pub(crate) fn group(&mut self, arn: &Arn) -> Arc<GroupRuntime> {
        let shards = self.shards;
        let group = self
            .groups
            .entry(arn.clone())
            .or_insert_with(|| Arc::new(GroupRuntime::new(arn.clone(), shards)));
        Arc::clone(group)
    }

    pub(crate) fn target(&mut self, key: &TargetKey, address: SocketAddrV4) -> Arc<TargetRuntime> {
        let (shards, core) = (self.shards, &self.core);
        let target = self.targets.entry(key.clone()).or_insert_with(|| {
            let (group, registration) = (key.target_group.clone(), key.registration.clone());
            Arc::new(TargetRuntime::new(group, registration, address, shards, core.clone()))
        });
        Arc::clone(target)
    }

    pub(crate) fn known_target(&self, key: &TargetKey) -> Option<&Arc<TargetRuntime>> {
        self.targets.get(key)
    }

    pub(crate) fn targets(&self) -> impl Iterator<Item = (&TargetKey, &Arc<TargetRuntime>)> {
        self.targets.iter()
    }

    /// Forgets what the state has no more. Requests in flight hold on to what they need.
    pub(crate) fn retain(&mut self, state: &State) {
        let load_balancers: std::collections::HashSet<&Arn> =
            state.load_balancers().map(|config| &config.load_balancer.arn).collect();
        self.load_balancers.retain(|arn, _| load_balancers.contains(arn));
        let groups: HashMap<&Arn, &crate::core::Group> =
            state.groups().map(|group| (&group.config().group.arn, group)).collect();
        // A table may expect a group that the state does not have yet.
        self.groups.retain(|arn, group| groups.contains_key(arn) || Arc::strong_count(group) > 1);
        self.targets
            .retain(|key, _| groups.get(&key.target_group).is_some_and(|group| group.has(&key.registration)));
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            load_balancers: self
                .load_balancers
                .iter()
                .map(|(arn, sums)| (arn.clone(), sums.sums()))
                .collect(),
            groups: self
                .groups
                .values()
                .map(|group| GroupSnapshot {
                    target_group: group.arn.clone(),
                    held_now: group.held_now(),
                    sums: group.counters.sums(),
                })
                .collect(),
            targets: self
                .targets
                .iter()
                .map(|(key, target)| TargetSnapshot {
                    target: key.clone(),
                    address: target.address,
                    in_flight: target.outstanding(),
                    sums: target.counters.sums(),
                })
                .collect(),
        }
    }
}
