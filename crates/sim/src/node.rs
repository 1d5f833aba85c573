//! The process `node`: the real core, in the place of its shell.

use std::collections::BTreeMap;

use gantry_control::LinkId;
use gantry_domain::assignment::VpcSpec;
use gantry_link::{FromNode, ToNode};
use gantry_node::core::{Effect, Event, Exit, Restored, State, TaskState};
use gantry_types::{TaskId, VpcId};

use crate::agenda::At;
use crate::gate::{Act, Gate};
use crate::happening::{ContainerRef, FromChild, Happening, Peer};
use crate::machine::Process;
use crate::records::task_name;
use crate::trace::trace;
use crate::words::{short, to_node};
use crate::world::World;

/// The shell looks at its clock no later than after this.
const SLEEP_MAX: u64 = 1_000;
/// A write of a task's state takes at most so long.
const WRITE_MAX: u64 = 8;
/// So many steps within one second are a loop that does not end.
const STEPS_PER_SECOND_MAX: u64 = 900;

#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) starts: u32,
    pub(crate) state: Option<State>,
    pub(crate) link: Option<LinkId>,
    /// What is on its disk.
    pub(crate) tasks: BTreeMap<TaskId, TaskState>,
    pub(crate) vpcs: BTreeMap<VpcId, VpcSpec>,
    gates: BTreeMap<TaskId, Gate>,
    /// It dies after so many effects of one step.
    pub(crate) doom: Option<usize>,
    tick_at: Option<At>,
    steps: (At, u64),
}

impl World {
    pub(crate) fn node_starts(&mut self, index: usize) {
        if self.nodes[index].state.is_some() {
            return;
        }
        self.nodes[index].starts += 1;
        let kept: Vec<TaskState> = self.nodes[index].tasks.values().cloned().collect();
        self.machine_is_cleared(index);
        let mut restored = Vec::with_capacity(kept.len());
        for task in kept {
            let mut containers = Vec::new();
            for container in &task.spec.containers {
                let of = ContainerRef { task: task.spec.task.clone(), name: container.name.clone() };
                let found = self.find_container(index, &of);
                containers.push(self.planted_found(found));
            }
            restored.push(Restored { task, containers });
        }
        trace!(self, "node {index} starts with {} tasks", restored.len());
        let vpcs = self.nodes[index].vpcs.values().cloned().collect();
        let now = self.wall(index);
        self.nodes[index].state = Some(State::restore(restored, vpcs, now));
        self.node_hears(index, Event::Tick);
        let delay = self.chance.below(50);
        self.agenda.after(delay, Happening::Connects(Peer::Node(index)));
    }

    /// What belongs to no task that is on disk is removed, and what was cut off is finished.
    fn machine_is_cleared(&mut self, index: usize) {
        let machine = &mut self.machines[index];
        let tasks = &self.nodes[index].tasks;
        machine.containers.retain(|of, _| tasks.contains_key(&of.task));
        machine.interfaces.retain(|task, _| tasks.contains_key(task));
        let interfaces = &machine.interfaces;
        self.addresses.retain(|_, (on, task)| *on != index || interfaces.contains_key(task));
    }

    pub(crate) fn node_is_told(&mut self, index: usize, message: ToNode) {
        if self.planted_drops(&message) {
            return;
        }
        trace!(self, "node {index} is told: {}", to_node(&message));
        self.node_hears(index, Event::Control(message));
    }

    pub(crate) fn node_of(&mut self, index: usize, start: u32, event: Event) {
        if self.nodes[index].starts != start || self.nodes[index].state.is_none() {
            return;
        }
        if let Some(task) = work_of(&event) {
            let task = task.clone();
            self.node_hears(index, event);
            self.gate_opens(index, &task, Gate::finished);
        } else {
            self.node_hears(index, event);
        }
    }

    pub(crate) fn node_hears(&mut self, index: usize, event: Event) {
        let now = self.wall(index);
        let Some(state) = &mut self.nodes[index].state else { return };
        let effects = state.step(event, now);
        self.count_node_step(index);
        let doomed_after = match self.nodes[index].doom {
            Some(count) if effects.len() > 1 => Some(count % effects.len()),
            _ => None,
        };
        for (done, effect) in effects.into_iter().enumerate() {
            if doomed_after == Some(done) {
                self.nodes[index].doom = None;
                return self.node_dies(index, "in the middle of a step");
            }
            self.node_effect(index, effect);
        }
        self.plan_node_tick(index);
    }

    fn count_node_step(&mut self, index: usize) {
        let second = self.agenda.now() / 1_000;
        let steps = &mut self.nodes[index].steps;
        if steps.0 != second {
            *steps = (second, 0);
        }
        steps.1 += 1;
        if steps.1 > STEPS_PER_SECOND_MAX {
            let what = format!("node {index}: more than {STEPS_PER_SECOND_MAX} steps within one second");
            self.violate("a node comes to rest", what);
        }
    }

    fn node_effect(&mut self, index: usize, effect: Effect) {
        let Some(task) = task_of(&effect).cloned() else {
            return self.act(index, effect);
        };
        let acts = self.nodes[index].gates.entry(task.clone()).or_default().push(effect);
        self.do_acts(index, &task, acts);
    }

    pub(crate) fn gate_opens(
        &mut self,
        index: usize,
        task: &TaskId,
        open: impl FnOnce(&mut Gate) -> Vec<Act>,
    ) {
        let Some(gate) = self.nodes[index].gates.get_mut(task) else { return };
        let acts = open(gate);
        self.do_acts(index, task, acts);
        let has_task = self.nodes[index].tasks.contains_key(task);
        if !has_task && self.nodes[index].gates.get(task).is_some_and(Gate::is_idle) {
            self.nodes[index].gates.remove(task);
        }
    }

    fn do_acts(&mut self, index: usize, task: &TaskId, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Write => {
                    let delay = self.chance.below(WRITE_MAX + 1);
                    let start = self.nodes[index].starts;
                    self.agenda.after(delay, Happening::TaskWritten(index, start, task.clone()));
                }
                Act::Do(effect) => self.act(index, effect),
            }
        }
    }

    /// The task's state as it is by now is on disk.
    pub(crate) fn task_written(&mut self, index: usize, start: u32, task: &TaskId) {
        if self.nodes[index].starts != start || self.nodes[index].state.is_none() {
            return;
        }
        self.write_task(index, task);
        self.gate_opens(index, task, Gate::written);
    }

    fn write_task(&mut self, index: usize, task: &TaskId) {
        let node = &mut self.nodes[index];
        let state = node.state.as_ref().and_then(|state| state.task(&task_name(task)));
        if let Some(state) = state.cloned() {
            node.tasks.insert(task.clone(), state);
        }
    }

    fn act(&mut self, index: usize, effect: Effect) {
        match effect {
            Effect::Persist(_) => {}
            Effect::Report(report) => self.tell_control(index, FromNode::Task(report)),
            Effect::Reported { tasks } => self.tell_control(index, FromNode::Reported { tasks }),
            Effect::Vpc(spec) => {
                self.nodes[index].vpcs.insert(spec.vpc.clone(), *spec);
            }
            Effect::RemoveVpc(id) => self.remove_vpc(index, &id),
            Effect::SetUpNetwork(task) => self.set_up_network(index, task),
            Effect::PrepareImage { task, container } => self.prepare_image(index, task, container),
            Effect::Start { task, container } => self.start_container(index, task, container),
            Effect::Signal { task, container } => {
                let of = ContainerRef { task: task.task, name: container };
                self.check_signal(index, &of);
                trace!(self, "node {index} signals {} of task {}", of.name, short(of.task.as_str()));
                self.signal_container(index, &of);
            }
            Effect::Kill { task, container } => {
                let of = ContainerRef { task: task.task, name: container };
                self.check_signal(index, &of);
                self.kill_container(index, &of);
            }
            Effect::CheckHealth { task, container } => self.check_container(index, task, container),
            Effect::Clean(task) => self.clean(index, task.task),
        }
    }

    fn tell_control(&mut self, index: usize, message: FromNode) {
        if let Some(link) = self.nodes[index].link {
            self.send_to_control(link, FromChild::Node(message));
        }
    }

    /// A container's end, if the node is there to see it; else it finds the exit when it starts.
    pub(crate) fn node_sees_exit(&mut self, index: usize, of: &ContainerRef, exit: Exit) {
        let Some(state) = &self.nodes[index].state else { return };
        let task = task_name(&of.task);
        if state.task(&task).is_none() {
            return;
        }
        let event = Event::Exited { task, container: of.name.clone(), exit };
        let start = self.nodes[index].starts;
        // The answer to the start comes first.
        let delay = self.chance.between(4, 8);
        self.agenda.after(delay, Happening::ToNode(index, start, Box::new(event)));
    }

    fn plan_node_tick(&mut self, index: usize) {
        let wake_at = self.nodes[index].state.as_ref().and_then(State::wake_at);
        let Some(at) = wake_at.map(|at| self.at_of(index, at).max(self.agenda.now() + 1)) else { return };
        let node = &mut self.nodes[index];
        if node.tick_at.is_none_or(|planned| planned > at) {
            node.tick_at = Some(at);
            self.agenda.at(at, Happening::NodeTicks(index, node.starts));
        }
    }

    pub(crate) fn node_ticks(&mut self, index: usize, start: u32) {
        let (at, now) = (self.agenda.now(), self.wall(index));
        let node = &mut self.nodes[index];
        if node.starts != start || node.tick_at != Some(at) {
            return;
        }
        node.tick_at = None;
        if node.state.as_ref().and_then(State::wake_at).is_some_and(|wake_at| wake_at <= now) {
            self.node_hears(index, Event::Tick);
        } else {
            self.plan_node_tick(index);
        }
    }

    pub(crate) fn node_clock_jumped(&mut self, index: usize) {
        let at = self.agenda.now() + self.chance.between(1, SLEEP_MAX);
        let node = &mut self.nodes[index];
        if node.state.is_some() {
            node.tick_at = Some(at);
            self.agenda.at(at, Happening::NodeTicks(index, node.starts));
        }
    }

    pub(crate) fn node_is_alone(&mut self, index: usize) {
        self.planted_stops(index);
    }

    /// `kill -9`: writes under way were made or not, shims that were not begun never will be.
    pub(crate) fn node_dies(&mut self, index: usize, how: &str) {
        if self.nodes[index].state.is_none() {
            return;
        }
        trace!(self, "node {index} is killed {how}");
        self.drop_node(index);
        let unbegun = self.chance.one_in(2);
        if unbegun {
            self.machines[index].containers.retain(|_, each| !matches!(each.process, Process::Starting));
        }
        let delay = self.chance.log_between(10, 3_000);
        self.agenda.after(delay, Happening::NodeStarts(index));
    }

    pub(crate) fn drop_node(&mut self, index: usize) {
        let gates = std::mem::take(&mut self.nodes[index].gates);
        for (task, _) in gates.iter().filter(|(_, gate)| gate.is_writing) {
            if self.chance.one_in(2) {
                self.write_task(index, task);
            }
        }
        let node = &mut self.nodes[index];
        node.state = None;
        node.tick_at = None;
        self.child_is_gone(Peer::Node(index));
    }

    pub(crate) fn node_is_idle(&self, index: usize) -> bool {
        let node = &self.nodes[index];
        node.state.is_some() && node.link.is_some() && node.gates.values().all(Gate::is_idle)
    }
}

/// The task whose work an event ends.
fn work_of(event: &Event) -> Option<&TaskId> {
    match event {
        Event::NetworkReady { task, .. }
        | Event::ImageReady { task, .. }
        | Event::Started { task, .. }
        | Event::HealthChecked { task, .. } => Some(&task.task),
        Event::Linked | Event::Control(_) | Event::Exited { .. } | Event::Tick => None,
    }
}

fn task_of(effect: &Effect) -> Option<&TaskId> {
    match effect {
        Effect::Persist(task) | Effect::SetUpNetwork(task) | Effect::Clean(task) => Some(&task.task),
        Effect::PrepareImage { task, .. }
        | Effect::Start { task, .. }
        | Effect::Signal { task, .. }
        | Effect::Kill { task, .. }
        | Effect::CheckHealth { task, .. } => Some(&task.task),
        Effect::Report(report) => Some(&report.task),
        Effect::Reported { .. } | Effect::Vpc(_) | Effect::RemoveVpc(_) => None,
    }
}
