//! A machine: its containers and interfaces live on when the processes of Gantry die, and end when the machine restarts.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

use gantry_node::core::{Exit, Found, StartedContainer};
use gantry_types::{TaskId, Timestamp, VpcId};

use crate::agenda::At;
use crate::happening::{ContainerRef, Happening, How};
use crate::program::{Answers, Ending, OnStopSignal, Program};
use crate::trace::trace;
use crate::words::short;
use crate::world::World;

/// An address inside a VPC. Two VPCs may have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Address {
    vpc: u8,
    address: Ipv4Addr,
}

impl Address {
    pub(crate) fn new(vpc: &VpcId, address: Ipv4Addr) -> Self {
        // The ids of the world's VPCs differ by their last byte.
        let vpc = vpc.as_str().bytes().next_back().unwrap_or_default();
        Self { vpc, address }
    }
    pub(crate) fn is_in(self, vpc: &VpcId) -> bool {
        self == Self::new(vpc, self.address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of vpc-{}", self.address, char::from(self.vpc))
    }
}

#[derive(Debug, Default)]
pub(crate) struct Machine {
    /// How often it was started.
    pub(crate) boots: u32,
    pub(crate) containers: BTreeMap<ContainerRef, Container>,
    /// The interfaces that exist, by their tasks.
    pub(crate) interfaces: BTreeMap<TaskId, Address>,
}

/// A container for which something was begun.
#[derive(Debug, Clone)]
pub(crate) struct Container {
    pub(crate) program: Program,
    pub(crate) address: Option<Address>,
    pub(crate) process: Process,
    /// Gantry has sent the stop signal.
    pub(crate) is_signalled: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Process {
    /// The shim prepares it.
    Starting,
    Runs {
        since: Timestamp,
        answers_from: At,
    },
    Ended(Exit),
}

impl Container {
    pub(crate) fn is_alive(&self) -> bool {
        matches!(self.process, Process::Runs { .. })
    }
    /// Whether somebody listens on its port.
    pub(crate) fn listens(&self, now: At) -> bool {
        matches!(self.process, Process::Runs { answers_from, .. } if answers_from <= now)
    }
}

impl World {
    /// A shim runs the program.
    pub(crate) fn container_begins(&mut self, machine: usize, boot: u32, of: &ContainerRef) {
        if self.machines[machine].boots != boot {
            return;
        }
        let now = self.agenda.now();
        let since = self.wall(machine);
        let boots_in = self.chance.below(self.swarm.boot_max + 1);
        let Some(container) = self.machines[machine].containers.get_mut(of) else { return };
        if !matches!(container.process, Process::Starting) {
            return;
        }
        let program = container.program;
        let answers_from = match program.answers {
            Answers::AfterBoots(times) => now + boots_in * times,
            Answers::WithErrors => now + 1,
            Answers::Never => At::MAX,
        };
        container.process = Process::Runs { since, answers_from };
        trace!(self, "machine {machine}: {} of task {} runs", of.name, short(of.task.as_str()));
        self.count_run(of);
        if let Some((low, high, ending)) = program.ends {
            let delay = self.chance.between(low, high);
            let how = match ending {
                Ending::Code(code) => How::Code(code),
                Ending::OutOfMemory => How::OutOfMemory,
            };
            self.agenda.after(delay, Happening::ContainerEnds(machine, boot, of.clone(), how));
        }
    }

    pub(crate) fn container_ends(&mut self, machine: usize, boot: u32, of: &ContainerRef, how: How) {
        let at = self.wall(machine);
        if self.machines[machine].boots != boot {
            return;
        }
        let Some(container) = self.machines[machine].containers.get_mut(of) else { return };
        if !container.is_alive() {
            return;
        }
        let (code, out_of_memory) = match how {
            How::Code(code) => (code, false),
            How::OutOfMemory => (137, true),
            How::Killed => (137, false),
        };
        let exit = Exit { code: Some(code), out_of_memory, reason: None, at };
        container.process = Process::Ended(exit.clone());
        let address = container.address;
        trace!(self, "machine {machine}: {} of task {} ends, {how:?}", of.name, short(of.task.as_str()));
        if let Some(address) = address.filter(|_| of.name.as_str() == "app") {
            self.connections_end(address);
        }
        self.node_sees_exit(machine, of, exit);
    }

    /// The stop signal reaches a container.
    pub(crate) fn signal_container(&mut self, machine: usize, of: &ContainerRef) {
        let boot = self.machines[machine].boots;
        let Some(container) = self.machines[machine].containers.get_mut(of) else { return };
        if !container.is_alive() {
            return;
        }
        container.is_signalled = true;
        if let OnStopSignal::EndsWithin(limit) = container.program.on_stop_signal {
            let delay = self.chance.below(limit + 1);
            self.agenda.after(delay, Happening::ContainerEnds(machine, boot, of.clone(), How::Code(143)));
        }
    }

    pub(crate) fn kill_container(&mut self, machine: usize, of: &ContainerRef) {
        let boot = self.machines[machine].boots;
        let delay = self.chance.below(5);
        self.agenda.after(delay, Happening::ContainerEnds(machine, boot, of.clone(), How::Killed));
    }

    /// Power fails, or the machine is restarted: nothing runs any more.
    pub(crate) fn machine_stops(&mut self, machine: usize) {
        let at = self.wall(machine);
        let boot_is_whole = self.chance.one_in(2);
        let stopped = &mut self.machines[machine];
        stopped.boots += 1;
        stopped.interfaces.clear();
        let mut ended = Vec::new();
        stopped.containers.retain(|of, container| {
            match container.process {
                // What was being prepared left a directory, or nothing.
                Process::Starting if !boot_is_whole => return false,
                Process::Starting | Process::Runs { .. } => {
                    ended.extend(container.address.filter(|_| of.name.as_str() == "app"));
                    let reason = Some("the machine was restarted".to_owned());
                    container.process = Process::Ended(Exit { code: None, out_of_memory: false, reason, at });
                }
                Process::Ended(_) => {}
            }
            true
        });
        for address in ended {
            self.connections_end(address);
        }
    }

    /// What a node that starts finds of a container.
    pub(crate) fn find_container(&mut self, machine: usize, of: &ContainerRef) -> Found {
        let boot = self.machines[machine].boots;
        // A shim that is at work is waited for.
        if self.machines[machine]
            .containers
            .get(of)
            .is_some_and(|each| matches!(each.process, Process::Starting))
        {
            self.container_begins(machine, boot, of);
        }
        match self.machines[machine].containers.get(of).map(|container| &container.process) {
            Some(Process::Runs { since, .. }) => {
                Found::Running(StartedContainer { runtime_id: runtime_id(of), at: *since })
            }
            Some(Process::Ended(exit)) => Found::Exited(exit.clone()),
            Some(Process::Starting) | None => Found::Nothing,
        }
    }

    /// The container that serves at an address, with its machine.
    pub(crate) fn server_at(&self, address: Address) -> Option<(&TaskId, &Container)> {
        let (machine, task) = self.addresses.get(&address)?;
        let of = ContainerRef { task: task.clone(), name: "app".into() };
        Some((task, self.machines[*machine].containers.get(&of)?))
    }
}

pub(crate) fn runtime_id(of: &ContainerRef) -> String {
    format!("{}-{}", of.task, of.name)
}
