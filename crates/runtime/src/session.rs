//! A command beside a container's program whose streams somebody outside holds: a person at a terminal, or a pipe.
//!
//! Whoever wants it makes a pair of sockets, has the runtime start a supervisor on the one ([`crate::Runtime::open_session`])
//! and speaks through the other ([`Session::begin`]). So what the command reads and says passes nobody else, and the process
//! that started the supervisor may end meanwhile. The command gets pipes or a terminal of the container's own, never a
//! descriptor that leads to a file or a terminal outside.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::control::{Incoming, LineBuffer, write_line};
use crate::error::{ExecError, StartFailure};
use crate::exec::check_program;
use crate::limits::START_TIMEOUT;
use crate::passing;
use crate::spec::ContainerId;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRequest {
    pub command: Vec<String>,
    /// Added to, and stronger than, the container's own.
    #[serde(default)]
    pub environment: Vec<(String, String)>,
    /// The container's when `None`.
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub working_directory: Option<PathBuf>,
    /// A terminal of this size in place of the three pipes.
    #[serde(default)]
    pub terminal: Option<WindowSize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowSize {
    pub rows: u16,
    pub columns: u16,
}

/// A command that runs. Dropping it kills the command and all that it made.
#[derive(Debug)]
pub struct Session {
    link: UnixStream,
    buffer: LineBuffer,
}

/// Sends signals to a session's command. The session lives as long as this does.
#[derive(Debug)]
pub struct SessionSignals {
    link: UnixStream,
}

/// How a command is joined with the outside.
#[derive(Debug)]
pub enum SessionStreams {
    /// Its standard input, output and error: the ends that the command gets.
    Pipes([OwnedFd; 3]),
    /// A terminal of the container's own, whose other side the session gives.
    Terminal,
}

/// From whoever holds the session to the supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum SessionOrder {
    Signal { signal: i32 },
}

/// And back. The terminal comes beside `Started`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum SessionReply {
    Started,
    NotRunning,
    Failed(StartFailure),
    Ended { exit_code: Option<i32> },
}

impl SessionRequest {
    pub(crate) fn check(&self) -> Result<(), crate::spec::SpecError> {
        check_program(&self.command, &self.environment, self.working_directory.as_deref())
    }
}

impl Session {
    /// Asks the supervisor at the other end of `link` for a command; returns when its program runs, with the terminal if there
    /// is one.
    pub fn begin(
        link: UnixStream,
        container: &ContainerId,
        request: SessionRequest,
        streams: SessionStreams,
    ) -> Result<(Self, Option<OwnedFd>), ExecError> {
        request.check()?;
        let io = |attempted| move |source| ExecError::Io { attempted, source };
        let pipes = match streams {
            SessionStreams::Pipes(pipes) => Vec::from(pipes),
            SessionStreams::Terminal => Vec::new(),
        };
        let descriptors: Vec<BorrowedFd<'_>> = pipes.iter().map(AsFd::as_fd).collect();
        passing::send_line(&link, &crate::exec::ExecOrder::Session(request), &descriptors)
            .map_err(io("ask for the command"))?;
        // The command has its own copies: when it ends, so do the pipes.
        drop(pipes);
        link.set_read_timeout(Some(START_TIMEOUT)).map_err(io("hear from the command's supervisor"))?;
        let mut buffer = LineBuffer::default();
        let mut received = Vec::new();
        let reply = passing::receive_line(&link, &mut buffer, &mut received)
            .map_err(io("hear from the command's supervisor"))?;
        link.set_read_timeout(None).map_err(io("hear from the command's supervisor"))?;
        match reply {
            Incoming::Message(SessionReply::Started) => Ok((Self { link, buffer }, received.pop())),
            Incoming::Message(SessionReply::Failed(failure)) => Err(ExecError::Failed(failure)),
            Incoming::Message(SessionReply::NotRunning) => Err(ExecError::NotRunning(container.clone())),
            Incoming::Message(SessionReply::Ended { .. }) | Incoming::Closed => {
                Err(io("hear from the command's supervisor")(io::ErrorKind::UnexpectedEof.into()))
            }
            Incoming::Pending => {
                Err(io("hear from the command's supervisor")(io::ErrorKind::TimedOut.into()))
            }
        }
    }

    /// The way to send signals while somebody waits for the end.
    pub fn signals(&self) -> io::Result<SessionSignals> {
        Ok(SessionSignals { link: self.link.try_clone()? })
    }

    /// Waits for the end: what the command returned, or 128 and the signal that killed it. `None` when nobody saw it.
    pub fn wait(&mut self, wait_max: Option<Duration>) -> io::Result<Option<i32>> {
        self.link.set_read_timeout(wait_max)?;
        match self.buffer.read(&self.link)? {
            Incoming::Message(SessionReply::Ended { exit_code }) => Ok(exit_code),
            Incoming::Message(_) => Err(io::ErrorKind::InvalidData.into()),
            Incoming::Pending => Err(io::ErrorKind::TimedOut.into()),
            Incoming::Closed => Ok(None),
        }
    }
}

impl SessionSignals {
    pub fn send(&self, signal: i32) -> io::Result<()> {
        write_line(&self.link, &SessionOrder::Signal { signal })
    }
}
