//! Events into states, and states forward as far as they go.

use std::time::Duration;

use gantry_domain::assignment::{StopCause, TaskSpec};
use gantry_domain::task::{HealthStatus, StopCode};
use gantry_domain::task_definition::{ContainerDefinition, DependencyCondition};
use gantry_link::{TaskName, ToNode};
use gantry_types::{ContainerName, Timestamp, VpcId};

use super::event::{Effect, Event, Exit, Found};
use super::health::HealthMachine;
use super::report::{container_health, report};
use super::state::{ContainerPhase, ContainerState, NetworkPhase, State, TaskState};

/// How long a container waits for what it depends on, unless `startTimeout` says otherwise.
const START_TIMEOUT_DEFAULT: Duration = Duration::from_secs(180);

impl State {
    /// Takes an event; gives what shall be done, in order.
    pub fn step(&mut self, event: Event, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Linked => self.report_all(&mut effects),
            Event::Control(message) => self.control(message, now, &mut effects),
            Event::NetworkReady { task, result } => {
                self.with(&task, now, &mut effects, |task| match result {
                    Ok(()) => task.network = NetworkPhase::Ready,
                    Err(error) => {
                        task.network = NetworkPhase::Failed;
                        fail_to_start(task, format!("ResourceInitializationError: {error}"), now);
                    }
                })
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
                    exited(task, index, exit)
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
                let names: Vec<TaskName> = self.tasks.keys().cloned().collect();
                for name in names {
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
                effects.push(Effect::Vpc(spec));
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
        drive(task, now, &mut driven);
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
        let used = |id: &VpcId| {
            tasks
                .values()
                .any(|task| task.spec.interface.as_ref().is_some_and(|interface| interface.vpc == *id))
        };
        let gone: Vec<VpcId> = self.leaving_vpcs.iter().filter(|id| !used(id)).cloned().collect();
        for id in gone {
            self.leaving_vpcs.remove(&id);
            if self.vpcs.remove(&id).is_some() {
                effects.push(Effect::RemoveVpc(id));
            }
        }
    }
}

/// What must survive the node: whatever disk and shims cannot tell.
fn lasting(task: &TaskState) -> (bool, bool, bool, Option<Timestamp>, Vec<(bool, Option<String>)>) {
    let containers = task
        .containers
        .iter()
        .map(|container| (container.phase == ContainerPhase::Stopped, container.image_digest.clone()));
    (task.stopping, task.forget, task.cause.is_some(), task.started_at, containers.collect())
}

fn image_ready(task: &mut TaskState, index: usize, result: Result<String, String>, now: Timestamp) {
    let container = &mut task.containers[index];
    if container.phase != ContainerPhase::Pulling {
        return;
    }
    match result {
        Ok(digest) => {
            container.phase = ContainerPhase::Pulled;
            container.image_digest = Some(digest);
            if task.containers.iter().all(|each| each.image_digest.is_some()) {
                task.pull_stopped_at = Some(now);
            }
        }
        Err(error) => {
            let reason = format!("CannotPullContainerError: {error}");
            container.reason = Some(reason.clone());
            container.phase = ContainerPhase::Stopped;
            fail_to_start(task, reason, now);
        }
    }
}

fn started(
    task: &mut TaskState,
    index: usize,
    result: Result<super::event::StartedContainer, String>,
    now: Timestamp,
) {
    let check = task.spec.containers[index].health_check.clone();
    let container = &mut task.containers[index];
    if container.phase != ContainerPhase::Starting {
        return;
    }
    match result {
        Ok(start) => {
            container.phase = ContainerPhase::Running;
            container.runtime_id = Some(start.runtime_id);
            container.health = check.map(|check| HealthMachine::new(&check, start.at));
        }
        Err(error) => {
            container.reason = Some(error.clone());
            container.phase = ContainerPhase::Stopped;
            fail_to_start(task, error, now);
        }
    }
}

fn exited(task: &mut TaskState, index: usize, exit: Exit) {
    let essential = task.spec.containers[index].essential;
    let container = &mut task.containers[index];
    if container.phase == ContainerPhase::Stopped {
        return;
    }
    container.phase = ContainerPhase::Stopped;
    if exit.out_of_memory {
        container.reason = Some("OutOfMemoryError: Container killed due to memory usage".to_owned());
    }
    let at = exit.at;
    container.exit = Some(exit);
    if essential {
        task.execution_stopped_at.get_or_insert(at);
        if !task.stopping {
            task.stopping = true;
            task.cause = Some(StopCause {
                code: StopCode::EssentialContainerExited,
                reason: "Essential container in task exited".to_owned(),
            });
        }
    }
}

fn fail_to_start(task: &mut TaskState, reason: String, now: Timestamp) {
    if !task.stopping {
        task.stopping = true;
        task.execution_stopped_at.get_or_insert(now);
        task.cause = Some(StopCause { code: StopCode::TaskFailedToStart, reason });
    }
}

/// Does for a task whatever its state allows now.
fn drive(task: &mut TaskState, now: Timestamp, effects: &mut Vec<Effect>) {
    if !task.stopping {
        start_what_can(task, now, effects);
    }
    if task.stopping {
        stop_what_runs(task, now, effects);
    }
}

fn start_what_can(task: &mut TaskState, now: Timestamp, effects: &mut Vec<Effect>) {
    let name = task.name();
    if task.network == NetworkPhase::Waiting {
        task.network = NetworkPhase::SettingUp;
        effects.push(Effect::SetUpNetwork(name.clone()));
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
                match dependencies(task, index) {
                    Dependencies::Met => {
                        task.containers[index].phase = ContainerPhase::Starting;
                        effects.push(Effect::Start { task: name.clone(), container });
                    }
                    Dependencies::Waiting => {
                        if start_deadline(task, &task.containers[index]).is_some_and(|at| at <= now) {
                            let reason = format!(
                                "container {container} did not start: its dependencies took too long"
                            );
                            fail_to_start(task, reason, now);
                            return;
                        }
                    }
                    Dependencies::Impossible(reason) => {
                        fail_to_start(task, reason, now);
                        return;
                    }
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

enum Dependencies {
    Met,
    Waiting,
    Impossible(String),
}

fn dependencies(task: &TaskState, index: usize) -> Dependencies {
    for dependency in &task.spec.containers[index].depends_on {
        let Some(other) = task.spec.containers.iter().position(|each| each.name == dependency.container)
        else {
            return Dependencies::Impossible(format!("container {} does not exist", dependency.container));
        };
        let state = &task.containers[other];
        let running = state.phase == ContainerPhase::Running;
        let code = state.exit.as_ref().map(|exit| exit.code);
        let met = match dependency.condition {
            DependencyCondition::Start => running || code.is_some(),
            DependencyCondition::Complete => code.is_some(),
            DependencyCondition::Success => code == Some(Some(0)),
            DependencyCondition::Healthy => running && container_health(state) == HealthStatus::Healthy,
        };
        if met {
            continue;
        }
        if code.is_some() || container_health(state) == HealthStatus::Unhealthy {
            return Dependencies::Impossible(format!(
                "dependency on container {} with condition {} can not be met",
                dependency.container, dependency.condition
            ));
        }
        return Dependencies::Waiting;
    }
    Dependencies::Met
}

/// When a container that waits for others gives up; `None` for one that depends on nothing.
pub(super) fn start_deadline(task: &TaskState, container: &ContainerState) -> Option<Timestamp> {
    let index = task.containers.iter().position(|each| std::ptr::eq(each, container))?;
    let definition = &task.spec.containers[index];
    if definition.depends_on.is_empty() {
        return None;
    }
    Some(task.accepted_at + definition.start_timeout.unwrap_or(START_TIMEOUT_DEFAULT))
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

/// Brings a persisted task in line with what was found of it.
pub(super) fn resume(task: &mut TaskState, found: Vec<Found>, now: Timestamp) {
    if task.network != NetworkPhase::Failed && task.spec.interface.is_some() {
        task.network = NetworkPhase::Waiting;
    }
    for (index, found) in found.into_iter().enumerate().take(task.containers.len()) {
        let check = task.spec.containers[index].health_check.clone();
        match found {
            Found::Running(start) => {
                let container = &mut task.containers[index];
                container.phase = ContainerPhase::Running;
                container.runtime_id = Some(start.runtime_id);
                match (&mut container.health, check) {
                    (Some(machine), _) => machine.resume(now),
                    (none, Some(check)) => *none = Some(HealthMachine::new(&check, start.at)),
                    (None, None) => {}
                }
            }
            Found::Exited(exit) => exited(task, index, exit),
            Found::Nothing => {
                let container = &mut task.containers[index];
                if container.phase != ContainerPhase::Stopped {
                    container.phase = ContainerPhase::Created;
                }
            }
        }
    }
}
