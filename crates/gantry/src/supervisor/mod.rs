//! The supervisor: a poll loop that starts children, starts them again, and holds their descriptors.
//!
//! It does nothing that can fail: no thread, no async runtime, no file after its start, no decision about services. It has
//! three duties:
//! - A child that ends is started again: at once the first time, then after a wait that doubles ([`backoff`]).
//! - It answers the requests of its children's descriptor [`Client`](crate::descriptors::Client)s.
//! - A request to stop ends the children in order: first those that give work, then, when all is drained, the load balancer.
//!
//! When the supervisor dies, each child sees the end of its socket: all stop but the load balancer, which serves on and offers
//! its sockets to the next supervisor ([`handoff`](crate::descriptors::handoff)).

mod backoff;
mod child;
mod limits;
mod lock;
mod notify;
mod serve;

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

pub(crate) use limits::prefer_others_when_memory_runs_out;
pub use limits::raise_open_files_limit;
pub(crate) use lock::signal;
pub use lock::{LockError, ServerLock, hand_over_pid, running_pid};
pub use notify::notify_ready;
pub use serve::{Ended, run};

/// What a child does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// APIs, deciders, store, telemetry.
    Control,
    /// The data plane.
    Lb,
    /// Containers on this machine.
    Node,
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Lb, Self::Control, Self::Node];

    pub fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Lb => "lb",
            Self::Node => "node",
        }
    }

    /// Whether it ends last, and on its own terms when the supervisor dies.
    fn carries_traffic(self) -> bool {
        self == Self::Lb
    }
}

/// The name of `control`'s listening socket.
pub const API_LISTENER: &str = "api";

/// What to start and how.
pub struct Plan {
    pub program: PathBuf,
    /// In the order in which they start.
    pub children: Vec<ChildPlan>,
    /// What children find in the descriptor store from the start, by role and name.
    pub descriptors: Vec<(Role, &'static str, OwnedFd)>,
    pub handoff_socket: PathBuf,
    /// Called once, when every child has said that it serves.
    pub on_ready: Box<dyn FnOnce()>,
}

pub struct ChildPlan {
    pub role: Role,
    pub arguments: Vec<OsString>,
}

#[derive(Debug, Error)]
pub enum SupervisorError {
    #[error("taking over signals: {0}")]
    Signals(io::Error),
    #[error("waiting for children: {0}")]
    Poll(io::Error),
}

/// Every wait of the supervisor.
mod waits {
    use super::Duration;

    /// Between the request to stop and SIGKILL, for `control` and `node`.
    pub(super) const STOP_MAX: Duration = Duration::from_secs(10);
    /// The same for the load balancer, which has requests to finish.
    pub(super) const DRAIN_MAX: Duration = Duration::from_secs(40);
    /// Between SIGKILL and giving a process up: it is stuck in the kernel.
    pub(super) const KILL_MAX: Duration = Duration::from_secs(5);
}
