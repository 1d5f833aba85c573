//! Real OCI containers: bundles, shims, cgroups, exec.
//!
//! # Flow
//! [`Runtime::start`] writes what is wanted into a directory of the container's own and re-executes this binary as
//! a **shim**. The shim, in a mount namespace of its own, mounts the overlay, makes the container's cgroups, and
//! forks a builder that joins them and lets `libcontainer` build the container. The shim stays as the container's
//! parent: it stamps every line of output with the time when it was read and hands it to an [`OutputSink`], answers
//! on a control socket, and writes how the container ended. The node learns of the end through an [`ExitWatch`].
//!
//! # Invariants
//! - The shim is single-threaded and outlives the node: what it needs is in its directory, and nobody's death blocks
//!   it. A node that starts again finds every container by [`Runtime::adopt`].
//! - The container never outlives its shim (parent-death signal), so no container runs unobserved.
//! - Process ids are believed only together with the start time and the boot they were written in.
//! - `exit.json` is written once, whole, before anybody is told of the end.
//! - Mounts exist in the shim's and the container's namespaces only: they vanish with the processes.
//! - [`Runtime::delete`] may be repeated, and works after a crash at any point.
//!
//! # Why the cgroups are ours
//! Moving a process by its id takes the kernel's global thread-group lock, which costs 8 to 13 ms (an RCU grace
//! period). A single-threaded process that writes `0` to a version 1 `tasks` file moves itself without that lock in
//! 10 us, and on version 2 `CLONE_INTO_CGROUP` has the same effect. `libcontainer` moves by process id, so the
//! shim's mount namespace shows it no cgroups at all, and the builder joins them before it begins.

mod adopt;
mod bundle;
mod capability;
mod cgroup;
mod container;
mod control;
mod delete;
mod error;
mod exec;
mod exec_session;
mod exec_shim;
mod identity;
mod limits;
mod output;
mod passing;
mod probe;
mod runtime;
mod session;
mod shim;
mod spec;
mod state;
mod watch;

pub use adopt::{Found, FoundState};
pub use capability::CapabilityChanges;
pub use cgroup::CgroupStats;
pub use error::{DeleteError, ExecError, SignalError, StartError, StartFailure, StartFailureKind};
pub use exec::{ExecRequest, ExecResult, health_check_command};
pub use exec_shim::exec_main;
pub use limits::LINE_BYTES_MAX;
pub use output::{OutputSink, Stream};
pub use probe::{Capabilities, CgroupLayout};
pub use runtime::{Runtime, RuntimeConfig, Started};
pub use session::{Session, SessionRequest, SessionSignals, SessionStreams, WindowSize};
pub use shim::shim_main;
pub use spec::{
    ContainerId, ContainerSpec, Mount, MountAccess, Network, OutputTarget, RootAccess, SpecError, StopSignal,
    TaskSpec, Tmpfs, Ulimit,
};
pub use state::ExitRecord;
pub use watch::ExitWatch;
