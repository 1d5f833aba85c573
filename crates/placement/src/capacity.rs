//! What the nodes give already, and how groups of tasks are spread.

use std::collections::BTreeMap;

use gantry_domain::task::Task;
use gantry_domain::{Key, Stored, View};
use gantry_types::{AvailabilityZone, ClusterName, ContainerInstanceId, CpuUnits, MemoryMib, NodeId, Region};

use crate::ports::{Port, UsedPorts, held};

/// What the tasks of a node or container instance take together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    pub cpu: CpuUnits,
    pub memory: MemoryMib,
    pub tasks: u32,
}

/// What a task is placed on: a container instance, or for FARGATE the machine itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Host {
    Machine(NodeId),
    Instance(ContainerInstanceId),
}

/// Tasks are spread by service, and standalone tasks by the group that they were given.
pub(crate) type Group = (Region, ClusterName, String);

/// What one task takes, kept so that it can be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Taken {
    node: NodeId,
    host: Host,
    ports: Vec<Port>,
    zone: AvailabilityZone,
    cpu: CpuUnits,
    memory: MemoryMib,
    group: Group,
    /// A task on its way out holds its node's resources, but the next one is not kept away by it.
    spreads: bool,
}

/// The index. Telling it the same of a task twice changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capacity {
    tasks: BTreeMap<Key, Taken>,
    nodes: BTreeMap<NodeId, Load>,
    hosts: BTreeMap<Host, Load>,
    ports: BTreeMap<ContainerInstanceId, UsedPorts>,
    groups: BTreeMap<Group, BTreeMap<(AvailabilityZone, Host), u32>>,
}

impl Capacity {
    /// Counts everything anew.
    pub fn scan(view: &View) -> Self {
        let mut capacity = Self::default();
        for task in view.scan::<Task>("") {
            capacity.apply(&task.key(), Some(&task));
        }
        capacity
    }

    /// Says how a task is now; `None` if it does not exist any more.
    pub fn apply(&mut self, key: &Key, task: Option<&Task>) {
        let now = task.and_then(taken);
        if self.tasks.get(key) == now.as_ref() {
            return;
        }
        if let Some(before) = self.tasks.remove(key) {
            self.give_back(&before);
        }
        if let Some(taken) = now {
            self.take(&taken);
            self.tasks.insert(key.clone(), taken);
        }
    }

    /// What the node gives already.
    pub fn load(&self, node: &NodeId) -> Load {
        self.nodes.get(node).copied().unwrap_or_default()
    }

    /// What the container instance gives already.
    pub fn instance_load(&self, instance: &ContainerInstanceId) -> Load {
        self.hosts.get(&Host::Instance(instance.clone())).copied().unwrap_or_default()
    }

    /// The ports of the container instance that tasks hold.
    pub fn ports(&self, instance: &ContainerInstanceId) -> &UsedPorts {
        const NONE: &UsedPorts = &UsedPorts::new();
        self.ports.get(instance).unwrap_or(NONE)
    }

    pub(crate) fn host_load(&self, host: &Host) -> Load {
        self.hosts.get(host).copied().unwrap_or_default()
    }

    /// How many wanted tasks of the task's group are in a zone.
    pub(crate) fn in_zone(&self, group: &Group, zone: &AvailabilityZone) -> u32 {
        let places = self.groups.get(group).into_iter().flatten();
        places.filter(|((each, _), _)| each == zone).map(|(_, tasks)| tasks).sum()
    }

    /// How many wanted tasks of the task's group are on a host.
    pub(crate) fn on_host(&self, group: &Group, host: &Host) -> u32 {
        let places = self.groups.get(group).into_iter().flatten();
        places.filter(|((_, each), _)| each == host).map(|(_, tasks)| tasks).sum()
    }

    /// The groups that have a wanted task on a host.
    pub(crate) fn groups_on<'c>(&'c self, host: &'c Host) -> impl Iterator<Item = &'c str> {
        let here = move |places: &BTreeMap<(AvailabilityZone, Host), u32>| {
            places.keys().any(|(_, each)| each == host)
        };
        self.groups.iter().filter(move |(_, places)| here(places)).map(|((_, _, group), _)| group.as_str())
    }

    fn take(&mut self, taken: &Taken) {
        self.nodes.entry(taken.node.clone()).or_default().take(taken);
        self.hosts.entry(taken.host.clone()).or_default().take(taken);
        if let Host::Instance(instance) = &taken.host {
            for port in &taken.ports {
                *self.ports.entry(instance.clone()).or_default().entry(*port).or_default() += 1;
            }
        }
        if taken.spreads {
            let places = self.groups.entry(taken.group.clone()).or_default();
            *places.entry((taken.zone.clone(), taken.host.clone())).or_default() += 1;
        }
    }

    fn give_back(&mut self, taken: &Taken) {
        give_back_load(&mut self.nodes, &taken.node, taken);
        give_back_load(&mut self.hosts, &taken.host, taken);
        if let Host::Instance(instance) = &taken.host {
            self.give_back_ports(instance, &taken.ports);
        }
        if !taken.spreads {
            return;
        }
        let place = (taken.zone.clone(), taken.host.clone());
        let Some(places) = self.groups.get_mut(&taken.group) else { return };
        if let Some(tasks) = places.get_mut(&place) {
            *tasks -= 1;
            if *tasks == 0 {
                places.remove(&place);
            }
        }
        if places.is_empty() {
            self.groups.remove(&taken.group);
        }
    }
}

impl Capacity {
    fn give_back_ports(&mut self, instance: &ContainerInstanceId, ports: &[Port]) {
        let Some(used) = self.ports.get_mut(instance) else { return };
        for port in ports {
            if let Some(count) = used.get_mut(port) {
                *count -= 1;
                if *count == 0 {
                    used.remove(port);
                }
            }
        }
        if used.is_empty() {
            self.ports.remove(instance);
        }
    }
}

impl Load {
    fn take(&mut self, taken: &Taken) {
        self.cpu += taken.cpu;
        self.memory += taken.memory;
        self.tasks += 1;
    }
}

fn give_back_load<K: Ord>(loads: &mut BTreeMap<K, Load>, of: &K, taken: &Taken) {
    if let Some(load) = loads.get_mut(of) {
        load.cpu = load.cpu - taken.cpu;
        load.memory = load.memory - taken.memory;
        load.tasks -= 1;
        if load.tasks == 0 {
            loads.remove(of);
        }
    }
}

pub(crate) fn group(task: &Task) -> Group {
    (task.region.clone(), task.cluster.clone(), task.group.clone())
}

fn taken(task: &Task) -> Option<Taken> {
    let node = task.node.clone().filter(|_| !task.is_stopped())?;
    let host = match &task.container_instance {
        Some(instance) => Host::Instance(instance.clone()),
        None => Host::Machine(node.clone()),
    };
    Some(Taken {
        node,
        host,
        ports: held(task).collect(),
        zone: task.availability_zone.clone(),
        cpu: task.cpu,
        memory: task.memory,
        group: group(task),
        spreads: task.is_wanted(),
    })
}
