//! What happens to a node, and what it does.

use gantry_domain::assignment::{TaskReport, VpcSpec};
use gantry_link::{TaskName, ToNode};
use gantry_types::{ContainerName, Timestamp, VpcId};

use super::state::TaskState;

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The link to `control` is up, and `Hello` was sent.
    Linked,
    Control(ToNode),
    NetworkReady {
        task: TaskName,
        result: Result<(), String>,
    },
    /// The image is on this machine, unpacked; the digest is its manifest's.
    ImageReady {
        task: TaskName,
        container: ContainerName,
        result: Result<String, String>,
    },
    Started {
        task: TaskName,
        container: ContainerName,
        result: Result<StartedContainer, String>,
    },
    Exited {
        task: TaskName,
        container: ContainerName,
        exit: Exit,
    },
    HealthChecked {
        task: TaskName,
        container: ContainerName,
        outcome: HealthOutcome,
    },
    /// Time passed; sent at [`super::State::wake_at`] or later.
    Tick,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StartedContainer {
    pub runtime_id: String,
    pub at: Timestamp,
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Exit {
    /// 128 + n for a death by signal n; absent when the container never ran.
    pub code: Option<i32>,
    pub out_of_memory: bool,
    /// What the code does not say, for example that nobody saw the end.
    pub reason: Option<String>,
    pub at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthOutcome {
    Passed,
    /// The command exited with another code than 0, or did not end in time.
    Failed,
}

/// What shall be done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Write the task's state to disk before anything of it is started, told as stopped or removed.
    Persist(TaskName),
    /// Make the task's interface in its VPC, which is known. Doing it twice is harmless, and so is doing it before the task is on
    /// disk: an interface that belongs to no task is found and removed.
    SetUpNetwork(TaskName),
    PrepareImage {
        task: TaskName,
        container: ContainerName,
    },
    Start {
        task: TaskName,
        container: ContainerName,
    },
    /// The container's stop signal.
    Signal {
        task: TaskName,
        container: ContainerName,
    },
    Kill {
        task: TaskName,
        container: ContainerName,
    },
    CheckHealth {
        task: TaskName,
        container: ContainerName,
    },
    Report(Box<TaskReport>),
    /// Every task was reported.
    Reported {
        tasks: Vec<TaskName>,
    },
    /// Remove everything of the task: containers, network interface, directory.
    Clean(TaskName),
    Vpc(Box<VpcSpec>),
    RemoveVpc(VpcId),
}

/// What a restarting node finds of one container.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// Its shim lives and so does it.
    Running(StartedContainer),
    Exited(Exit),
    /// Its program could not be run.
    FailedToStart(String),
    /// Nothing, or a start that did not get far: it may be started.
    Nothing,
}

/// A task as it was persisted, with what was found of its containers.
#[derive(Debug, Clone, PartialEq)]
pub struct Restored {
    pub task: TaskState,
    /// In the order of the task's containers.
    pub containers: Vec<Found>,
}
