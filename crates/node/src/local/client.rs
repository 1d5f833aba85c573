//! The asking side.

use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{LocalReply, LocalRequest, LocalTask, MESSAGE_BYTES_MAX, receive, send};

/// Longer than a node waits for a connection into a task.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    #[error("no node answers at {path}: {source}")]
    Unreachable { path: PathBuf, source: io::Error },
    /// What the node said.
    #[error("{0}")]
    Refused(String),
    #[error("talking to the node: {0}")]
    Io(#[from] io::Error),
    #[error("the node answered something else than was asked")]
    Nonsense,
}

/// Asks the node at a socket; each question is a connection of its own.
#[derive(Debug, Clone)]
pub struct Client {
    path: PathBuf,
}

impl Client {
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Every task that has not stopped.
    pub fn tasks(&self) -> Result<Vec<LocalTask>, LocalError> {
        match self.ask(&LocalRequest::Tasks, None)? {
            (LocalReply::Tasks(tasks), _) => Ok(tasks),
            _ => Err(LocalError::Nonsense),
        }
    }

    /// Has a command's supervisor started in a container, by its runtime id; gives the near end of its link, for
    /// [`gantry_runtime::Session::begin`].
    pub fn open_session(&self, container: &str) -> Result<UnixStream, LocalError> {
        let (near, far) = UnixStream::pair()?;
        let request = LocalRequest::Exec { container: container.to_owned() };
        match self.ask(&request, Some(&OwnedFd::from(far)))? {
            (LocalReply::Supervised, _) => Ok(near),
            _ => Err(LocalError::Nonsense),
        }
    }

    /// Connects to a port of a container, by its runtime id, from inside its own network.
    pub fn connect(&self, container: &str, port: u16) -> Result<TcpStream, LocalError> {
        let request = LocalRequest::Connect { container: container.to_owned(), port };
        match self.ask(&request, None)? {
            (LocalReply::Connected, Some(socket)) => Ok(socket.into()),
            _ => Err(LocalError::Nonsense),
        }
    }

    fn ask(
        &self,
        request: &LocalRequest,
        beside: Option<&OwnedFd>,
    ) -> Result<(LocalReply, Option<OwnedFd>), LocalError> {
        let stream = UnixStream::connect(&self.path)
            .map_err(|source| LocalError::Unreachable { path: self.path.clone(), source })?;
        stream.set_read_timeout(Some(ANSWER_WAIT_MAX))?;
        send(&stream, request, beside)?;
        match receive(&stream, MESSAGE_BYTES_MAX)? {
            (LocalReply::Refused(words), _) => Err(LocalError::Refused(words)),
            answer => Ok(answer),
        }
    }
}
