//! What a node knows.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use gantry_domain::assignment::{StopCause, TaskReport, TaskSpec, VpcSpec};
use gantry_domain::task_definition::{ContainerDefinition, NetworkMode};
use gantry_link::TaskName;
use gantry_types::{Timestamp, VpcId};

use super::event::{Exit, Restored};
use super::health::HealthMachine;

/// Tasks that were forgotten are remembered by name, so that a late order does not run one again.
const FORGOTTEN_MAX: usize = 4096;

/// The node's tasks and VPCs.
#[derive(Debug, Clone, Default)]
pub struct State {
    pub(super) tasks: BTreeMap<TaskName, TaskState>,
    pub(super) vpcs: BTreeMap<VpcId, VpcSpec>,
    /// VPCs that `control` no longer has, removed when their last task is gone.
    pub(super) leaving_vpcs: BTreeSet<VpcId>,
    pub(super) reported: BTreeMap<TaskName, TaskReport>,
    /// Tasks of a former life that were not driven yet.
    pub(super) restored: BTreeSet<TaskName>,
    forgotten: VecDeque<TaskName>,
}

/// One task.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TaskState {
    pub spec: TaskSpec,
    pub network: NetworkPhase,
    /// One per container of the spec, in its order.
    pub containers: Vec<ContainerState>,
    /// Told to stop, or stopping by itself.
    pub stopping: bool,
    /// Why it stops, if nobody told it to.
    pub cause: Option<StopCause>,
    /// `control` does not want to hear of it any more: clean up as soon as it has stopped.
    pub forget: bool,
    pub accepted_at: Timestamp,
    pub pull_started_at: Option<Timestamp>,
    pub pull_stopped_at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub execution_stopped_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum NetworkPhase {
    /// The VPC is not known yet; or nothing was done, or a node that was killed may have done it half: setting it up again is
    /// harmless.
    Waiting,
    SettingUp,
    Ready,
    Failed,
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ContainerState {
    pub phase: ContainerPhase,
    pub image_digest: Option<String>,
    pub runtime_id: Option<String>,
    pub exit: Option<Exit>,
    pub reason: Option<String>,
    pub health: Option<HealthMachine>,
    /// When its program began to run; who depends on it waits from then on.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
}

/// A container's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ContainerPhase {
    /// Its image was not asked for yet.
    Created,
    Pulling,
    /// Its image is here; it waits for the network or for what it depends on.
    Pulled,
    Starting,
    Running,
    /// The stop signal was sent; SIGKILL follows then.
    Stopping {
        kill_at: Timestamp,
    },
    Killed,
    Stopped,
}

impl ContainerPhase {
    /// A process of it may exist.
    pub fn is_alive(self) -> bool {
        match self {
            Self::Starting | Self::Running | Self::Stopping { .. } | Self::Killed => true,
            Self::Created | Self::Pulling | Self::Pulled | Self::Stopped => false,
        }
    }
}

impl TaskState {
    pub(super) fn new(spec: TaskSpec, now: Timestamp) -> Self {
        let container = |_: &ContainerDefinition| ContainerState {
            phase: ContainerPhase::Created,
            image_digest: None,
            runtime_id: None,
            exit: None,
            reason: None,
            health: None,
            started_at: None,
        };
        Self {
            network: if has_network(&spec) { NetworkPhase::Waiting } else { NetworkPhase::Ready },
            containers: spec.containers.iter().map(container).collect(),
            spec,
            stopping: false,
            cause: None,
            forget: false,
            accepted_at: now,
            pull_started_at: None,
            pull_stopped_at: None,
            started_at: None,
            execution_stopped_at: None,
        }
    }
    pub fn name(&self) -> TaskName {
        TaskName {
            region: self.spec.region.clone(),
            cluster: self.spec.cluster.clone(),
            task: self.spec.task.clone(),
        }
    }
    /// When time has something to do for the task.
    fn wake_at(&self) -> Option<Timestamp> {
        let containers = self.containers.iter().filter_map(|container| wake_at(self, container));
        containers.chain(super::drive::network_deadline(self)).min()
    }
    pub(super) fn vpc(&self) -> Option<&VpcId> {
        self.spec.uplink().map(|interface| &interface.vpc)
    }
    /// Nothing of it runs, and nothing is on its way that could make it run.
    pub fn is_stopped(&self) -> bool {
        self.stopping
            && self.network != NetworkPhase::SettingUp
            && self.containers.iter().all(|container| container.phase == ContainerPhase::Stopped)
    }
}

/// Every mode but `awsvpc` has namespaces to be made; in that one it is the task's interface.
pub(super) fn has_network(spec: &TaskSpec) -> bool {
    spec.interface.is_some() || spec.network_mode != NetworkMode::Awsvpc
}

impl State {
    /// A node after its start, with what it found of its former life. The first `Tick` goes on where it was.
    pub fn restore(found: Vec<Restored>, vpcs: Vec<VpcSpec>, now: Timestamp) -> Self {
        let vpcs = vpcs.into_iter().map(|spec| (spec.vpc.clone(), spec)).collect();
        let mut state = Self { vpcs, ..Self::default() };
        for mut restored in found {
            super::outcome::resume(&mut restored.task, restored.containers, now);
            state.restored.insert(restored.task.name());
            state.tasks.insert(restored.task.name(), restored.task);
        }
        state
    }
    pub fn task(&self, name: &TaskName) -> Option<&TaskState> {
        self.tasks.get(name)
    }
    pub fn tasks(&self) -> impl Iterator<Item = &TaskState> {
        self.tasks.values()
    }
    pub fn vpc(&self, id: &VpcId) -> Option<&VpcSpec> {
        self.vpcs.get(id)
    }
    /// When [`super::Event::Tick`] is due.
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.tasks.values().filter_map(TaskState::wake_at).min()
    }
    /// The tasks that time has something to do for, each former life's once.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Vec<TaskName> {
        let due = |task: &&TaskState| task.wake_at().is_some_and(|at| at <= now);
        let mut names = std::mem::take(&mut self.restored);
        names.extend(self.tasks.values().filter(due).map(TaskState::name));
        names.into_iter().collect()
    }
    pub(super) fn remember_forgotten(&mut self, name: TaskName) {
        if self.forgotten.len() >= FORGOTTEN_MAX {
            self.forgotten.pop_front();
        }
        self.forgotten.push_back(name);
    }
    pub(super) fn was_forgotten(&self, name: &TaskName) -> bool {
        self.forgotten.contains(name)
    }
}

fn wake_at(task: &TaskState, container: &ContainerState) -> Option<Timestamp> {
    match container.phase {
        ContainerPhase::Stopping { kill_at } => Some(kill_at),
        // A container that is to stop and waits for those that depend on it is not checked any more.
        ContainerPhase::Running if !task.stopping => {
            container.health.as_ref().and_then(HealthMachine::next_at)
        }
        ContainerPhase::Created | ContainerPhase::Pulling | ContainerPhase::Pulled if !task.stopping => {
            super::drive::start_deadline(task, container)
        }
        _ => None,
    }
}
