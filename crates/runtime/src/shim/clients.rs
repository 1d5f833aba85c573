//! Who talks to a shim: the node that started it, and whoever connects to its socket.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};

use crate::control::{Incoming, LineBuffer, Reply, Request, write_line};
use crate::limits::CONTROL_CLIENTS_MAX;

pub(super) struct Clients {
    listener: UnixListener,
    clients: Vec<Client>,
}

struct Client {
    stream: UnixStream,
    buffer: LineBuffer,
    /// Is told of the end.
    watches: bool,
}

impl Clients {
    /// The node that started the container watches it from the beginning.
    pub(super) fn new(listener: UnixListener, link: Option<UnixStream>) -> io::Result<Self> {
        let mut clients = Self { listener, clients: Vec::new() };
        if let Some(link) = link {
            clients.add(link, true)?;
        }
        Ok(clients)
    }

    fn add(&mut self, stream: UnixStream, watches: bool) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        self.clients.push(Client { stream, buffer: LineBuffer::default(), watches });
        Ok(())
    }

    /// The listener first, then each client in order.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.listener.as_fd()).chain(self.clients.iter().map(|client| client.stream.as_fd()))
    }

    /// Serves what became ready; `ready` is in the order of [`Self::descriptors`].
    pub(super) fn serve(
        &mut self,
        ready: &[bool],
        mut act: impl FnMut(&Request) -> Result<(), rustix::io::Errno>,
    ) {
        let mut index = 0;
        self.clients.retain_mut(|client| {
            index += 1;
            !ready.get(index).copied().unwrap_or(false) || client.serve(&mut act)
        });
        if ready.first().copied().unwrap_or(false) {
            // One at a time: the listener stays ready while more wait.
            if let Ok((stream, _)) = self.listener.accept()
                && self.clients.len() < CONTROL_CLIENTS_MAX
            {
                let _ = self.add(stream, false);
            }
        }
    }

    /// Tells all that watch, those included that connected at the last moment.
    pub(super) fn announce(mut self, end: &Reply) {
        while let Ok((stream, _)) = self.listener.accept() {
            if self.clients.len() >= CONTROL_CLIENTS_MAX || self.add(stream, false).is_err() {
                break;
            }
        }
        for client in &mut self.clients {
            // A request that came too late is answered by the end as well.
            let asked = client.watches
                || matches!(client.buffer.read::<Request>(&client.stream), Ok(Incoming::Message(_)));
            if asked {
                let _ = write_line(&client.stream, end);
            }
        }
    }
}

impl Client {
    /// False when the connection is over. Replies are far smaller than a socket's buffer, so one that does not fit
    /// belongs to a client that never reads.
    fn serve(&mut self, act: &mut impl FnMut(&Request) -> Result<(), rustix::io::Errno>) -> bool {
        loop {
            match self.buffer.read(&self.stream) {
                Ok(Incoming::Message(Request::Watch)) => self.watches = true,
                Ok(Incoming::Message(request)) => {
                    let reply = match act(&request) {
                        Ok(()) => Reply::Done,
                        Err(error) => Reply::Refused { errno: error.raw_os_error() },
                    };
                    if write_line(&self.stream, &reply).is_err() {
                        return false;
                    }
                }
                Ok(Incoming::Pending) => return true,
                Ok(Incoming::Closed) | Err(_) => return false,
            }
        }
    }
}
