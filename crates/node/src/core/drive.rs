//! Events into states, and states forward as far as they go.

use std::collections::BTreeMap;
use std::time::Duration;

use gantry_domain::assignment::{TaskSpec, VpcSpec};
use gantry_domain::task::HealthStatus;
use gantry_domain::task_definition::{ContainerDefinition, DependencyCondition};
use gantry_link::{TaskName, ToNode};
use gantry_types::{ContainerName, Timestamp, VpcId};

use super::event::{Effect, Event};
use super::outcome::{exited, fail_to_start, give_up, image_ready, network_ready, started};
use super::report::{container_health, report};
use super::state::{ContainerPhase, ContainerState, NetworkPhase, State, TaskState};

/// How long a task waits for its VPC. `control` sends it first, so this only ends waits that would never end.
const VPC_WAIT_MAX: Duration = Duration::from_secs(60);

impl State {
    /// Takes an event; gives what shall be done, in order.
    pub fn step(&mut self, event: Event, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Linked => self.report_all(&mut effects),
            Event::Control(message) => self.control(message, now, &mut effects),
            Event::NetworkReady { task, result } => {
                self.with(&task, now, &mut effects, |task| network_ready(task, result, now));
            }
            Event::ImageReady { task, container, result } => {
                self.with_container(&task, &container, now, &mut effects, |task, index| {
                    image_ready(task, index, result, now);
                });
            }
            Event::Started { task, container, result } => {
                self.with_container(&task, &container, now, &mut effects, |task, index| {
                    started(task, index, result, now);
                });
            }
            Event::Exited { task, container, exit } => {
                self.with_container(&task, &container, now, &mut effects, |task, index| {
                    exited(task, index, exit);
                });
            }
            Event::HealthChecked { task, container, outcome } => {
                self.with_container(&task, &container, now, &mut effects, |task, index| {
                    let check = task.spec.containers[index].health_check.clone();
                    let machine = task.containers[index].health.as_mut();
                    if let (Some(check), Some(machine)) = (check, machine) {
                        machine.outcome(&check, outcome, now);
                    }
                });
            }
            Event::Tick => {
                for name in self.take_due(now) {
                    self.with(&name, now, &mut effects, |_| {});
                }
            }
        }
        self.remove_left_vpcs(&mut effects);
        effects
    }

    fn control(&mut self, message: ToNode, now: Timestamp, effects: &mut Vec<Effect>) {
        match message {
            ToNode::Vpc(spec) => {
                self.leaving_vpcs.remove(&spec.vpc);
                self.vpcs.insert(spec.vpc.clone(), (*spec).clone());
                let waits = |task: &&TaskState| {
                    task.network == NetworkPhase::Waiting && task.vpc() == Some(&spec.vpc)
                };
                let waiting: Vec<TaskName> = self.tasks.values().filter(waits).map(TaskState::name).collect();
                effects.push(Effect::Vpc(spec));
                for name in waiting {
                    self.with(&name, now, effects, |_| {});
                }
            }
            ToNode::RemoveVpc(id) => {
                self.leaving_vpcs.insert(id);
            }
            ToNode::Run(spec) => self.run(*spec, now, effects),
            ToNode::Stop(order) => {
                let name = TaskName { region: order.region, cluster: order.cluster, task: order.task };
                self.with(&name, now, effects, |task| task.stopping = true);
            }
            ToNode::Forget(name) => self.forget(&name, now, effects),
            ToNode::Synced { tasks, vpcs } => {
                let unknown: Vec<TaskName> =
                    self.tasks.keys().filter(|name| !tasks.contains(name)).cloned().collect();
                for name in unknown {
                    self.forget(&name, now, effects);
                }
                let left: Vec<VpcId> = self.vpcs.keys().filter(|id| !vpcs.contains(id)).cloned().collect();
                self.leaving_vpcs.extend(left);
            }
            // The log shipper and the link read these beside the core.
            ToNode::LogsKept { .. } | ToNode::Heartbeat => {}
        }
    }

    fn run(&mut self, spec: TaskSpec, now: Timestamp, effects: &mut Vec<Effect>) {
        let task = TaskState::new(spec, now);
        let name = task.name();
        if self.tasks.contains_key(&name) || self.was_forgotten(&name) {
            return;
        }
        self.tasks.insert(name.clone(), task);
        effects.push(Effect::Persist(name.clone()));
        self.with(&name, now, effects, |_| {});
    }

    fn forget(&mut self, name: &TaskName, now: Timestamp, effects: &mut Vec<Effect>) {
        self.remember_forgotten(name.clone());
        self.with(name, now, effects, |task| {
            task.stopping = true;
            task.forget = true;
        });
    }

    fn report_all(&mut self, effects: &mut Vec<Effect>) {
        self.reported.clear();
        for (name, task) in &self.tasks {
            let report = report(task);
            self.reported.insert(name.clone(), report.clone());
            effects.push(Effect::Report(Box::new(report)));
        }
        effects.push(Effect::Reported { tasks: self.tasks.keys().cloned().collect() });
    }

    fn with_container(
        &mut self,
        name: &TaskName,
        container: &ContainerName,
        now: Timestamp,
        effects: &mut Vec<Effect>,
        change: impl FnOnce(&mut TaskState, usize),
    ) {
        self.with(name, now, effects, |task| {
            if let Some(index) = task.spec.containers.iter().position(|each| each.name == *container) {
                change(task, index);
            }
        });
    }

    /// Changes one task, drives it forward, persists and reports what is new, and cleans it up at its end.
    fn with(
        &mut self,
        name: &TaskName,
        now: Timestamp,
        effects: &mut Vec<Effect>,
        change: impl FnOnce(&mut TaskState),
    ) {
        let Some(task) = self.tasks.get_mut(name) else { return };
        let before = lasting(task);
        change(task);
        let mut driven = Vec::new();
        drive(task, &self.vpcs, now, &mut driven);
        if lasting(task) != before {
            effects.push(Effect::Persist(name.clone()));
        }
        effects.append(&mut driven);
        let report = report(task);
        let (stopped, forget) = (task.is_stopped(), task.forget);
        if self.reported.get(name) != Some(&report) {
            self.reported.insert(name.clone(), report.clone());
            effects.push(Effect::Report(Box::new(report)));
        }
        if stopped && forget {
            self.tasks.remove(name);
            self.reported.remove(name);
            effects.push(Effect::Clean(name.clone()));
        }
    }

    fn remove_left_vpcs(&mut self, effects: &mut Vec<Effect>) {
        let tasks = &self.tasks;
        let used = |id: &VpcId| tasks.values().any(|task| task.vpc() == Some(id));
        let gone: Vec<VpcId> = self.leaving_vpcs.iter().filter(|id| !used(id)).cloned().collect();
        for id in gone {
            self.leaving_vpcs.remove(&id);
            if self.vpcs.remove(&id).is_some() {
                effects.push(Effect::RemoveVpc(id));
            }
        }
    }
}

/// What must survive the node: whatever shims and images cannot tell.
fn lasting(task: &TaskState) -> (bool, bool, bool, Option<Timestamp>, Vec<bool>) {
    let stopped = task.containers.iter().map(|container| container.phase == ContainerPhase::Stopped);
    (task.stopping, task.forget, task.cause.is_some(), task.started_at, stopped.collect())
}

/// Does for a task whatever its state allows now.
fn drive(task: &mut TaskState, vpcs: &BTreeMap<VpcId, VpcSpec>, now: Timestamp, effects: &mut Vec<Effect>) {
    if !task.stopping {
        set_up_network(task, vpcs, now, effects);
    }
    if !task.stopping {
        start_what_can(task, now, effects);
    }
    if task.stopping {
        stop_what_runs(task, now, effects);
    }
}

fn set_up_network(
    task: &mut TaskState,
    vpcs: &BTreeMap<VpcId, VpcSpec>,
    now: Timestamp,
    effects: &mut Vec<Effect>,
) {
    if task.network == NetworkPhase::Waiting && task.vpc().is_none_or(|vpc| vpcs.contains_key(vpc)) {
        task.network = NetworkPhase::SettingUp;
        effects.push(Effect::SetUpNetwork(task.name()));
    } else if network_deadline(task).is_some_and(|at| at <= now) {
        let vpc = task.vpc().cloned().unwrap_or_default();
        let reason = format!("ResourceInitializationError: {vpc} was not made on this machine in time");
        fail_to_start(task, reason, now);
    }
}

/// When a task gives up waiting for its VPC. One whose containers run does not.
pub(super) fn network_deadline(task: &TaskState) -> Option<Timestamp> {
    let waits = !task.stopping && task.network == NetworkPhase::Waiting;
    let runs = task.containers.iter().any(|container| container.phase.is_alive());
    (waits && !runs).then(|| task.accepted_at + VPC_WAIT_MAX)
}

fn start_what_can(task: &mut TaskState, now: Timestamp, effects: &mut Vec<Effect>) {
    let name = task.name();
    give_up_what_cannot(task, now);
    if task.stopping {
        return;
    }
    for index in 0..task.containers.len() {
        let container = task.spec.containers[index].name.clone();
        match task.containers[index].phase {
            ContainerPhase::Created => {
                task.containers[index].phase = ContainerPhase::Pulling;
                task.pull_started_at.get_or_insert(now);
                effects.push(Effect::PrepareImage { task: name.clone(), container });
            }
            ContainerPhase::Pulled if task.network == NetworkPhase::Ready => {
                if matches!(dependencies(task, index, now), Dependencies::Met) {
                    task.containers[index].phase = ContainerPhase::Starting;
                    effects.push(Effect::Start { task: name.clone(), container });
                }
            }
            ContainerPhase::Running => {
                let due =
                    task.containers[index].health.as_mut().is_some_and(|machine| machine.begin_if_due(now));
                if due {
                    effects.push(Effect::CheckHealth { task: name.clone(), container });
                }
            }
            ContainerPhase::Pulling
            | ContainerPhase::Pulled
            | ContainerPhase::Starting
            | ContainerPhase::Stopping { .. }
            | ContainerPhase::Killed
            | ContainerPhase::Stopped => {}
        }
    }
    let started = |container: &ContainerState| {
        matches!(container.phase, ContainerPhase::Running | ContainerPhase::Stopped)
    };
    if task.started_at.is_none() && task.containers.iter().all(started) {
        task.started_at = Some(now);
    }
}

/// Ends the wait of containers that wait for what cannot come about; who waits for those cannot start either.
fn give_up_what_cannot(task: &mut TaskState, now: Timestamp) {
    for _ in 0..task.containers.len() {
        let waits = |index: &usize| {
            matches!(
                task.containers[*index].phase,
                ContainerPhase::Created | ContainerPhase::Pulling | ContainerPhase::Pulled
            )
        };
        let impossible =
            (0..task.containers.len()).filter(waits).find_map(|index| match dependencies(task, index, now) {
                Dependencies::Impossible(reason) => Some((index, reason)),
                Dependencies::Met | Dependencies::Waiting => None,
            });
        match impossible {
            Some((index, reason)) => give_up(task, index, reason, now),
            None => return,
        }
    }
}

enum Dependencies {
    Met,
    Waiting,
    Impossible(String),
}

fn dependencies(task: &TaskState, index: usize, now: Timestamp) -> Dependencies {
    let mut all = Dependencies::Met;
    for dependency in &task.spec.containers[index].depends_on {
        let Some(other) = task.spec.containers.iter().position(|each| each.name == dependency.container)
        else {
            return Dependencies::Impossible(format!("container {} does not exist", dependency.container));
        };
        let state = &task.containers[other];
        let running = state.phase == ContainerPhase::Running;
        let ended = state.phase == ContainerPhase::Stopped;
        let code = state.exit.as_ref().and_then(|exit| exit.code);
        let met = match dependency.condition {
            DependencyCondition::Start => running || (ended && state.started_at.is_some()),
            DependencyCondition::Complete => ended && state.exit.is_some(),
            DependencyCondition::Success => ended && code == Some(0),
            DependencyCondition::Healthy => running && container_health(state) == HealthStatus::Healthy,
        };
        if met {
            continue;
        }
        if ended || container_health(state) == HealthStatus::Unhealthy {
            return Dependencies::Impossible(format!(
                "dependency on container {} with condition {} can not be met",
                dependency.container, dependency.condition
            ));
        }
        if gives_up_at(task, other, dependency.condition).is_some_and(|at| at <= now) {
            return Dependencies::Impossible(format!(
                "dependency on container {} with condition {} was not met within its startTimeout",
                dependency.container, dependency.condition
            ));
        }
        all = Dependencies::Waiting;
    }
    all
}

/// When those that wait for a container give up: its own `startTimeout` after its start, as the ECS agent counts. Without one they
/// wait for as long as it runs.
fn gives_up_at(task: &TaskState, on: usize, condition: DependencyCondition) -> Option<Timestamp> {
    let timeout = task.spec.containers[on].start_timeout?;
    match condition {
        DependencyCondition::Start => None,
        DependencyCondition::Complete | DependencyCondition::Success | DependencyCondition::Healthy => {
            Some(task.containers[on].started_at? + timeout)
        }
    }
}

/// When a container that waits for others gives up.
pub(super) fn start_deadline(task: &TaskState, container: &ContainerState) -> Option<Timestamp> {
    let index = task.containers.iter().position(|each| std::ptr::eq(each, container))?;
    let each = task.spec.containers[index].depends_on.iter();
    each.filter_map(|dependency| {
        let on = task.spec.containers.iter().position(|other| other.name == dependency.container)?;
        gives_up_at(task, on, dependency.condition)
    })
    .min()
}

/// Stops containers in the reverse order of their dependencies; kills what outlives its timeout.
fn stop_what_runs(task: &mut TaskState, now: Timestamp, effects: &mut Vec<Effect>) {
    let name = task.name();
    for container in &mut task.containers {
        match container.phase {
            ContainerPhase::Created | ContainerPhase::Pulling | ContainerPhase::Pulled => {
                container.phase = ContainerPhase::Stopped;
            }
            ContainerPhase::Starting
            | ContainerPhase::Running
            | ContainerPhase::Stopping { .. }
            | ContainerPhase::Killed
            | ContainerPhase::Stopped => {}
        }
    }
    if task.network == NetworkPhase::Waiting {
        task.network = NetworkPhase::Failed;
    }
    for index in 0..task.containers.len() {
        let definition = &task.spec.containers[index];
        let container = definition.name.clone();
        match task.containers[index].phase {
            ContainerPhase::Running if !has_living_dependents(task, definition) => {
                let timeout = definition.stop_timeout.unwrap_or(TaskSpec::STOP_TIMEOUT_DEFAULT);
                task.containers[index].phase = ContainerPhase::Stopping { kill_at: now + timeout };
                task.execution_stopped_at.get_or_insert(now);
                effects.push(Effect::Signal { task: name.clone(), container });
            }
            ContainerPhase::Stopping { kill_at } if kill_at <= now => {
                task.containers[index].phase = ContainerPhase::Killed;
                effects.push(Effect::Kill { task: name.clone(), container });
            }
            // A start that is on its way ends in `Started`, and is stopped then.
            ContainerPhase::Created
            | ContainerPhase::Pulling
            | ContainerPhase::Pulled
            | ContainerPhase::Starting
            | ContainerPhase::Running
            | ContainerPhase::Stopping { .. }
            | ContainerPhase::Killed
            | ContainerPhase::Stopped => {}
        }
    }
}

fn has_living_dependents(task: &TaskState, of: &ContainerDefinition) -> bool {
    task.spec.containers.iter().zip(&task.containers).any(|(definition, container)| {
        container.phase.is_alive() && definition.depends_on.iter().any(|each| each.container == of.name)
    })
}
