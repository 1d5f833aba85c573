//! The short-lived process that becomes a member of the container's groups and has `libcontainer` build it.
//!
//! It is a fork of the shim (or of an exec's supervisor), so that what `libcontainer` does to its own process (its
//! groups, whether it can be dumped, its working directory, its memory) does not happen to the one that stays. The
//! container's first process is made as its sibling: a child of the shim.

use std::fmt::Write as _;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::error::LibcontainerError;
use libcontainer::syscall::syscall::SyscallType;
use nix::libc;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, set_parent_process_death_signal, waitpid,
};
use serde::{Deserialize, Serialize};

use super::runtime_failure;
use crate::cgroup::Join;
use crate::container::payload::{Payload, read_report};
use crate::control::{Incoming, LineBuffer, write_line};
use crate::error::{StartFailure, StartFailureKind};
use crate::spec::ContainerId;
use crate::state::ContainerDirectory;

/// What is built.
#[derive(Debug)]
pub(crate) enum Build<'a> {
    Container {
        id: &'a ContainerId,
        directory: &'a ContainerDirectory,
    },
    /// Another process in a container that runs, described by a file.
    Exec {
        id: &'a ContainerId,
        /// Where libcontainer finds the container's state.
        root: &'a Path,
        process: &'a Path,
        /// Where a terminal is sent; `None` where there is none.
        console: Option<&'a Path>,
    },
}

pub(crate) struct StandardStreams {
    pub(crate) stdin: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}

/// A process that executes its program, and is a child of the caller.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
}

#[derive(Debug, Serialize, Deserialize)]
enum Outcome {
    Made { pid: i32 },
    Failed(StartFailure),
}

/// Builds, starts, and returns when the program is executed. The caller has one thread.
pub(crate) fn build(
    join: &Join,
    streams: StandardStreams,
    payload: impl FnOnce(&OwnedFd) -> Result<Payload, StartFailure>,
    what: &Build<'_>,
) -> Result<Built, StartFailure> {
    let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(|error| runtime_failure("make a pipe", error));
    let (outcome, outcome_writer) = pipe()?;
    let (report, report_writer) = pipe()?;
    let payload = payload(&report_writer)?;
    let builder =
        match fork_into(join).map_err(|error| runtime_failure("fork the container's builder", error))? {
            Fork::Child => {
                drop((outcome, report));
                let result = catch_unwind(AssertUnwindSafe(|| run(join, streams, payload, what)))
                    .unwrap_or_else(|_| Err(runtime_failure("build the container", "the builder panicked")));
                let outcome = match result {
                    Ok(pid) => Outcome::Made { pid },
                    Err(failure) => Outcome::Failed(failure),
                };
                let written = write_line(std::fs::File::from(outcome_writer), &outcome);
                // SAFETY: _exit has no preconditions; this copy of the shim's memory must not be cleaned up.
                unsafe { libc::_exit(i32::from(written.is_err())) }
            }
            Fork::Parent(builder) => builder,
        };
    drop((streams, outcome_writer, report_writer, payload));
    let outcome = LineBuffer::default().read(std::fs::File::from(outcome));
    // The builder ends by itself now.
    let _ = waitpid(Some(builder), WaitOptions::empty());
    let built = match outcome {
        Ok(Incoming::Message(Outcome::Made { pid })) => open_built(pid),
        Ok(Incoming::Message(Outcome::Failed(failure))) => Err(failure),
        Ok(Incoming::Pending | Incoming::Closed) => {
            Err(runtime_failure("build the container", "the builder was killed"))
        }
        Err(error) => Err(runtime_failure("hear from the container's builder", error)),
    };
    // What the payload says is exact; the rest is what libcontainer makes of it.
    match read_report(report) {
        Ok(Some(failure)) => Err(failure),
        Ok(None) => built,
        Err(error) => built.and(Err(runtime_failure("hear from the container's first process", error))),
    }
}

fn open_built(pid: i32) -> Result<Built, StartFailure> {
    let process =
        Pid::from_raw(pid).ok_or_else(|| runtime_failure("build the container", "it has no process"))?;
    // It is a child of this process and nobody has waited for it, so the id is its own.
    let pidfd = pidfd_open(process, PidfdFlags::empty())
        .map_err(|error| runtime_failure("open the container's first process", error))?;
    reap_strays(pid);
    Ok(Built { pid, pidfd })
}

/// Reaps children other than the container's first process: `libcontainer`'s own go-between.
pub(crate) fn reap_strays(container: i32) {
    let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    while let Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..)) = waitid(Id::All, peek) {
        if pid.as_raw() == container {
            return;
        }
        let _ = waitpid(Pid::from_raw(pid.as_raw()), WaitOptions::empty());
    }
}

/// In the builder.
fn run(
    join: &Join,
    streams: StandardStreams,
    payload: Payload,
    what: &Build<'_>,
) -> Result<i32, StartFailure> {
    default_signals();
    // Without the shim nobody wants the container. The container's own processes see to that themselves.
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| runtime_failure("bind the container's builder to its shim", error))?;
    join.enter().map_err(|error| {
        StartFailure::new(
            StartFailureKind::Cgroup,
            format!("could not join the container's control groups: {error}"),
        )
    })?;
    match what {
        Build::Container { id, directory } => {
            let mut container = base(id, &directory.oci(), streams, payload)
                .and_then(|base| {
                    base.as_init(directory.bundle())
                        .with_systemd(false)
                        .with_detach(true)
                        .as_sibling(true)
                        .build()
                })
                .map_err(|error| explain(&error))?;
            let pid =
                container.pid().ok_or_else(|| runtime_failure("build the container", "it has no process"))?;
            container.start().map_err(|error| explain(&error))?;
            Ok(pid.as_raw())
        }
        Build::Exec { id, root, process, console } => base(id, root, streams, payload)
            .and_then(|base| {
                base.with_console_socket(*console)
                    .as_tenant()
                    .with_process(Some(process))
                    .with_detach(true)
                    .as_sibling(true)
                    .build()
            })
            .map(|pid| pid.as_raw())
            .map_err(|error| explain(&error)),
    }
}

fn base(
    id: &ContainerId,
    root: &Path,
    streams: StandardStreams,
    payload: Payload,
) -> Result<ContainerBuilder, LibcontainerError> {
    ContainerBuilder::new(id.to_string(), SyscallType::Linux)
        .with_root_path(root)?
        .with_stdin(streams.stdin)
        .with_stdout(streams.stdout)
        .with_stderr(streams.stderr)
        .with_executor(payload)
        .validate_id()
}

/// What the shim ignores, the container must not inherit as ignored.
fn default_signals() {
    // Handler, flags, restorer and mask of the kernel's structure: all zero is the default action.
    let default = [0_u64; 4];
    for signal in 1..=64 {
        // Not through the C library, which refuses to touch the two signals that it uses itself.
        // SAFETY: the kernel reads the structure and installs no handler; signals that cannot be set are refused.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                std::ptr::null_mut::<u64>(),
                size_of::<u64>(),
            );
        }
    }
}

/// `libcontainer` keeps what happened in the chain of sources.
fn explain(error: &LibcontainerError) -> StartFailure {
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        let text = error.to_string();
        if !message.contains(&text) {
            let _ = write!(message, ": {text}");
        }
        source = error.source();
    }
    StartFailure::new(StartFailureKind::Runtime, message)
}

enum Fork {
    Parent(Pid),
    Child,
}

fn fork_into(join: &Join) -> io::Result<Fork> {
    let pid = match join {
        // SAFETY: the process has one thread, so the child may do whatever the parent might.
        Join::V1(_) => i64::from(unsafe { libc::fork() }),
        Join::V2(group) => clone_into(group),
    };
    match pid {
        ..0 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        pid => {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            pid.map(Fork::Parent).ok_or_else(|| io::Error::other("the kernel gave an impossible process id"))
        }
    }
}

/// A fork that is born in a version 2 group, so that no process has to be moved.
fn clone_into(group: &OwnedFd) -> i64 {
    let mut arguments: libc::clone_args =
        // SAFETY: all fields are integers; zero means "not used".
        unsafe { std::mem::zeroed() };
    arguments.flags = CLONE_INTO_CGROUP;
    arguments.exit_signal = u64::from(libc::SIGCHLD.unsigned_abs());
    arguments.cgroup = u64::from(group.as_raw_fd().unsigned_abs());
    // SAFETY: without CLONE_VM this is a fork: the child has its own copy of everything. The process has one thread,
    // so no lock of another can be left locked in the copy.
    unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>()) }
}

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
