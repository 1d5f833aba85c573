//! What the nodes give already, and how groups of tasks are spread.

use std::collections::BTreeMap;

use gantry_domain::task::Task;
use gantry_domain::{Key, Stored, View};
use gantry_types::{AvailabilityZone, ClusterName, CpuUnits, MemoryMib, NodeId, Region};

/// What the tasks of a node take together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    pub cpu: CpuUnits,
    pub memory: MemoryMib,
    pub tasks: u32,
}

/// Tasks are spread by service, and standalone tasks by the group that they were given.
pub(crate) type Group = (Region, ClusterName, String);

/// What one task takes, kept so that it can be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Taken {
    node: NodeId,
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
    groups: BTreeMap<Group, BTreeMap<(AvailabilityZone, NodeId), u32>>,
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

    /// How many wanted tasks of the task's group are in a zone.
    pub(crate) fn in_zone(&self, group: &Group, zone: &AvailabilityZone) -> u32 {
        let places = self.groups.get(group).into_iter().flatten();
        places.filter(|((each, _), _)| each == zone).map(|(_, tasks)| tasks).sum()
    }

    /// How many wanted tasks of the task's group are on a node.
    pub(crate) fn on_node(&self, group: &Group, node: &NodeId) -> u32 {
        let places = self.groups.get(group).into_iter().flatten();
        places.filter(|((_, each), _)| each == node).map(|(_, tasks)| tasks).sum()
    }

    /// The groups that have a wanted task on a node.
    pub(crate) fn groups_on<'c>(&'c self, node: &'c NodeId) -> impl Iterator<Item = &'c str> {
        let here = move |places: &BTreeMap<(AvailabilityZone, NodeId), u32>| {
            places.keys().any(|(_, each)| each == node)
        };
        self.groups.iter().filter(move |(_, places)| here(places)).map(|((_, _, group), _)| group.as_str())
    }

    fn take(&mut self, taken: &Taken) {
        let load = self.nodes.entry(taken.node.clone()).or_default();
        load.cpu += taken.cpu;
        load.memory += taken.memory;
        load.tasks += 1;
        if taken.spreads {
            let places = self.groups.entry(taken.group.clone()).or_default();
            *places.entry((taken.zone.clone(), taken.node.clone())).or_default() += 1;
        }
    }

    fn give_back(&mut self, taken: &Taken) {
        if let Some(load) = self.nodes.get_mut(&taken.node) {
            load.cpu = load.cpu - taken.cpu;
            load.memory = load.memory - taken.memory;
            load.tasks -= 1;
            if load.tasks == 0 {
                self.nodes.remove(&taken.node);
            }
        }
        if !taken.spreads {
            return;
        }
        let place = (taken.zone.clone(), taken.node.clone());
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

pub(crate) fn group(task: &Task) -> Group {
    (task.region.clone(), task.cluster.clone(), task.group.clone())
}

fn taken(task: &Task) -> Option<Taken> {
    let node = task.node.clone().filter(|_| !task.is_stopped())?;
    Some(Taken {
        node,
        zone: task.availability_zone.clone(),
        cpu: task.cpu,
        memory: task.memory,
        group: group(task),
        spreads: task.is_wanted(),
    })
}
