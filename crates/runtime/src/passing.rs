//! Lines with descriptors beside them.

use std::io::{self, IoSlice, IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::cmsg_space;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::control::{Incoming, LineBuffer};

/// A command's three streams are the most that is passed.
const DESCRIPTORS_MAX: usize = 4;

/// The descriptors go with the line's first byte.
pub(crate) fn send_line<T: Serialize>(
    mut stream: &UnixStream,
    message: &T,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors for one message"));
    }
    let sent = retry(|| sendmsg(stream, &[IoSlice::new(&line)], &mut control, SendFlags::NOSIGNAL))?;
    stream.write_all(&line[sent..])
}

/// Reads until a line is whole, and collects what comes beside it.
pub(crate) fn receive_line<T: DeserializeOwned>(
    stream: &UnixStream,
    buffer: &mut LineBuffer,
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<Incoming<T>> {
    buffer.read(Receiver { stream, descriptors })
}

struct Receiver<'a> {
    stream: &'a UnixStream,
    descriptors: &'a mut Vec<OwnedFd>,
}

impl io::Read for Receiver<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = retry(|| recvmsg(self.stream, &mut [IoSliceMut::new(bytes)], &mut control, flags))?;
        for part in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = part {
                self.descriptors.extend(rights);
            }
        }
        if received.flags.contains(ReturnFlags::CTRUNC) || self.descriptors.len() > DESCRIPTORS_MAX {
            return Err(io::Error::other("more descriptors came than belong to the message"));
        }
        Ok(received.bytes)
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
