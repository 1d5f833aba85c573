//! Removing a container, whatever state a crash left it in.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

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

/// First the processes, then the control groups, then the directory: each needs what the next removes.
pub(crate) fn delete(runtime: &Runtime, id: &ContainerId) -> Result<(), DeleteError> {
    let directory = runtime.directory(id);
    let error = |attempted: &'static str| {
        move |source| DeleteError { attempted, what: format!("container {id}"), source }
    };
    if !directory.path().exists() {
        return Ok(());
    }
    let record = directory.read_shim().ok();
    if let Some(record) = &record {
        end_processes(record).map_err(error("end the processes"))?;
    }
    if let Some(group) = record.map(|record| record.cgroup).or_else(|| planned_group(runtime, id, &directory))
    {
        group.remove().map_err(error("remove the control groups"))?;
    }
    // Under another name first: a shim that did not live to say who it is cannot write into it any more, and the id
    // is free at once.
    let removed = runtime.state_directory().join(format!("{REMOVED}{id}"));
    remove_directory(&removed)
        .and_then(|()| fs::rename(directory.path(), &removed))
        .and_then(|()| remove_directory(&removed))
        .map_err(error("remove the directory"))
}

/// Removes the directories of deletes that a crash cut off.
pub(crate) fn sweep(state_directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(state_directory)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(REMOVED.as_bytes()) {
            remove_directory(&entry.path())?;
        }
    }
    Ok(())
}

/// No id begins with a dot.
const REMOVED: &str = ".removed-";

fn remove_directory(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

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
