//! Packets with descriptors beside them.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::cmsg_space;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair, sockopt,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{DESCRIPTORS_MESSAGE_MAX, MESSAGE_BYTES_MAX};

/// One end of a sequenced-packet unix socket.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
}

/// A packet and what came beside it.
#[derive(Debug)]
pub struct Packet<T> {
    pub message: T,
    pub descriptors: Vec<OwnedFd>,
}

impl Channel {
    /// Two ends that know each other only.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, two) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self { socket: one }, Self { socket: two }))
    }

    /// # Errors
    /// When the descriptor is no sequenced-packet unix socket.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        let unix = sockopt::socket_domain(&socket)? == AddressFamily::UNIX;
        if unix && sockopt::socket_type(&socket)? == SocketType::SEQPACKET {
            Ok(Self { socket })
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "not a sequenced-packet unix socket"))
        }
    }

    pub fn into_descriptor(self) -> OwnedFd {
        self.socket
    }

    /// Sends one packet, whole or not at all, and never waits: a peer that does not read gets `WouldBlock`.
    pub fn send<T: Serialize>(&self, message: &T, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = serde_json::to_vec(message)?;
        if bytes.len() > MESSAGE_BYTES_MAX || descriptors.len() > DESCRIPTORS_MESSAGE_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the packet is larger than the limit"));
        }
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(DESCRIPTORS_MESSAGE_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            let pushed = control.push(SendAncillaryMessage::ScmRights(descriptors));
            assert!(pushed, "the space was made for the largest number of descriptors");
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        retry(|| sendmsg(&self.socket, &[IoSlice::new(&bytes)], &mut control, flags))?;
        Ok(())
    }

    /// Takes the next packet; `None` when the other end is closed, `WouldBlock` when there is none yet.
    pub fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<Packet<T>>> {
        let mut bytes = vec![0; MESSAGE_BYTES_MAX];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(DESCRIPTORS_MESSAGE_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let received =
            match retry(|| recvmsg(&self.socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags)) {
                Err(Errno::CONNRESET) => return Ok(None),
                other => other?,
            };
        let mut descriptors = Vec::new();
        for part in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = part {
                descriptors.extend(rights);
            }
        }
        if received.bytes == 0 {
            return Ok(None);
        }
        if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(io::Error::other(
                "a packet was cut: too long, or this process may open no more files",
            ));
        }
        Ok(Some(Packet { message: serde_json::from_slice(&bytes[..received.bytes])?, descriptors }))
    }

    /// Waits for the next packet.
    pub fn receive_within<T: DeserializeOwned>(&self, wait_max: Duration) -> io::Result<Option<Packet<T>>> {
        if !self.wait(PollFlags::IN, Some(wait_max))? {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer came"));
        }
        self.receive()
    }

    /// Returns when the other end is closed, however long that takes. Packets stay where they are.
    pub fn wait_for_end(&self) {
        // Without the wish to read, only the hang-up is reported. An error is as good as an end.
        let _ = self.wait(PollFlags::RDHUP, None);
    }

    fn wait(&self, events: PollFlags, wait_max: Option<Duration>) -> io::Result<bool> {
        let timeout = wait_max.map(|wait| Timespec {
            tv_sec: wait.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: wait.subsec_nanos().into(),
        });
        let mut descriptors = [PollFd::new(&self.socket, events)];
        Ok(retry(|| poll(&mut descriptors, timeout.as_ref()))? > 0)
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}
