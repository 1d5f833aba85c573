//! Which process a process id means: ids are used again, so a recorded one is believed only together with the
//! process's start time and the boot of the machine.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use crate::watch::wait_readable;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessIdentity {
    pub(crate) pid: i32,
    /// In the kernel's ticks since boot.
    pub(crate) start_ticks: u64,
    pub(crate) boot_id: String,
}

impl ProcessIdentity {
    pub(crate) fn of(pid: i32) -> io::Result<Self> {
        Ok(Self { pid, start_ticks: start_ticks(pid)?, boot_id: boot_id()? })
    }

    /// A descriptor of the process if it runs.
    pub(crate) fn alive(&self) -> Option<OwnedFd> {
        let pidfd = self.open()?;
        // One that has ended and that nobody has waited for yet still has its id.
        let ended = wait_readable(pidfd.as_fd(), Duration::ZERO).unwrap_or(true);
        (!ended).then_some(pidfd)
    }

    /// A descriptor of the process if it still is the one that was recorded, ended or not.
    pub(crate) fn open(&self) -> Option<OwnedFd> {
        if boot_id().ok()? != self.boot_id {
            return None;
        }
        let pidfd = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::empty()).ok()?;
        // Read after the open: if the id now has the recorded start time, the descriptor is of that process too.
        (start_ticks(self.pid).ok()? == self.start_ticks).then_some(pidfd)
    }
}

fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

fn start_ticks(pid: i32) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_start_ticks(&stat)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/PID/stat has no start time"))
}

/// The 22nd field. The second is the program's name in parentheses, which may itself hold spaces and parentheses.
fn parse_start_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_is_found_behind_any_name() {
        let stat = "7 (a ) (b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 9876 100 200";
        assert_eq!(parse_start_ticks(stat), Some(9876));
        assert_eq!(parse_start_ticks("7 (a) S 1"), None);
    }

    #[test]
    fn a_process_of_another_time_or_boot_is_not_believed() {
        let own = ProcessIdentity::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(own.open().is_some() && own.alive().is_some());
        assert!(ProcessIdentity { start_ticks: own.start_ticks + 1, ..own.clone() }.open().is_none());
        assert!(ProcessIdentity { boot_id: "another".to_owned(), ..own.clone() }.open().is_none());
        assert!(ProcessIdentity { pid: 0, ..own }.open().is_none());
    }

    #[test]
    fn an_ended_child_is_not_alive_even_before_it_is_waited_for() {
        let mut child = std::process::Command::new("/bin/sh")
            .args(["-c", "read line"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let identity = ProcessIdentity::of(i32::try_from(child.id()).unwrap()).unwrap();
        let pidfd = identity.alive().unwrap();
        drop(child.stdin.take());
        assert!(wait_readable(pidfd.as_fd(), Duration::from_secs(30)).unwrap());
        assert!(identity.alive().is_none() && identity.open().is_some());
        child.wait().unwrap();
        assert!(identity.open().is_none());
    }
}
