//! Removing a container, whatever state a crash left it in.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::process::{WaitId, WaitIdOptions, waitid};

use crate::cgroup::Cgroup;
use crate::error::DeleteError;
use crate::identity::ProcessIdentity;
use crate::limits::KILL_TIMEOUT;
use crate::runtime::Runtime;
use crate::shim::send_signal;
use crate::spec::ContainerId;
use crate::state::{ContainerDirectory, ShimRecord};
use crate::watch::wait_readable;

/// The directory gets another name first. From then on nobody can write into it, so what it says is final: a shim
/// that has not said who it is finds it gone and ends, and one that has is ended here.
pub(crate) fn delete(runtime: &Runtime, id: &ContainerId) -> Result<(), DeleteError> {
    let directory = runtime.directory(id);
    let removed = removed_directory(runtime, id);
    // Left by a delete that was cut off.
    finish(runtime, id, &removed)?;
    // A builder that was at work makes libcontainer's directory again, with its parents, before it is killed; after
    // that nobody is left to make another.
    for _ in 0..ROUNDS_MAX {
        match fs::rename(directory.path(), removed.path()) {
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(error(id, "set aside the directory")(source)),
            Ok(()) => finish(runtime, id, &removed)?,
        }
    }
    Err(error(id, "remove the directory")(io::Error::other("somebody makes it again and again")))
}

/// Finishes the deletes that a crash cut off.
pub(crate) fn sweep(runtime: &Runtime) -> io::Result<()> {
    for entry in fs::read_dir(runtime.state_directory())? {
        let name = entry?.file_name();
        let id = name
            .to_str()
            .and_then(|name| name.strip_prefix(REMOVED))
            .and_then(|id| ContainerId::new(id).ok());
        if let Some(id) = id {
            finish(runtime, &id, &removed_directory(runtime, &id)).map_err(io::Error::other)?;
        }
    }
    Ok(())
}

/// First the processes, then the control groups, then the directory: each needs what the next removes.
fn finish(runtime: &Runtime, id: &ContainerId, directory: &ContainerDirectory) -> Result<(), DeleteError> {
    if !directory.path().exists() {
        return Ok(());
    }
    let record = directory.read_shim().ok();
    if let Some(record) = &record {
        end_processes(record).map_err(error(id, "end the processes"))?;
    }
    if let Some(group) = record.map(|record| record.cgroup).or_else(|| planned_group(runtime, id, directory))
    {
        group.remove().map_err(error(id, "remove the control groups"))?;
    }
    match fs::remove_dir_all(directory.path()) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(error(id, "remove the directory")(source))
        }
        _ => Ok(()),
    }
}

fn error(id: &ContainerId, attempted: &'static str) -> impl Fn(io::Error) -> DeleteError {
    move |source| DeleteError { attempted, what: format!("container {id}"), source }
}

fn removed_directory(runtime: &Runtime, id: &ContainerId) -> ContainerDirectory {
    ContainerDirectory::new(runtime.state_directory().join(format!("{REMOVED}{id}")))
}

const ROUNDS_MAX: usize = 5;
/// No id begins with a dot.
const REMOVED: &str = ".removed-";

/// Where the groups would be if the shim died before it could say so.
fn planned_group(runtime: &Runtime, id: &ContainerId, directory: &ContainerDirectory) -> Option<Cgroup> {
    directory.read_spec().ok().map(|spec| runtime.container_group(&spec.task, id))
}

fn end_processes(record: &ShimRecord) -> io::Result<()> {
    let Some(shim) = record.shim.open() else { return Ok(()) };
    // A shim that outlives its container writes down the end. One that has none yet has nothing to say.
    let container = record.container.as_ref().and_then(ProcessIdentity::alive);
    let orderly = match &container {
        Some(container) => {
            // A container that has just ended cannot be killed; its shim is about to end too.
            let _ = send_signal(container, nix::libc::SIGKILL);
            true
        }
        None => record.container.is_some(),
    };
    if !(orderly && wait_readable(shim.as_fd(), KILL_TIMEOUT)?) {
        let _ = send_signal(&shim, nix::libc::SIGKILL);
        if !wait_readable(shim.as_fd(), KILL_TIMEOUT)? {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "its shim does not end"));
        }
    }
    reap(&shim);
    Ok(())
}

/// The shim of a container that this process started is its child, and stays in the process table until waited for.
fn reap(shim: &OwnedFd) {
    let _ = waitid(WaitId::PidFd(shim.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
}
