//! Locks between processes: `flock` on files of the store. The kernel gives them back when a process dies.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::StoreError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Many at once, but none beside an exclusive one.
    Shared,
    Exclusive,
}

/// Held until dropped.
#[derive(Debug)]
pub(crate) struct FileLock {
    _file: File,
}

impl FileLock {
    /// Takes the lock if nobody stands in the way.
    pub(crate) fn try_take(path: &Path, mode: Mode) -> Result<Option<Self>, StoreError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|error| StoreError::io("open the lock", path, error))?;
        let operation = match mode {
            Mode::Shared => FlockOperation::NonBlockingLockShared,
            Mode::Exclusive => FlockOperation::NonBlockingLockExclusive,
        };
        match flock(&file, operation) {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(StoreError::io("take the lock", path, error)),
        }
    }

    /// Waits for the lock at most `wait`. `flock` itself knows no bound, so this asks again and again.
    pub(crate) fn take(path: &Path, mode: Mode, wait: Duration) -> Result<Self, StoreError> {
        const PAUSE_MAX: Duration = Duration::from_millis(50);
        let begun = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(lock) = Self::try_take(path, mode)? {
                return Ok(lock);
            }
            if begun.elapsed() >= wait {
                return Err(StoreError::Busy { path: path.to_owned(), waited: wait });
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}
