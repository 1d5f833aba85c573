//! What node and shim say to each other: one JSON object a line, over a socket in the container's directory.

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use gantry_types::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::StartFailure;
use crate::limits::CONTROL_LINE_BYTES_MAX;
use crate::state::{CONTROL_SOCKET, ContainerDirectory, ExitRecord};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    Signal {
        signal: i32,
    },
    /// A signal now, and SIGKILL when the time is over: kept by the shim, so it happens without the node.
    Stop {
        signal: i32,
        timeout_ms: u64,
    },
    /// Answered with `Exited` when the container ends.
    Watch,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    Started { pid: i32, started_at: Timestamp, unenforced: Vec<String> },
    Failed(StartFailure),
    Exited(ExitRecord),
    Done,
    Refused { errno: i32 },
}

pub(crate) fn connect(directory: &ContainerDirectory) -> io::Result<UnixStream> {
    // A socket's address holds 107 bytes; a path through the directory's descriptor always fits.
    let handle = std::fs::File::open(directory.path())?;
    UnixStream::connect(format!("/proc/self/fd/{}/{CONTROL_SOCKET}", handle.as_raw_fd()))
}

pub(crate) fn write_line<T: Serialize>(mut stream: impl Write, message: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// Collects one line from reads of any size.
#[derive(Debug, Default)]
pub(crate) struct LineBuffer(Vec<u8>);

/// What a read brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming<T> {
    Message(T),
    /// Nothing more for now.
    Pending,
    Closed,
}

impl LineBuffer {
    /// Reads until a line is whole, the stream has no more for now, or it ends.
    pub(crate) fn read<T: DeserializeOwned>(&mut self, mut stream: impl Read) -> io::Result<Incoming<T>> {
        loop {
            if let Some(end) = self.0.iter().position(|byte| *byte == b'\n') {
                let rest = self.0.split_off(end + 1);
                let line = std::mem::replace(&mut self.0, rest);
                return serde_json::from_slice(&line).map(Incoming::Message).map_err(io::Error::from);
            }
            if self.0.len() > CONTROL_LINE_BYTES_MAX {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a control message is too long"));
            }
            let mut chunk = [0; 4096];
            match stream.read(&mut chunk) {
                Ok(0) => return Ok(Incoming::Closed),
                Ok(count) => self.0.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Incoming::Pending),
                Err(error) => return Err(error),
            }
        }
    }

    /// What was read beyond the last line.
    pub(crate) fn into_rest(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_whatever_the_reads() {
        let requests = [Request::Stop { signal: 15, timeout_ms: 30_000 }, Request::Watch];
        let mut text = Vec::new();
        for request in &requests {
            write_line(&mut text, request).unwrap();
        }
        let mut buffer = LineBuffer::default();
        let mut found = Vec::new();
        for byte in &text {
            match buffer.read::<Request>(std::slice::from_ref(byte)).unwrap() {
                Incoming::Message(request) => found.push(request),
                Incoming::Closed => {}
                Incoming::Pending => panic!("a slice never waits"),
            }
        }
        assert_eq!(found, requests);
    }

    #[test]
    fn garbage_and_endless_lines_are_errors() {
        assert!(LineBuffer::default().read::<Request>(&b"{]\n"[..]).is_err());
        let endless = vec![b'x'; CONTROL_LINE_BYTES_MAX * 2];
        assert!(LineBuffer::default().read::<Request>(&endless[..]).is_err());
    }
}
