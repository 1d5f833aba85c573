//! What a node's effects do to its machine: each takes its time and may fail.

use gantry_link::TaskName;
use gantry_node::core::{Event, HealthOutcome, StartedContainer};
use gantry_types::{ContainerName, TaskId, VpcId};

use crate::gate::Gate;
use crate::happening::{ContainerRef, Happening};
use crate::machine::{Address, Container, Process, runtime_id};
use crate::program::{Answers, Image, Program, program};
use crate::records::task_name;
use crate::trace::trace;
use crate::words::short;
use crate::world::World;

const NETWORK_MAX: u64 = 30;
const PULL_MAX: u64 = 2_000;
const START_MAX: u64 = 40;
const CHECK_MAX: u64 = 200;
const CLEAN_MAX: u64 = 50;

impl World {
    pub(crate) fn set_up_network(&mut self, index: usize, task: TaskName) {
        let delay = self.chance.below(NETWORK_MAX + 1);
        let start = self.nodes[index].starts;
        self.agenda.after(delay, Happening::NetworkIsUp(index, start, task.task));
    }

    pub(crate) fn network_is_up(&mut self, index: usize, start: u32, task: &TaskId) {
        if self.nodes[index].starts != start {
            return;
        }
        let name = task_name(task);
        let state = self.nodes[index].state.as_ref().and_then(|state| state.task(&name));
        let interface = state.and_then(|task| task.spec.interface.as_ref());
        let Some(address) = interface.map(|interface| Address::new(&interface.vpc, interface.address)) else {
            return self.gate_opens(index, task, Gate::finished);
        };
        let result = match self.addresses.get(&address) {
            Some((_, other)) if other != task => {
                self.check_address_taken(address, &other.clone(), task);
                Err(format!("the address {address} is in use"))
            }
            _ if self.chance.per_mille(self.swarm.networks_fail)
                && !self.machines[index].interfaces.contains_key(task) =>
            {
                Err("no memory for the link".to_owned())
            }
            _ => {
                self.addresses.insert(address, (index, task.clone()));
                self.machines[index].interfaces.insert(task.clone(), address);
                Ok(())
            }
        };
        self.node_of(index, start, Event::NetworkReady { task: name, result });
    }

    pub(crate) fn prepare_image(&mut self, index: usize, task: TaskName, container: ContainerName) {
        let Some(program) = self.program_of(index, &task.task, &container) else { return };
        let is_missing = program.image == Image::Missing
            || self
                .revision_of_task(index, &task.task)
                .is_some_and(|it| self.weather.images_missing.contains(&it));
        let result = if is_missing { Err("no such image".to_owned()) } else { Ok("sha256:0".to_owned()) };
        let delay = self.chance.log_between(1, PULL_MAX);
        let start = self.nodes[index].starts;
        let event = Event::ImageReady { task, container, result };
        self.agenda.after(delay, Happening::ToNode(index, start, Box::new(event)));
    }

    pub(crate) fn start_container(&mut self, index: usize, task: TaskName, container: ContainerName) {
        let of = ContainerRef { task: task.task.clone(), name: container.clone() };
        self.check_start(index, &of);
        let start = self.nodes[index].starts;
        let delay = self.chance.between(1, START_MAX);
        if self.chance.per_mille(self.swarm.starts_fail) {
            let event = Event::Started { task, container, result: Err("no room for the layer".to_owned()) };
            self.agenda.after(delay, Happening::ToNode(index, start, Box::new(event)));
            return;
        }
        let Some(program) = self.program_of(index, &task.task, &container) else { return };
        let address = self.machines[index].interfaces.get(&task.task).copied();
        let boot = self.machines[index].boots;
        let made = Container { program, address, process: Process::Starting, is_signalled: false };
        self.machines[index].containers.insert(of.clone(), made);
        self.agenda.after(delay, Happening::ContainerBegins(index, boot, of.clone()));
        let at = self.wall(index) + std::time::Duration::from_millis(delay);
        let result = Ok(StartedContainer { runtime_id: runtime_id(&of), at });
        let event = Event::Started { task, container, result };
        let answer = delay + self.chance.below(4);
        self.agenda.after(answer, Happening::ToNode(index, start, Box::new(event)));
    }

    pub(crate) fn check_container(&mut self, index: usize, task: TaskName, container: ContainerName) {
        let of = ContainerRef { task: task.task.clone(), name: container.clone() };
        let now = self.agenda.now();
        let passes = self.machines[index]
            .containers
            .get(&of)
            .is_some_and(|each| each.listens(now) && each.program.answers != Answers::WithErrors);
        let fails = self.weather.apps_fail(self.machines[index].interfaces.get(&task.task).copied())
            || self.chance.per_mille(self.swarm.probes_fail);
        let outcome = if passes && !fails { HealthOutcome::Passed } else { HealthOutcome::Failed };
        let delay = self.chance.between(1, CHECK_MAX);
        let start = self.nodes[index].starts;
        let event = Event::HealthChecked { task, container, outcome };
        self.agenda.after(delay, Happening::ToNode(index, start, Box::new(event)));
    }

    /// From here on the task is being removed, also by a node that starts in the middle of it.
    pub(crate) fn clean(&mut self, index: usize, task: TaskId) {
        self.check_clean(index, &task);
        trace!(self, "node {index} removes task {}", short(task.as_str()));
        self.nodes[index].tasks.remove(&task);
        let delay = self.chance.below(CLEAN_MAX + 1);
        let start = self.nodes[index].starts;
        self.agenda.after(delay, Happening::TaskCleaned(index, start, task));
    }

    pub(crate) fn task_cleaned(&mut self, index: usize, start: u32, task: &TaskId) {
        if self.nodes[index].starts != start || self.nodes[index].state.is_none() {
            return;
        }
        let machine = &mut self.machines[index];
        machine.containers.retain(|of, _| of.task != *task);
        if let Some(address) = machine.interfaces.remove(task) {
            self.addresses.remove(&address);
        }
        self.gate_opens(index, task, Gate::finished);
    }

    /// A VPC goes, with the interfaces of tasks that are being removed.
    pub(crate) fn remove_vpc(&mut self, index: usize, id: &VpcId) {
        self.check_remove_vpc(index, id);
        self.nodes[index].vpcs.remove(id);
        self.machines[index].interfaces.retain(|_, address| !address.is_in(id));
        self.addresses.retain(|address, (on, _)| *on != index || !address.is_in(id));
    }

    fn revision_of_task(&self, index: usize, task: &TaskId) -> Option<u32> {
        let state = self.nodes[index].state.as_ref()?;
        state.task(&task_name(task)).map(|task| task.spec.revision)
    }

    fn program_of(&self, index: usize, task: &TaskId, container: &ContainerName) -> Option<Program> {
        Some(program(self.revision_of_task(index, task)?, container.as_str()))
    }
}
