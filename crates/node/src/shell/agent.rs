//! The event loop: it alone owns the core's state.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use gantry_domain::assignment::TaskSpec;
use gantry_link::{FromNode, LogSource, TaskName, ToNode};
use gantry_types::Timestamp;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::dispatch::{Dispatcher, Happened, TaskWork};
use super::gate::Act;
use super::inquiry::Inquiry;
use super::layout::{container_id, is_plain};
use super::limits::SLEEP_MAX;
use super::link::{Incoming, Session};
use super::machine::memory;
use super::restore::{Restoration, RestoredTask};
use super::work::Running;
use crate::core::{Effect, Event, State};
use crate::logs::{SourceConfig, destination};

/// A record that the disk refused is written again after this time.
const REWRITE_AFTER: Duration = Duration::from_secs(5);
/// A tick that changed nothing although one was due is not repeated at once.
const TICK_PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Agent {
    dispatcher: Dispatcher,
    state: State,
    works: BTreeMap<TaskName, TaskWork>,
    session: Option<Session>,
    /// `Reported` waits for reports that wait for the disk.
    reported: Option<Vec<TaskName>>,
    /// Events that came of doing effects.
    queue: VecDeque<Event>,
    happenings: mpsc::Receiver<Happened>,
    inquiries: mpsc::Receiver<Inquiry>,
    /// Tasks were promised more memory than there is.
    is_overcommitted: bool,
}

impl Agent {
    /// `happenings` is where the dispatcher's works come back.
    pub(super) fn new(
        dispatcher: Dispatcher,
        happenings: mpsc::Receiver<Happened>,
        inquiries: mpsc::Receiver<Inquiry>,
    ) -> Self {
        Self {
            dispatcher,
            state: State::default(),
            works: BTreeMap::new(),
            session: None,
            reported: None,
            queue: VecDeque::new(),
            happenings,
            inquiries,
            is_overcommitted: false,
        }
    }

    /// Goes on with what was found.
    pub(super) async fn resume(&mut self, restoration: Restoration) {
        let Restoration { tasks, forgotten, vpcs } = restoration;
        for spec in &vpcs {
            self.dispatcher.networks.put(spec.clone());
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
            for (index, exit) in exits.into_iter().enumerate() {
                if let Some(exit) = exit {
                    self.dispatcher.watch(name.clone(), work.spec.clone(), index, exit);
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
                Some(inquiry) = self.inquiries.recv() => inquiry.answer(self.state.tasks()),
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
                self.dispatcher.logs.linked(session.logs.clone()).await;
                self.session = Some(session);
                self.step(Event::Linked).await;
            }
            Incoming::Unlinked => {
                self.session = None;
                self.reported = None;
                self.dispatcher.logs.unlinked().await;
            }
            Incoming::Message(ToNode::LogsKept { source, sequence }) => {
                self.dispatcher.logs.kept(source, sequence).await;
            }
            Incoming::Message(ToNode::Run(spec)) if !is_plain(spec.task.as_str()) => {
                tracing::error!(task = %spec.task, "control sent a task whose id is none; it is not run");
            }
            Incoming::Message(ToNode::Run(spec)) if self.has_other_task(&spec) => {
                tracing::error!(task = %spec.task, "control sent a task whose id another cluster's task has; it is not run");
            }
            Incoming::Message(message) => {
                let runs = matches!(message, ToNode::Run(_));
                self.step(Event::Control(message)).await;
                if runs {
                    self.tell_overcommitment();
                }
            }
        }
    }

    /// Directories and control groups are found by the task's id alone.
    fn has_other_task(&self, spec: &TaskSpec) -> bool {
        let other = |name: &TaskName| {
            name.task == spec.task && (name.region != spec.region || name.cluster != spec.cluster)
        };
        self.works.keys().any(other)
    }

    /// A task's limit holds whatever the others use, but this machine may not have what it promises.
    fn tell_overcommitment(&mut self) {
        let tasks = self.state.tasks().filter(|task| !task.is_stopped());
        let promised: u64 = tasks.filter_map(|task| task.spec.memory).map(|memory| u64::from(memory.0)).sum();
        let has = u64::from(memory().0);
        let was_overcommitted = std::mem::replace(&mut self.is_overcommitted, promised > has);
        if self.is_overcommitted && !was_overcommitted {
            tracing::warn!(
                "tasks were promised {promised} MiB of memory and this machine has {has} MiB: the kernel ends some when \
                 they use it all"
            );
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
                self.dispatcher.watch(task.clone(), spec.clone(), index, running.exit);
                Ok(running.started)
            }
            Err(error) => Err(error),
        };
        self.step(Event::Started { task, container, result }).await;
        self.ship(&spec, index).await;
    }

    fn written(&mut self, name: &TaskName, result: Result<(), String>) {
        let Some(work) = self.works.get_mut(name) else { return };
        if let Err(error) = &result {
            tracing::error!(task = %name.task, "its record could not be written, so nothing of it is started: {error}");
            self.dispatcher.write_again_after(REWRITE_AFTER, name.clone());
        }
        let acts = work.gate.written(result);
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
            self.dispatcher.logs.unlinked().await;
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
            Effect::Vpc(spec) => return self.dispatcher.networks.put((**spec).clone()),
            Effect::RemoveVpc(vpc) => return self.dispatcher.networks.remove(vpc),
        };
        if !self.works.contains_key(&name)
            && let Some(state) = self.state.task(&name)
        {
            self.works.insert(name.clone(), TaskWork::new(state));
        }
        let Some(work) = self.works.get_mut(&name) else { return };
        if self.state.task(&name).is_none_or(|task| task.stopping) {
            work.is_stopping.send_replace(true);
        }
        let acts = work.gate.push(effect);
        self.act(&name, acts);
    }

    fn act(&mut self, name: &TaskName, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Write => self.dispatcher.write(name, self.state.task(name)),
                Act::Do(Effect::Report(report)) => self.tell(FromNode::Task(report)),
                Act::Do(effect) => {
                    if let Some(work) = self.works.get_mut(name) {
                        self.dispatcher.begin(name, work, effect);
                    }
                }
                Act::Refuse(Effect::Start { task, container }, error) => {
                    let result = Err(format!("could not keep a record of the task on this machine: {error}"));
                    self.queue.push_back(Event::Started { task, container, result });
                }
                // Nothing else is refused.
                Act::Refuse(..) => {}
            }
        }
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

    async fn ship_all(&self, spec: &TaskSpec) {
        for index in 0..spec.containers.len() {
            self.ship(spec, index).await;
        }
    }

    /// Ships what a container writes, if its definition says where to.
    async fn ship(&self, spec: &TaskSpec, index: usize) {
        let (definition, id) = (&spec.containers[index], container_id(&spec.task, index));
        let spool = self.dispatcher.machine.layout.spool(&id);
        // One that never started wrote nothing.
        if let Some(destination) = destination(spec, definition, &id).filter(|_| spool.is_dir()) {
            let source = LogSource { task: spec.task.clone(), container: definition.name.to_string() };
            self.dispatcher.logs.add(SourceConfig { source, spool, destination }).await;
        }
    }
}
