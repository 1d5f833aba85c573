//! Ending every process of a group, and the group.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{read, write};
use crate::limits::{KILL_ROUNDS_MAX, KILL_TIMEOUT};

/// Removes a group and those below it, after killing what runs there. What is gone already is fine.
pub(super) fn remove_tree(directory: &Path) -> io::Result<()> {
    match fs::remove_dir(directory) {
        Ok(()) => return Ok(()),
        Err(error) if is_gone(&error) => return Ok(()),
        // It has groups below or processes.
        Err(_) => {}
    }
    // Somebody else, a shim at its end, may take groups away at the same time.
    let below = match fs::read_dir(directory) {
        Err(error) if is_gone(&error) => return Ok(()),
        other => other?,
    };
    for entry in below {
        let entry = match entry {
            Err(error) if is_gone(&error) => return Ok(()),
            other => other?,
        };
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    for _ in 0..KILL_ROUNDS_MAX {
        kill_all(directory)?;
        match fs::remove_dir(directory) {
            // Newer kernels take a process out of its group a moment after its end can be seen.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => std::thread::yield_now(),
            Err(error) if !is_gone(&error) => {
                return Err(super::explain(&error, "remove", directory));
            }
            _ => return Ok(()),
        }
    }
    Err(super::explain(&io::ErrorKind::ResourceBusy.into(), "remove", directory))
}

/// A file of a group that was removed after it was opened answers that there is no such device.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(Errno::NODEV.raw_os_error())
}

/// Kills every process of the group and waits until they have ended.
///
/// New processes are stopped first, so that a fork bomb cannot outrun the kill.
pub(super) fn kill_all(directory: &Path) -> io::Result<()> {
    let deadline = Instant::now() + KILL_TIMEOUT;
    // Version 2 kills atomically; on version 1 only the hierarchy that counts processes has the other file.
    if write(&directory.join("cgroup.kill"), "1").is_err() {
        let _ = write(&directory.join("pids.max"), "0");
    }
    for _ in 0..KILL_ROUNDS_MAX {
        let processes = processes(directory)?;
        if processes.is_empty() {
            return Ok(());
        }
        for process in &processes {
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
        for process in &processes {
            wait_end(process, deadline)?;
        }
    }
    Err(io::Error::new(
        io::ErrorKind::TimedOut,
        format!("{} still has processes after they were killed", directory.display()),
    ))
}

fn processes(directory: &Path) -> io::Result<Vec<OwnedFd>> {
    let text = match read(&directory.join("cgroup.procs")) {
        Err(error) if is_gone(&error) => return Ok(Vec::new()),
        other => other?,
    };
    let mut processes = Vec::new();
    // Zero is a process of a namespace that cannot be seen from here.
    for pid in text.lines().filter_map(|line| Pid::from_raw(line.trim().parse().ok()?)) {
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(process) => processes.push(process),
            Err(Errno::SRCH) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(processes)
}

fn wait_end(process: &OwnedFd, deadline: Instant) -> io::Result<()> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = left.try_into().map_err(|_| io::ErrorKind::InvalidInput)?;
        match poll(&mut [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)], Some(&timeout)) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::TimedOut, "a killed process does not end")),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
