//! The event loop: it alone owns the core's state.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use gantry_domain::assignment::TaskSpec;
use gantry_link::{FromNode, LogSource, TaskName, ToNode};
use gantry_network::Vpcs;
use gantry_runtime::{ExitWatch, StopSignal};
use gantry_types::{ContainerName, Timestamp};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::sleep;

use super::blocking;
use super::clean::clean;
use super::exits;
use super::gate::{Act, Gate};
use super::image::Prepared;
use super::layout::{container_id, is_plain};
use super::limits::{EVENTS_WAITING_MAX, HEALTH_CHECKS_AT_ONCE, IMAGES_AT_ONCE, SLEEP_MAX, STARTS_AT_ONCE};
use super::link::{Incoming, Session};
use super::record;
use super::restore::{Restoration, RestoredTask};
use super::vpc::Networks;
use super::work::{Machine, Running};
use crate::core::{Effect, Event, State, TaskState};
use crate::logs::{LogShipper, SourceConfig, destination};

/// A record that the disk refused is written again after this time.
const REWRITE_AFTER: Duration = Duration::from_secs(5);
/// A tick that changed nothing although one was due is not repeated at once.
const TICK_PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Agent {
    machine: Arc<Machine>,
    vpcs: Arc<Vpcs>,
    networks: Arc<Networks>,
    logs: LogShipper,
    state: State,
    works: BTreeMap<TaskName, TaskWork>,
    session: Option<Session>,
    /// `Reported` waits for reports that wait for the disk.
    reported: Option<Vec<TaskName>>,
    /// Events that came of doing effects.
    queue: VecDeque<Event>,
    happened: mpsc::Sender<Happened>,
    happenings: mpsc::Receiver<Happened>,
    images: Arc<Semaphore>,
    starts: Arc<Semaphore>,
    health_checks: Arc<Semaphore>,
}

/// What the shell keeps of a task, from its first effect until nothing of it is left.
struct TaskWork {
    spec: Arc<TaskSpec>,
    gate: Gate,
    /// In the order of the task's containers.
    prepared: Vec<Option<Prepared>>,
    stop_signals: Vec<StopSignal>,
}

/// What came back.
#[derive(Debug)]
enum Happened {
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
        result: Result<Prepared, String>,
    },
    Started {
        task: TaskName,
        index: usize,
        result: Result<Running, String>,
    },
    Written {
        task: TaskName,
        result: std::io::Result<()>,
    },
    Rewrite(TaskName),
    Cleaned(TaskName),
}

impl Agent {
    pub(super) fn new(
        machine: Arc<Machine>,
        vpcs: Arc<Vpcs>,
        networks: Arc<Networks>,
        logs: LogShipper,
    ) -> Self {
        let (happened, happenings) = mpsc::channel(EVENTS_WAITING_MAX);
        Self {
            machine,
            vpcs,
            networks,
            logs,
            state: State::default(),
            works: BTreeMap::new(),
            session: None,
            reported: None,
            queue: VecDeque::new(),
            happened,
            happenings,
            images: Arc::new(Semaphore::new(IMAGES_AT_ONCE)),
            starts: Arc::new(Semaphore::new(STARTS_AT_ONCE)),
            health_checks: Arc::new(Semaphore::new(HEALTH_CHECKS_AT_ONCE)),
        }
    }

    /// Goes on with what was found.
    pub(super) async fn resume(&mut self, restoration: Restoration) {
        let Restoration { tasks, forgotten, vpcs } = restoration;
        for spec in &vpcs {
            self.networks.put(spec.clone());
        }
        for state in forgotten {
            let (name, work) = (state.name(), TaskWork::new(&state));
            self.ship_all(&work.spec).await;
            self.works.insert(name.clone(), work);
            self.push(Effect::Clean(name));
        }
        let mut restored = Vec::new();
        for RestoredTask { restored: task, exits, stop_signals } in tasks {
            let name = task.task.name();
            let work = TaskWork { stop_signals, ..TaskWork::new(&task.task) };
            self.ship_all(&work.spec).await;
            for (container, exit) in work.spec.containers.iter().zip(exits) {
                if let Some(exit) = exit {
                    self.watch(name.clone(), container.name.clone(), exit);
                }
            }
            self.works.insert(name, work);
            restored.push(task);
        }
        self.state = State::restore(restored, vpcs, Timestamp::now());
        self.step(Event::Tick).await;
    }

    pub(super) async fn run(mut self, mut link: mpsc::Receiver<Incoming>, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let mut not_before = Timestamp::EPOCH;
        loop {
            let now = Timestamp::now();
            let wake = self.state.wake_at().map(|at| at.max(not_before).since(now));
            tokio::select! {
                () = &mut stop => return,
                Some(incoming) = link.recv() => self.heard(incoming).await,
                Some(happened) = self.happenings.recv() => self.happened(happened).await,
                () = sleep(wake.unwrap_or(SLEEP_MAX).min(SLEEP_MAX)) => {
                    let due = self.state.wake_at();
                    self.step(Event::Tick).await;
                    let stuck = due.is_some() && self.state.wake_at() == due;
                    not_before = if stuck { Timestamp::now() + TICK_PAUSE } else { Timestamp::EPOCH };
                }
            }
        }
    }

    async fn heard(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Linked(session) => {
                self.logs.linked(session.logs.clone()).await;
                self.session = Some(session);
                self.step(Event::Linked).await;
            }
            Incoming::Unlinked => {
                self.session = None;
                self.reported = None;
                self.logs.unlinked().await;
            }
            Incoming::Message(ToNode::LogsKept { source, sequence }) => {
                self.logs.kept(source, sequence).await
            }
            Incoming::Message(ToNode::Run(spec)) if !is_plain(spec.task.as_str()) => {
                tracing::error!(task = %spec.task, "control sent a task whose id is none; it is not run");
            }
            Incoming::Message(message) => self.step(Event::Control(message)).await,
        }
    }

    async fn happened(&mut self, happened: Happened) {
        match happened {
            Happened::Event(event) => self.step(event).await,
            Happened::Done { task, event } => {
                self.came_back(&task);
                if let Some(event) = event {
                    self.queue.push_back(event);
                }
                self.run_queue().await;
            }
            Happened::Prepared { task, index, result } => {
                self.came_back(&task);
                let Some(work) = self.works.get_mut(&task) else { return };
                let container = work.spec.containers[index].name.clone();
                let result = result.map(|prepared| {
                    let digest = prepared.manifest.to_string();
                    work.prepared[index] = Some(prepared);
                    digest
                });
                self.step(Event::ImageReady { task, container, result }).await;
            }
            Happened::Started { task, index, result } => self.started(task, index, result).await,
            Happened::Written { task, result } => {
                self.written(&task, result);
                self.run_queue().await;
            }
            Happened::Rewrite(task) => {
                if self.state.task(&task).is_some() {
                    self.push(Effect::Persist(task));
                }
                self.run_queue().await;
            }
            Happened::Cleaned(task) => {
                self.works.remove(&task);
            }
        }
    }

    async fn started(&mut self, task: TaskName, index: usize, result: Result<Running, String>) {
        self.came_back(&task);
        let Some(work) = self.works.get_mut(&task) else { return };
        let spec = work.spec.clone();
        let container = spec.containers[index].name.clone();
        let result = match result {
            Ok(running) => {
                work.stop_signals[index] = running.stop_signal;
                self.watch(task.clone(), container.clone(), running.exit);
                Ok(running.started)
            }
            Err(error) => Err(error),
        };
        self.step(Event::Started { task, container, result }).await;
        self.ship(&spec, index).await;
    }

    fn written(&mut self, name: &TaskName, result: std::io::Result<()>) {
        let Some(work) = self.works.get_mut(name) else { return };
        if let Err(error) = result {
            tracing::error!(task = %name.task, "its record could not be written, so nothing of it is started: {error}");
            for start in work.gate.take_starts() {
                if let Effect::Start { task, container } = start {
                    let result = Err(format!("could not keep a record of the task on this machine: {error}"));
                    self.queue.push_back(Event::Started { task, container, result });
                }
            }
            let (happened, task) = (self.happened.clone(), name.clone());
            tokio::spawn(async move {
                sleep(REWRITE_AFTER).await;
                let _ = happened.send(Happened::Rewrite(task)).await;
            });
        }
        let acts = work.gate.written();
        self.act(name, acts);
    }

    fn came_back(&mut self, name: &TaskName) {
        let Some(work) = self.works.get_mut(name) else { return };
        let acts = work.gate.finished();
        self.act(name, acts);
    }

    async fn step(&mut self, event: Event) {
        self.queue.push_back(event);
        self.run_queue().await;
    }

    async fn run_queue(&mut self) {
        while let Some(event) = self.queue.pop_front() {
            for effect in self.state.step(event, Timestamp::now()) {
                self.push(effect);
            }
        }
        self.flush_reported();
        if self.session.as_ref().is_some_and(|session| session.reports.is_closed()) {
            self.session = None;
            self.logs.unlinked().await;
        }
    }

    /// Takes an effect as far as it may go now.
    fn push(&mut self, effect: Effect) {
        let name = match &effect {
            Effect::Persist(task) | Effect::SetUpNetwork(task) | Effect::Clean(task) => task.clone(),
            Effect::PrepareImage { task, .. }
            | Effect::Start { task, .. }
            | Effect::Signal { task, .. }
            | Effect::Kill { task, .. }
            | Effect::CheckHealth { task, .. } => task.clone(),
            Effect::Report(report) => TaskName {
                region: report.region.clone(),
                cluster: report.cluster.clone(),
                task: report.task.clone(),
            },
            Effect::Reported { tasks } => return self.reported = Some(tasks.clone()),
            Effect::Vpc(spec) => return self.networks.put((**spec).clone()),
            Effect::RemoveVpc(vpc) => return self.networks.remove(vpc),
        };
        if !self.works.contains_key(&name)
            && let Some(state) = self.state.task(&name)
        {
            self.works.insert(name.clone(), TaskWork::new(state));
        }
        let Some(work) = self.works.get_mut(&name) else { return };
        let acts = work.gate.push(effect);
        self.act(&name, acts);
    }

    fn act(&mut self, name: &TaskName, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Write => self.write(name),
                Act::Do(Effect::Report(report)) => self.tell(FromNode::Task(report)),
                Act::Do(effect) => self.begin(name, effect),
            }
        }
    }

    fn write(&mut self, name: &TaskName) {
        let (happened, task) = (self.happened.clone(), name.clone());
        // Of a task that the core has forgotten nothing is kept: its removal begins with saying so on disk.
        let record = self.state.task(name).map(record::encode_task);
        let layout = self.machine.layout.clone();
        tokio::spawn(async move {
            let id = task.task.clone();
            let result = match record {
                Some(record) => blocking(move || record::write_task(&layout, &id, &record)).await,
                None => Ok(()),
            };
            let _ = happened.send(Happened::Written { task, result }).await;
        });
    }

    fn tell(&mut self, message: FromNode) {
        // A link that is too far behind is given up: the next one begins with a full report.
        if self.session.as_ref().is_some_and(|session| session.reports.try_send(message).is_err()) {
            tracing::warn!("control does not take reports; linking anew");
            self.session = None;
        }
    }

    fn flush_reported(&mut self) {
        if self.reported.is_some() && !self.works.values().any(|work| work.gate.holds_report()) {
            let tasks = self.reported.take().unwrap_or_default();
            self.tell(FromNode::Reported { tasks });
        }
    }

    /// Sends a work off; it comes back as something that happened.
    fn begin(&mut self, name: &TaskName, effect: Effect) {
        let Some(work) = self.works.get_mut(name) else { return };
        let (spec, machine) = (work.spec.clone(), self.machine.clone());
        let (task, happened) = (name.clone(), self.happened.clone());
        let index =
            |container: &ContainerName| spec.containers.iter().position(|each| each.name == *container);
        match effect {
            Effect::SetUpNetwork(_) => {
                let networks = self.networks.clone();
                tokio::spawn(async move {
                    let result = set_up_network(machine, networks, spec).await;
                    let event = Some(Event::NetworkReady { task: task.clone(), result });
                    let _ = happened.send(Happened::Done { task, event }).await;
                });
            }
            Effect::PrepareImage { container, .. } => {
                let (Some(index), turn) = (index(&container), self.images.clone()) else { return };
                tokio::spawn(async move {
                    let _turn = turn.acquire_owned().await;
                    let result = blocking(move || machine.prepare_image(&spec, index)).await;
                    let _ = happened.send(Happened::Prepared { task, index, result }).await;
                });
            }
            Effect::Start { container, .. } => {
                let (Some(index), turn) = (index(&container), self.starts.clone()) else { return };
                let prepared = work.prepared[index].take();
                tokio::spawn(async move {
                    let _turn = turn.acquire_owned().await;
                    let result = match prepared {
                        Some(prepared) => blocking(move || machine.start(&spec, index, prepared)).await,
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
                let (vpcs, logs) = (self.vpcs.clone(), self.logs.clone());
                tokio::spawn(async move {
                    clean(machine, vpcs, logs, spec).await;
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

    fn watch(&self, task: TaskName, container: ContainerName, exit: ExitWatch) {
        let happened = self.happened.clone();
        tokio::spawn(async move {
            match exits::wait(exit).await {
                Ok(exit) => {
                    let _ = happened.send(Happened::Event(Event::Exited { task, container, exit })).await;
                }
                Err(error) => {
                    tracing::error!(task = %task.task, %container, "its end will not be heard of: {error}")
                }
            }
        });
    }

    async fn ship_all(&self, spec: &TaskSpec) {
        for index in 0..spec.containers.len() {
            self.ship(spec, index).await;
        }
    }

    /// Ships what a container writes, if its definition says where to.
    async fn ship(&self, spec: &TaskSpec, index: usize) {
        let (definition, id) = (&spec.containers[index], container_id(&spec.task, index));
        let spool = self.machine.layout.spool(&id);
        // One that never started wrote nothing.
        if let Some(destination) = destination(spec, definition, &id).filter(|_| spool.is_dir()) {
            let source = LogSource { task: spec.task.clone(), container: definition.name.to_string() };
            self.logs.add(SourceConfig { source, spool, destination }).await;
        }
    }
}

impl TaskWork {
    fn new(state: &TaskState) -> Self {
        let count = state.spec.containers.len();
        Self {
            spec: Arc::new(state.spec.clone()),
            gate: Gate::default(),
            prepared: vec![None; count],
            stop_signals: vec![StopSignal::TERM; count],
        }
    }
}

/// The task's control group and its interface, side by side.
async fn set_up_network(
    machine: Arc<Machine>,
    networks: Arc<Networks>,
    spec: Arc<TaskSpec>,
) -> Result<(), String> {
    let interface = spec.interface.clone().ok_or("the task has no network interface")?;
    let prepared = blocking(move || machine.prepare_task(&spec));
    let (prepared, attached) = tokio::join!(prepared, networks.attach(&interface));
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
