//! One server per state directory, one process per role.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use thiserror::Error;

#[derive(Debug, Error)]
pub enum LockError {
    #[error("process {pid} holds {path}")]
    Held { path: PathBuf, pid: u32 },
    #[error("opening the lock {path}: {source}")]
    Open { path: PathBuf, source: io::Error },
}

/// A lock that ends with the process that holds it, however that ends.
#[derive(Debug)]
pub struct ServerLock {
    _file: fs::File,
}

impl ServerLock {
    /// Takes the lock, waiting for a holder that is about to end, and writes this process's id into it.
    pub fn take(path: &Path, wait_max: Duration) -> Result<Self, LockError> {
        let open_failed = |source| LockError::Open { path: path.to_owned(), source };
        let mut file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(open_failed)?;
        let give_up = Instant::now() + wait_max;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) if Instant::now() < give_up => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(Errno::WOULDBLOCK) => {
                    return Err(LockError::Held { path: path.to_owned(), pid: read_pid(&file).unwrap_or(0) });
                }
                Err(error) => return Err(open_failed(error.into())),
            }
        }
        file.set_len(0).map_err(open_failed)?;
        writeln!(file, "{}", std::process::id()).map_err(open_failed)?;
        Ok(Self { _file: file })
    }
}

/// The process that holds the lock; `None` when nobody does.
pub fn running_pid(path: &Path) -> io::Result<Option<u32>> {
    let file = match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(None),
        Err(Errno::WOULDBLOCK) => Ok(read_pid(&file)),
        Err(error) => Err(error.into()),
    }
}

/// Tells the server to end at once and leave its load balancer and containers to the next one.
pub fn hand_over_pid(pid: u32) -> io::Result<()> {
    signal(pid, Signal::USR2)
}

/// Tells the server to end in order.
pub(crate) fn signal(pid: u32, signal: Signal) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(kill_process(pid, signal)?)
}

fn read_pid(mut file: &fs::File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_told_who_the_first_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        assert_eq!(running_pid(&path).unwrap(), None);
        let first = ServerLock::take(&path, Duration::ZERO).unwrap();
        let error = ServerLock::take(&path, Duration::from_millis(5)).unwrap_err();
        assert!(matches!(error, LockError::Held { pid, .. } if pid == std::process::id()), "{error}");
        assert_eq!(running_pid(&path).unwrap(), Some(std::process::id()));
        drop(first);
        assert_eq!(running_pid(&path).unwrap(), None);
        ServerLock::take(&path, Duration::ZERO).unwrap();
    }
}
