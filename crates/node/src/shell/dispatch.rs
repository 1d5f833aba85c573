//! Works are sent off here, and come back to the agent as something that happened.

use std::sync::Arc;
use std::time::Duration;

use gantry_domain::assignment::TaskSpec;
use gantry_domain::task_definition::NetworkMode;
use gantry_link::TaskName;
use gantry_network::Vpcs;
use gantry_runtime::{ExitWatch, StopSignal};
use gantry_types::ContainerName;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::sleep;

use super::blocking;
use super::clean::clean;
use super::exits;
use super::gate::Gate;
use super::image::{Found, Prepared};
use super::layout::{Layout, container_id};
use super::limits::{HEALTH_CHECKS_AT_ONCE, IMAGES_AT_ONCE, LAST_LINES, STARTS_AT_ONCE};
use super::record;
use super::removal::Removals;
use super::vpc::Networks;
use super::work::{Machine, Running};
use crate::core::{Effect, Event, TaskState};
use crate::logs::{LogShipper, destination};
use crate::output::last_lines;

/// What the shell keeps of a task, from its first effect until nothing of it is left.
pub(super) struct TaskWork {
    pub(super) spec: Arc<TaskSpec>,
    pub(super) gate: Gate,
    /// In the order of the task's containers.
    pub(super) prepared: Vec<Option<Box<Prepared>>>,
    pub(super) stop_signals: Vec<StopSignal>,
    /// True as soon as its images are of no use any more.
    pub(super) is_stopping: watch::Sender<bool>,
}

/// What came back.
#[derive(Debug)]
pub(super) enum Happened {
    /// By itself.
    Event(Event),
    /// A work of the task.
    Done {
        task: TaskName,
        event: Option<Event>,
    },
    Prepared {
        task: TaskName,
        index: usize,
        result: Result<Box<Prepared>, String>,
    },
    Started {
        task: TaskName,
        index: usize,
        result: Result<Running, String>,
    },
    Written {
        task: TaskName,
        result: Result<(), String>,
    },
    Rewrite(TaskName),
    Cleaned(TaskName),
}

/// What works need, and how many of them go on at once.
pub(super) struct Dispatcher {
    pub(super) machine: Arc<Machine>,
    removals: Removals,
    pub(super) networks: Arc<Networks>,
    pub(super) logs: LogShipper,
    happened: mpsc::Sender<Happened>,
    images: Arc<Semaphore>,
    starts: Arc<Semaphore>,
    health_checks: Arc<Semaphore>,
}

impl Dispatcher {
    pub(super) fn new(
        machine: Arc<Machine>,
        vpcs: Arc<Vpcs>,
        networks: Arc<Networks>,
        logs: LogShipper,
        happened: mpsc::Sender<Happened>,
    ) -> Self {
        Self {
            machine,
            removals: Removals::new(vpcs),
            networks,
            logs,
            happened,
            images: Arc::new(Semaphore::new(IMAGES_AT_ONCE)),
            starts: Arc::new(Semaphore::new(STARTS_AT_ONCE)),
            health_checks: Arc::new(Semaphore::new(HEALTH_CHECKS_AT_ONCE)),
        }
    }

    /// Sends a work off; it comes back as something that happened.
    pub(super) fn begin(&self, name: &TaskName, work: &mut TaskWork, effect: Effect) {
        let (spec, machine) = (work.spec.clone(), self.machine.clone());
        let (task, happened) = (name.clone(), self.happened.clone());
        let index =
            |container: &ContainerName| spec.containers.iter().position(|each| each.name == *container);
        match effect {
            Effect::SetUpNetwork(_) => {
                let (networks, starting) = (self.networks.clone(), self.removals.starting());
                tokio::spawn(async move {
                    let _starting = starting;
                    let result = set_up_network(machine, networks, spec).await;
                    let event = Some(Event::NetworkReady { task: task.clone(), result });
                    let _ = happened.send(Happened::Done { task, event }).await;
                });
            }
            Effect::PrepareImage { container, .. } => {
                let (Some(index), turn) = (index(&container), self.images.clone()) else { return };
                let stop = work.is_stopping.subscribe();
                tokio::spawn(async move {
                    let result = prepare_image(machine, spec, index, turn, stop).await;
                    let _ =
                        happened.send(Happened::Prepared { task, index, result: result.map(Box::new) }).await;
                });
            }
            Effect::Start { container, .. } => {
                let (Some(index), turn) = (index(&container), self.starts.clone()) else { return };
                let (prepared, starting) = (work.prepared[index].take(), self.removals.starting());
                tokio::spawn(async move {
                    let _starting = starting;
                    let _turn = turn.acquire_owned().await;
                    let result = match prepared {
                        Some(prepared) => blocking(move || machine.start(&spec, index, *prepared)).await,
                        None => Err("its image was not prepared".to_owned()),
                    };
                    let _ = happened.send(Happened::Started { task, index, result }).await;
                });
            }
            Effect::Signal { container, .. } => {
                let Some(index) = index(&container) else { return };
                let signal = work.stop_signals[index];
                tokio::spawn(async move {
                    let outcome = blocking(move || machine.signal(&spec, index, signal)).await;
                    come_back(happened, task, container, "stop", outcome).await;
                });
            }
            Effect::Kill { container, .. } => {
                let Some(index) = index(&container) else { return };
                tokio::spawn(async move {
                    let outcome = blocking(move || machine.kill(&spec, index)).await;
                    come_back(happened, task, container, "kill", outcome).await;
                });
            }
            Effect::CheckHealth { container, .. } => {
                let (Some(index), turn) = (index(&container), self.health_checks.clone()) else { return };
                tokio::spawn(async move {
                    let _turn = turn.acquire_owned().await;
                    let outcome = blocking(move || machine.check_health(&spec, index)).await;
                    let event = Some(Event::HealthChecked { task: task.clone(), container, outcome });
                    let _ = happened.send(Happened::Done { task, event }).await;
                });
            }
            Effect::Clean(_) => {
                let (removals, logs) = (self.removals.clone(), self.logs.clone());
                tokio::spawn(async move {
                    clean(machine, removals, logs, spec).await;
                    let _ = happened.send(Happened::Cleaned(task)).await;
                });
            }
            // These are no works.
            Effect::Persist(_)
            | Effect::Report(_)
            | Effect::Reported { .. }
            | Effect::Vpc(_)
            | Effect::RemoveVpc(_) => {}
        }
    }

    /// Keeps a task's state; of one that the core has forgotten nothing is kept, since its removal begins with saying so on disk.
    pub(super) fn write(&self, name: &TaskName, state: Option<&TaskState>) {
        let (happened, task, layout) = (self.happened.clone(), name.clone(), self.machine.layout.clone());
        let record = state.map(record::encode_task);
        tokio::spawn(async move {
            let id = task.task.clone();
            let result = match record {
                Some(record) => blocking(move || record::write_task(&layout, &id, &record)).await,
                None => Ok(()),
            };
            let result = result.map_err(|error| error.to_string());
            let _ = happened.send(Happened::Written { task, result }).await;
        });
    }

    pub(super) fn write_again_after(&self, pause: Duration, task: TaskName) {
        let happened = self.happened.clone();
        tokio::spawn(async move {
            sleep(pause).await;
            let _ = happened.send(Happened::Rewrite(task)).await;
        });
    }

    /// Waits for a container's end.
    pub(super) fn watch(&self, task: TaskName, spec: Arc<TaskSpec>, index: usize, exit: ExitWatch) {
        let (happened, layout) = (self.happened.clone(), self.machine.layout.clone());
        tokio::spawn(async move {
            let container = spec.containers[index].name.clone();
            match exits::wait(exit).await {
                Ok(exit) => {
                    let failed = exit.code != Some(0);
                    let event = Event::Exited { task, container, exit };
                    let _ = happened.send(Happened::Event(event)).await;
                    if failed {
                        blocking(move || tell_last_words(&layout, &spec, index)).await;
                    }
                }
                Err(error) => {
                    tracing::error!(task = %task.task, %container, "its end will not be heard of: {error}");
                }
            }
        });
    }
}

/// Of a container whose output goes nowhere else, why it failed is said here.
fn tell_last_words(layout: &Layout, spec: &TaskSpec, index: usize) {
    let (definition, id) = (&spec.containers[index], container_id(&spec.task, index));
    if destination(spec, definition, &id).is_some() {
        return;
    }
    for line in last_lines(&layout.spool(&id), LAST_LINES).unwrap_or_default() {
        tracing::warn!(task = %spec.task, container = %definition.name, "it said: {}", line.text);
    }
}

impl TaskWork {
    pub(super) fn new(state: &TaskState) -> Self {
        let count = state.spec.containers.len();
        Self {
            spec: Arc::new(state.spec.clone()),
            gate: Gate::default(),
            prepared: vec![None; count],
            stop_signals: vec![StopSignal::TERM; count],
            is_stopping: watch::Sender::new(false),
        }
    }
}

/// What is here waits for nobody's pull: only unpacking is limited.
async fn prepare_image(
    machine: Arc<Machine>,
    spec: Arc<TaskSpec>,
    index: usize,
    turn: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
) -> Result<Prepared, String> {
    let (source, holder) = (machine.image_source.clone(), container_id(&spec.task, index));
    let turn = turn.acquire_owned().await;
    let found = blocking(move || machine.find_image(&spec, index)).await?;
    drop(turn);
    match found {
        Found::Ready(prepared) => Ok(*prepared),
        Found::Elsewhere { reference, instead } => source.fetch(reference, instead, holder, stop).await,
    }
}

/// The task's control group and its network, side by side.
async fn set_up_network(
    machine: Arc<Machine>,
    networks: Arc<Networks>,
    spec: Arc<TaskSpec>,
) -> Result<(), String> {
    let (worker, task) = (machine.clone(), spec.clone());
    let prepared = blocking(move || worker.prepare_task(&task));
    let attached = async {
        match (spec.uplink(), spec.network_mode) {
            (Some(interface), _) => networks.attach(interface).await?,
            (None, NetworkMode::None) => {}
            (None, _) => return Err("the task has no network interface".to_owned()),
        }
        let connected = networks.connect(spec.clone()).await?;
        machine.bridged().extend(connected);
        Ok(())
    };
    let (prepared, attached) = tokio::join!(prepared, attached);
    prepared.and(attached)
}

/// The end of a container is heard of by its watch; a signal only says when it could not be sent.
async fn come_back(
    happened: mpsc::Sender<Happened>,
    task: TaskName,
    container: ContainerName,
    attempted: &str,
    outcome: Result<(), String>,
) {
    if let Err(error) = outcome {
        tracing::error!(task = %task.task, %container, "could not {attempted} it: {error}");
    }
    let _ = happened.send(Happened::Done { task, event: None }).await;
}
