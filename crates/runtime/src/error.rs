//! One error type per family of operations.

use std::fmt;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::spec::{ContainerId, SpecError};

/// Why a container could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the container's specification is wrong: {0}")]
    Spec(#[from] SpecError),
    #[error("container {0} exists already")]
    Exists(ContainerId),
    #[error("{0}")]
    Failed(StartFailure),
    #[error("could not {attempted}: {source}")]
    Io { attempted: String, source: io::Error },
    #[error("the container did not start within {seconds} s")]
    TimedOut { seconds: u64 },
    #[error("the container's shim ended without a word; its last words may stand in {log}")]
    ShimEnded { log: PathBuf },
}

/// What a shim found wrong, in words for the task's `stoppedReason`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartFailure {
    pub kind: StartFailureKind,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartFailureKind {
    /// No such file, or none in any directory of PATH.
    ExecutableNotFound,
    /// The program may not be executed.
    PermissionDenied,
    /// The file is no program for this machine, or its interpreter is missing.
    InvalidExecutable,
    UnknownUser,
    WorkingDirectory,
    /// The overlay or one of the mounts.
    Mount,
    Cgroup,
    /// The memory limit was reached before the program ran.
    OutOfMemory,
    Output,
    /// Anything else while the container was built.
    Runtime,
    /// The shim died, so the container's end was not seen.
    Lost,
}

impl StartFailure {
    pub(crate) fn new(kind: StartFailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl fmt::Display for StartFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StartFailure {}

/// Why a request to a running container failed.
#[derive(Debug, thiserror::Error)]
pub enum SignalError {
    #[error("there is no container {0}")]
    NotFound(ContainerId),
    #[error("container {0} does not run")]
    NotRunning(ContainerId),
    #[error("could not {attempted} container {id}: {source}")]
    Io { attempted: &'static str, id: ContainerId, source: io::Error },
}

#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    #[error("the command to execute is wrong: {0}")]
    Spec(#[from] SpecError),
    #[error("container {0} does not run")]
    NotRunning(ContainerId),
    /// The command itself could not be started: for a health check, as good as a failed one.
    #[error("{0}")]
    Failed(StartFailure),
    #[error("could not {attempted}: {source}")]
    Io { attempted: &'static str, source: io::Error },
}

#[derive(Debug, thiserror::Error)]
#[error("could not {attempted} of {what}: {source}")]
pub struct DeleteError {
    pub attempted: &'static str,
    pub what: String,
    pub source: io::Error,
}
