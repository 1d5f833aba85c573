//! No task runs twice, and none runs that nobody wants.

use gantry_domain::Stored;
use gantry_domain::assignment::InterfaceSpec;
use gantry_domain::task::Task;
use gantry_node::core::TaskState;
use gantry_types::{TaskId, VpcId};

use crate::happening::ContainerRef;
use crate::links::node_id;
use crate::machine::{Address, Container};
use crate::records::task_name;
use crate::words::short;
use crate::world::World;

impl World {
    /// A node is about to start a container.
    pub(crate) fn check_start(&mut self, index: usize, of: &ContainerRef) {
        const RULE: &str = "a container is started at most once";
        if self.watched.runs.contains_key(of) {
            return self.violate(RULE, format!("{} of task {}", of.name, short(of.task.as_str())));
        }
        if self.machines[index].containers.contains_key(of) {
            let what = format!("{} of task {} is being started already", of.name, short(of.task.as_str()));
            return self.violate(RULE, what);
        }
        let task = self.record_of(&of.task);
        if task.is_none_or(|task| task.node != Some(node_id(index))) {
            let what = format!("task {} on node {index}", short(of.task.as_str()));
            self.violate("a task runs only where its record says", what);
        }
    }

    /// A container's program has begun.
    pub(crate) fn count_run(&mut self, of: &ContainerRef) {
        let runs = self.watched.runs.entry(of.clone()).or_default();
        *runs += 1;
        if *runs > 1 {
            let what = format!("{} of task {} runs for the {runs}. time", of.name, short(of.task.as_str()));
            self.violate("a container is started at most once", what);
        }
    }

    /// A node removes what is left of a task.
    pub(crate) fn check_clean(&mut self, index: usize, task: &TaskId) {
        let containers = &self.machines[index].containers;
        let alive = containers.iter().find(|(of, each)| of.task == *task && each.is_alive());
        if let Some((of, _)) = alive {
            let what = format!("{} of task {}", of.name, short(task.as_str()));
            self.violate("only what has ended is removed", what);
        }
    }

    /// A node takes a VPC away.
    pub(crate) fn check_remove_vpc(&mut self, index: usize, id: &VpcId) {
        let is_in = |interface: &InterfaceSpec| interface.vpc == *id;
        let has = |task: &&TaskState| task.spec.interface.as_ref().is_some_and(is_in);
        let of_node = self.nodes[index].state.as_ref().and_then(|state| state.tasks().find(has));
        let lives = |each: &Container| each.is_alive() && each.address.is_some_and(|it| it.is_in(id));
        let alive = self.machines[index].containers.iter().find(|(_, each)| lives(each));
        let left = of_node.map(|task| &task.spec.task).or_else(|| alive.map(|(of, _)| &of.task));
        if let Some(task) = left {
            let what = format!("{id} on node {index} has task {}", short(task.as_str()));
            self.violate("a VPC is removed when nothing lives in it", what);
        }
    }

    /// A node found an address in use that a task was given.
    pub(crate) fn check_address_taken(&mut self, address: Address, other: &TaskId, task: &TaskId) {
        let Some((machine, _)) = self.addresses.get(&address) else { return };
        let is_alive =
            self.machines[*machine].containers.iter().any(|(of, it)| of.task == *other && it.is_alive());
        // A node that was lost came back with what was taken from it.
        let was_lost = self.record_of(other).is_none() || self.is_given_up(other);
        if is_alive && !was_lost {
            let what =
                format!("{address} of task {} is given to {}", short(other.as_str()), short(task.as_str()));
            self.violate("an address has one owner in its VPC", what);
        }
    }

    pub(crate) fn record_of(&self, task: &TaskId) -> Option<&Task> {
        let name = task_name(task);
        let key = gantry_domain::Key::task(&name.region, &name.cluster, task);
        debug_assert_eq!(key.kind, <Task as Stored>::KIND);
        self.ledger.view.get::<Task>(&key).map(|task| task.value())
    }
}
