//! One line of JSON each way, with at most one descriptor beside it.

use std::io::{self, IoSlice, IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;

use gantry_domain::task::ContainerStatus;
use gantry_types::{ClusterName, ContainerName, Region, ServiceName, TaskId};
use rustix::cmsg_space;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A node's tasks, at a few hundred bytes each.
pub(crate) const MESSAGE_BYTES_MAX: usize = 16 << 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum LocalRequest {
    /// Every task that has not stopped.
    Tasks,
    /// A command in this container, by its runtime id; the supervisor's end of the session comes beside it.
    Exec { container: String },
    /// A connection to a port of this container.
    Connect { container: String, port: u16 },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum LocalReply {
    Tasks(Vec<LocalTask>),
    Supervised,
    /// The socket comes beside it.
    Connected,
    /// A sentence for the user.
    Refused(String),
}

/// A task, as people name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalTask {
    pub id: TaskId,
    pub region: Region,
    pub cluster: ClusterName,
    pub family: String,
    pub service: Option<ServiceName>,
    /// Told to stop, or stopping by itself.
    pub stopping: bool,
    /// In the definition's order.
    pub containers: Vec<LocalContainer>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalContainer {
    pub name: ContainerName,
    /// The runtime's id.
    pub id: String,
    pub essential: bool,
    pub status: ContainerStatus,
    /// Ports that its definition names.
    pub ports: Vec<u16>,
}

/// Sends a whole line, with the descriptor at its first byte.
pub(crate) fn send<T: Serialize>(
    mut stream: &UnixStream,
    message: &T,
    beside: Option<&OwnedFd>,
) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors: Vec<_> = beside.iter().map(|descriptor| descriptor.as_fd()).collect();
    if !descriptors.is_empty() {
        let pushed = control.push(SendAncillaryMessage::ScmRights(&descriptors));
        assert!(pushed, "the space was made for one descriptor");
    }
    let sent = retry(|| sendmsg(stream, &[IoSlice::new(&line)], &mut control, SendFlags::NOSIGNAL))?;
    stream.write_all(&line[sent..])
}

/// Reads one line, and the descriptor that came with it.
pub(crate) fn receive<T: DeserializeOwned>(
    stream: &UnixStream,
    bytes_max: usize,
) -> io::Result<(T, Option<OwnedFd>)> {
    let (mut line, mut beside) = (Vec::new(), None);
    let mut chunk = vec![0; 16 << 10];
    while line.last() != Some(&b'\n') {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = retry(|| recvmsg(stream, &mut [IoSliceMut::new(&mut chunk)], &mut control, flags))?;
        for part in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = part {
                beside = rights.last().or(beside);
            }
        }
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.extend_from_slice(&chunk[..received.bytes]);
        if line.len() > bytes_max {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the message is longer than the limit"));
        }
    }
    Ok((serde_json::from_slice(&line)?, beside))
}

fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_line_and_its_descriptor_pass_whole() {
        let (near, far) = UnixStream::pair().unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        let request = LocalRequest::Exec { container: "c".repeat(40_000) };
        let sender = std::thread::spawn({
            let request = request.clone();
            move || send(&near, &request, Some(&writer.into())).unwrap()
        });
        let (received, beside) = receive::<LocalRequest>(&far, MESSAGE_BYTES_MAX).unwrap();
        assert_eq!(received, request);
        sender.join().unwrap();
        File::from(beside.expect("it was sent")).write_all(b"through").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for (bytes, kind) in [
            (&b"{]\n"[..], io::ErrorKind::InvalidData),
            (b"{\"Exec\":{}}\n", io::ErrorKind::InvalidData),
            (b"\"Tasks\"", io::ErrorKind::UnexpectedEof),
            (&[b'x'; 2000], io::ErrorKind::InvalidData),
        ] {
            let (mut near, far) = UnixStream::pair().unwrap();
            near.write_all(bytes).unwrap();
            drop(near);
            let error = receive::<LocalRequest>(&far, 1000).unwrap_err();
            assert_eq!(error.kind(), kind, "{:?}", String::from_utf8_lossy(bytes));
        }
    }
}
