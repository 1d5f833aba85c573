//! How a load balancer that outlived its supervisor gives its sockets to the next one.
//!
//! Every load balancer listens at `run/handoff.sock` from its start, so that a new supervisor finds it however soon it comes; the
//! one that started last has the path. It answers only when its own supervisor is gone. Then: offers, an end, and an order to
//! drain when the new load balancer serves. Until that order the old one accepts too, on the same sockets: no connection waits
//! for either. If the new supervisor dies before the order, the old load balancer just goes on, and offers again.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen, socket_with,
    sockopt,
};

use super::channel::Channel;
use super::message::{Offer, Order};
use super::{Client, NAMES_MAX};

/// An old load balancer answers at once, unless it hangs: then it is killed, and the new one starts without its sockets.
const OFFER_WAIT_MAX: Duration = Duration::from_secs(5);

/// The load balancer's side: made at its start.
#[derive(Debug)]
pub struct Offers {
    socket: OwnedFd,
}

impl Offers {
    /// Takes the path over from whoever had it.
    pub fn listen(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        bind(&socket, &SocketAddrUnix::new(path)?)?;
        listen(&socket, 4)?;
        Ok(Self { socket })
    }

    /// Blocks while the supervisor lives; then offers what the client holds to each that asks, and returns when one has ordered
    /// to drain.
    pub fn serve(&self, client: &Client) -> io::Result<()> {
        client.wait_for_end();
        loop {
            let peer = match accept_with(&self.socket, SocketFlags::CLOEXEC) {
                Ok(peer) => Channel::new(peer)?,
                Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNABORTED) => continue,
                Err(error) => return Err(error.into()),
            };
            if !is_ours(&peer) {
                continue;
            }
            // A supervisor that goes away in the middle takes nothing with it.
            if let Ok(true) = offer(&peer, client) {
                return Ok(());
            }
        }
    }
}

/// Whether the order to drain came.
fn offer(peer: &Channel, client: &Client) -> io::Result<bool> {
    for (name, set) in client.held()? {
        let beside: Vec<_> = set.iter().map(|descriptor| descriptor.as_fd()).collect();
        send_waiting(peer, &Offer::Descriptors { name }, &beside)?;
    }
    send_waiting(peer, &Offer::End { process: std::process::id() }, &[])?;
    peer.wait_for_packet()?;
    Ok(matches!(peer.receive::<Order>()?, Some(packet) if packet.message == Order::Drain))
}

/// More offers than a socket buffers wait for the reader, within the same bound as its own wait.
fn send_waiting(peer: &Channel, offer: &Offer, beside: &[std::os::fd::BorrowedFd<'_>]) -> io::Result<()> {
    loop {
        match peer.send(offer, beside) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => peer.wait_for_room(OFFER_WAIT_MAX)?,
            other => return other,
        }
    }
}

/// The directory keeps others out already; this holds even if its mode was changed.
fn is_ours(peer: &Channel) -> bool {
    sockopt::socket_peercred(peer)
        .is_ok_and(|credentials| credentials.uid.is_root() || credentials.uid == rustix::process::geteuid())
}

/// The new supervisor's side: what the old load balancer offered, and the connection that holds its attention.
#[derive(Debug)]
pub struct Taken {
    channel: Channel,
    pub process: u32,
    pub sets: Vec<(String, Vec<OwnedFd>)>,
}

/// An old load balancer is there and does not answer as it should.
#[derive(Debug, thiserror::Error)]
#[error("process {process} does not hand its sockets over: {source}")]
pub struct Stuck {
    pub process: u32,
    pub source: io::Error,
}

impl Taken {
    /// `None` when no load balancer is there, or none that could be asked.
    pub fn take(path: &Path) -> Result<Option<Self>, Stuck> {
        Self::take_within(path, OFFER_WAIT_MAX)
    }

    fn take_within(path: &Path, wait_max: Duration) -> Result<Option<Self>, Stuck> {
        let Ok(Some((channel, process))) = Self::connect(path) else { return Ok(None) };
        Self::receive(channel, wait_max).map_err(|source| Stuck { process, source })
    }

    fn connect(path: &Path) -> io::Result<Option<(Channel, u32)>> {
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        match connect(&socket, &SocketAddrUnix::new(path)?) {
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::CONNREFUSED) => return Ok(None),
            other => other?,
        }
        let peer = sockopt::socket_peercred(&socket)?.pid;
        let process = u32::try_from(peer.as_raw_nonzero().get()).map_err(io::Error::other)?;
        Ok(Some((Channel::new(socket)?, process)))
    }

    fn receive(channel: Channel, wait_max: Duration) -> io::Result<Option<Self>> {
        let mut sets = Vec::new();
        while let Some(packet) = channel.receive_within(wait_max)? {
            match packet.message {
                Offer::Descriptors { name } if sets.len() < NAMES_MAX => {
                    sets.push((name, packet.descriptors));
                }
                Offer::Descriptors { .. } => return Err(io::Error::other("more names than the limit")),
                Offer::End { process } => return Ok(Some(Self { channel, process, sets })),
            }
        }
        Ok(None)
    }

    /// The old load balancer finishes what is in flight and ends.
    pub fn drain(self) -> io::Result<()> {
        self.channel.send(&Order::Drain, &[])
    }
}

impl Channel {
    fn wait_for_packet(&self) -> io::Result<()> {
        loop {
            let mut descriptors = [PollFd::new(self, PollFlags::IN)];
            match poll(&mut descriptors, None) {
                Err(rustix::io::Errno::INTR) => {}
                other => return other.map(|_| ()).map_err(Into::into),
            }
        }
    }

    fn wait_for_room(&self, wait_max: Duration) -> io::Result<()> {
        let timeout = rustix::event::Timespec {
            tv_sec: wait_max.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: wait_max.subsec_nanos().into(),
        };
        let mut descriptors = [PollFd::new(self, PollFlags::OUT)];
        match poll(&mut descriptors, Some(&timeout)) {
            Ok(0) => Err(io::Error::new(io::ErrorKind::TimedOut, "the new supervisor does not read")),
            Err(rustix::io::Errno::INTR) | Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn one_that_does_not_answer_is_named_in_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("handoff.sock");
        let _silent = Offers::listen(&path).unwrap();
        let stuck = Taken::take_within(&path, Duration::from_millis(20)).expect_err("nothing is offered");
        assert_eq!(stuck.process, std::process::id());
        assert_eq!(stuck.source.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn the_next_supervisor_gets_everything_and_a_death_half_way_loses_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("handoff.sock");
        assert!(Taken::take(&path).unwrap().is_none(), "nobody is there");
        let (near, far) = Channel::pair().unwrap();
        let client = Arc::new(Client::new(near));
        let offers = Offers::listen(&path).unwrap();
        drop(far);
        let file = std::fs::File::open("/dev/null").unwrap();
        for index in 0..500 {
            let _ = client.put(&format!("listener/{index:03}"), &[file.as_fd(); 3]);
        }
        let old = std::thread::spawn({
            let client = client.clone();
            move || offers.serve(&client)
        });

        // This one dies without an order.
        let first = Taken::take(&path).unwrap().expect("offers come");
        assert_eq!(first.sets.len(), 500);
        drop(first);

        let second = Taken::take(&path).unwrap().expect("offers come again");
        assert_eq!(second.process, std::process::id());
        assert!(second.sets.iter().all(|(_, set)| set.len() == 3));
        assert_eq!(second.sets[499].0, "listener/499");
        assert!(!old.is_finished(), "it goes on until it is ordered to drain");
        second.drain().unwrap();
        old.join().unwrap().unwrap();
    }
}
