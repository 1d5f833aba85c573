//! Waiting for containers' ends, without asking.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use gantry_runtime::{ExitRecord, ExitWatch};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::core::Exit;

struct Watched(ExitWatch);

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// Returns when the container has ended.
pub(super) async fn wait(watch: ExitWatch) -> io::Result<Exit> {
    // SAFETY: a watch owns the one socket that it was made with, and neither closes nor replaces it before it is dropped.
    let mut watch = unsafe { AsyncFd::register_with_interest(Watched(watch), Interest::READABLE) }?;
    loop {
        let mut guard = watch.readable_mut().await?;
        if let Some(record) = guard.get_inner_mut().0.try_read() {
            return Ok(exit_of(record));
        }
        guard.clear_ready();
    }
}

pub(super) fn exit_of(record: ExitRecord) -> Exit {
    if record.output_lines_lost > 0 {
        tracing::warn!(
            lines = record.output_lines_lost,
            "output of a container was lost: the disk refused it"
        );
    }
    Exit {
        code: record.exit_code,
        out_of_memory: record.oom_killed,
        reason: record.error.map(|failure| failure.message),
        at: record.finished_at,
    }
}
