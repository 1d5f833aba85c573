//! Waiting for a container's end without asking again and again.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use gantry_types::Timestamp;
use rustix::event::{PollFd, PollFlags, poll};

use crate::control::{Incoming, LineBuffer, Reply};
use crate::error::{StartFailure, StartFailureKind};
use crate::state::{ContainerDirectory, ExitRecord};

/// A connection to a container's shim that becomes readable when the container has ended.
///
/// Its descriptor may be given to any event loop; it is non-blocking. When it is readable, [`ExitWatch::try_read`]
/// says how the container ended.
#[derive(Debug)]
pub struct ExitWatch {
    stream: UnixStream,
    buffer: LineBuffer,
    directory: ContainerDirectory,
}

impl ExitWatch {
    pub(crate) fn new(
        stream: UnixStream,
        buffer: LineBuffer,
        directory: ContainerDirectory,
    ) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { stream, buffer, directory })
    }

    /// How the container ended; `None` while it runs.
    pub fn try_read(&mut self) -> Option<ExitRecord> {
        match self.buffer.read(&self.stream) {
            Ok(Incoming::Message(Reply::Exited(record))) => Some(record),
            Ok(Incoming::Pending) => None,
            // The shim is gone, or speaks in riddles: its file knows, if it lived to write it.
            Ok(Incoming::Message(_) | Incoming::Closed) | Err(_) => Some(recorded_end(&self.directory)),
        }
    }

    /// Waits for the end, at most as long as the timeout.
    pub fn wait(&mut self, timeout: Duration) -> Option<ExitRecord> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(record) = self.try_read() {
                return Some(record);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            // An interrupted wait looks again.
            let _ = wait_readable(self.stream.as_fd(), left);
        }
    }
}

impl AsFd for ExitWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl AsRawFd for ExitWatch {
    fn as_raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}

/// True when the descriptor became readable (or ended) in time.
pub(crate) fn wait_readable(descriptor: BorrowedFd<'_>, timeout: Duration) -> io::Result<bool> {
    let mut descriptors = [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)];
    let timeout = timeout.try_into().map_err(|_| io::ErrorKind::InvalidInput)?;
    Ok(poll(&mut descriptors, Some(&timeout))? > 0)
}

/// What is known of a container whose shim has ended.
pub(crate) fn recorded_end(directory: &ContainerDirectory) -> ExitRecord {
    directory.read_exit().unwrap_or_else(|_| ExitRecord {
        exit_code: None,
        signal: None,
        oom_killed: false,
        started_at: directory.read_shim().ok().and_then(|shim| shim.started_at),
        finished_at: Timestamp::now(),
        error: Some(StartFailure::new(
            StartFailureKind::Lost,
            "the container's shim was killed, so the container was killed too and its exit code is unknown",
        )),
        output_lines_lost: 0,
    })
}
