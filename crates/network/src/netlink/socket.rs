//! The socket, which stays in the network namespace where it was made.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt,
    socket, sockopt,
};

use super::attributes::{Attributes, text, u16_at, u32_at};
use super::message::Messages;
use crate::limits;

#[derive(Clone, Copy)]
pub(crate) enum Protocol {
    /// Links, addresses, routes, neighbours.
    Route,
    /// nf_tables.
    Netfilter,
}

/// A refusal by the kernel, or of the socket itself.
#[derive(Debug, thiserror::Error)]
#[error("{attempt}: {source}{}", if reason.is_empty() { String::new() } else { format!(" ({reason})") })]
pub struct NetlinkError {
    /// What was attempted, as a phrase.
    pub(crate) attempt: &'static str,
    /// The kernel's own words, where it gave any.
    pub(crate) reason: String,
    pub(crate) source: io::Error,
}

impl NetlinkError {
    fn new(attempt: &'static str, errno: Errno) -> Self {
        Self { attempt, reason: String::new(), source: errno.into() }
    }

    pub(crate) fn is(&self, errno: Errno) -> bool {
        self.source.raw_os_error() == Some(errno as i32)
    }
}

pub(crate) struct NetlinkSocket {
    fd: OwnedFd,
    /// The next message's number. Held from the first byte sent to the last answer read: an exchange is one thread's.
    sequence: Mutex<u32>,
}

/// One answer: the message's kind and everything behind its header.
pub(crate) struct Answer {
    pub(crate) kind: u16,
    pub(crate) body: Vec<u8>,
}

impl NetlinkSocket {
    /// Opens a socket in the network namespace of the calling thread.
    pub(crate) fn open(protocol: Protocol) -> Result<Self, NetlinkError> {
        let failed = |errno| NetlinkError::new("open a netlink socket", errno);
        let protocol = match protocol {
            Protocol::Route => SockProtocol::NetlinkRoute,
            Protocol::Netfilter => SockProtocol::NetlinkNetFilter,
        };
        let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)
            .map_err(failed)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0)).map_err(failed)?;
        // The kernel's words beside the number are a comfort, and a refusal then need not repeat the message.
        for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
            let _ = set_option(&fd, option);
        }
        Ok(Self { fd, sequence: Mutex::new(1) })
    }

    /// Sends requests that the kernel handles one by one, in order. The first refusal that is not tolerated is the
    /// error; later messages of the same chunk were attempted all the same.
    pub(crate) fn request(&self, mut messages: Messages) -> Result<(), NetlinkError> {
        let count = messages.entries().len();
        let mut sequence = self.sequence();
        let first = take(&mut sequence, count);
        for index in 0..count {
            messages.stamp(index, first.wrapping_add(index as u32), libc::NLM_F_ACK);
        }
        let mut from = 0;
        while from < count {
            let until = count.min(from + limits::REQUESTS_PER_SEND);
            let attempt = messages.entries()[from].attempt;
            self.send(messages.bytes(from, until), attempt)?;
            let mut answered = 0;
            let mut refusal = None;
            while answered < until - from {
                for answer in self.receive(attempt)? {
                    let Some(outcome) = Outcome::of(&answer.message) else { continue };
                    let index = answer.sequence.wrapping_sub(first) as usize;
                    let Some(entry) = messages.entries().get(index) else { continue };
                    answered += 1;
                    if outcome.errno != 0 && !entry.tolerated.contains(&Errno::from_raw(outcome.errno)) {
                        refusal.get_or_insert_with(|| outcome.into_error(entry.attempt));
                    }
                }
            }
            if let Some(error) = refusal {
                return Err(error);
            }
            from = until;
        }
        Ok(())
    }

    /// Sends a netfilter batch, begin and end included, which the kernel applies as a whole or not at all.
    pub(crate) fn transact(&self, mut messages: Messages) -> Result<(), NetlinkError> {
        let count = messages.entries().len();
        let mut sequence = self.sequence();
        let first = take(&mut sequence, count);
        for index in 0..count {
            messages.stamp(index, first.wrapping_add(index as u32), 0);
        }
        let bytes = messages.bytes(0, count);
        let attempt = "apply an nftables transaction";
        if bytes.len() > limits::TRANSACTION_BYTES_MAX {
            return Err(NetlinkError::new(attempt, Errno::EMSGSIZE));
        }
        // The default send buffer holds about 200 kB. Refused without CAP_NET_ADMIN, but so is the transaction.
        let _ = setsockopt(&self.fd, sockopt::SndBufForce, &(bytes.len() + 64 * 1024));
        self.send(bytes, attempt)?;
        // Only refusals are answered. They are all in the queue now.
        let mut refusal = None;
        loop {
            match self.receive(attempt) {
                Ok(answers) => {
                    for answer in answers {
                        let Some(outcome) = Outcome::of(&answer.message).filter(|outcome| outcome.errno != 0)
                        else {
                            continue;
                        };
                        let index = answer.sequence.wrapping_sub(first) as usize;
                        if let Some(entry) = messages.entries().get(index) {
                            refusal.get_or_insert_with(|| outcome.into_error(entry.attempt));
                        }
                    }
                }
                Err(error) if error.is(Errno::EAGAIN) => break,
                Err(error) => return Err(error),
            }
        }
        refusal.map_or(Ok(()), Err)
    }

    /// Sends one request and collects everything it answers: one message, or all of a dump. A dump during which
    /// somebody changed what it lists is taken again.
    pub(crate) fn query(&self, mut messages: Messages) -> Result<Vec<Answer>, NetlinkError> {
        for _ in 0..limits::DUMP_ATTEMPTS {
            match self.query_once(&mut messages) {
                Err(error) if error.is(Errno::EINTR) => {}
                outcome => return outcome,
            }
        }
        self.query_once(&mut messages)
    }

    fn query_once(&self, messages: &mut Messages) -> Result<Vec<Answer>, NetlinkError> {
        debug_assert_eq!(messages.entries().len(), 1, "a query is one message");
        let mut next = self.sequence();
        let sequence = take(&mut next, 1);
        messages.stamp(0, sequence, 0);
        let attempt = messages.entries()[0].attempt;
        self.send(messages.bytes(0, 1), attempt)?;
        let mut collected = Vec::new();
        let mut interrupted = false;
        // A dump ends with a message of its own; a single answer ends with itself.
        loop {
            for answer in self.receive(attempt)?.into_iter().filter(|answer| answer.sequence == sequence) {
                interrupted |= answer.interrupted;
                if let Some(outcome) = Outcome::of(&answer.message) {
                    if interrupted {
                        return Err(NetlinkError::new(attempt, Errno::EINTR));
                    }
                    return if outcome.errno == 0 { Ok(collected) } else { Err(outcome.into_error(attempt)) };
                }
                collected.push(answer.message);
                if !answer.in_dump {
                    return Ok(collected);
                }
                if collected.len() > limits::DUMP_ANSWERS_MAX {
                    return Err(NetlinkError::new(attempt, Errno::EOVERFLOW));
                }
            }
        }
    }

    fn sequence(&self) -> MutexGuard<'_, u32> {
        // A panic inside an exchange leaves at worst answers with old numbers in the queue, which are skipped.
        self.sequence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, bytes: &[u8], attempt: &'static str) -> Result<(), NetlinkError> {
        loop {
            match send(self.fd.as_raw_fd(), bytes, MsgFlags::empty()) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(NetlinkError::new(attempt, errno)),
            }
        }
    }

    /// Reads one datagram, which is already there.
    fn receive(&self, attempt: &'static str) -> Result<Vec<Received>, NetlinkError> {
        let mut buffer = vec![0; limits::RECEIVE_BYTES];
        loop {
            match recv(self.fd.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(length) => return Ok(split(&buffer[..length])),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(NetlinkError::new(attempt, errno)),
            }
        }
    }
}

/// Takes so many numbers in a row and gives the first.
fn take(sequence: &mut u32, count: usize) -> u32 {
    let first = *sequence;
    *sequence = first.wrapping_add(count as u32);
    first
}

struct Received {
    sequence: u32,
    in_dump: bool,
    interrupted: bool,
    message: Answer,
}

fn split(mut datagram: &[u8]) -> Vec<Received> {
    let mut received = Vec::new();
    while let (Some(length), Some(kind), Some(flags), Some(sequence)) =
        (u32_at(datagram, 0), u16_at(datagram, 4), u16_at(datagram, 6), u32_at(datagram, 8))
    {
        let Some(body) = datagram.get(16..length as usize) else { break };
        let in_dump = i32::from(flags) & libc::NLM_F_MULTI != 0;
        let interrupted = i32::from(flags) & libc::NLM_F_DUMP_INTR != 0;
        received.push(Received {
            sequence,
            in_dump,
            interrupted,
            message: Answer { kind, body: body.to_vec() },
        });
        datagram = datagram.get((length as usize).next_multiple_of(4)..).unwrap_or(&[]);
    }
    received
}

/// The end of a request: success is number zero.
struct Outcome {
    errno: i32,
    reason: String,
}

impl Outcome {
    fn of(answer: &Answer) -> Option<Self> {
        let kind = i32::from(answer.kind);
        if kind != libc::NLMSG_ERROR && kind != libc::NLMSG_DONE {
            return None;
        }
        let errno = u32_at(&answer.body, 0).map_or(0, |number| (number as i32).saturating_neg());
        // Behind the number stands the header of the refused message (capped), then attributes.
        const MESSAGE: u16 = 1;
        let details = if kind == libc::NLMSG_ERROR { answer.body.get(20..) } else { None };
        let reason =
            details.and_then(|bytes| Attributes::new(bytes).get(MESSAGE)).map(text).unwrap_or_default();
        Some(Self { errno, reason })
    }

    fn into_error(self, attempt: &'static str) -> NetlinkError {
        NetlinkError { attempt, reason: self.reason, source: io::Error::from_raw_os_error(self.errno) }
    }
}

fn set_option(fd: &OwnedFd, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open for as long as `fd` is borrowed, and the value is a c_int that outlives the call.
    let outcome = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_NETLINK,
            option,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_is_split_and_a_torn_message_is_left_out() {
        let mut datagram = vec![];
        for (length, sequence) in [(20u32, 1u32), (18, 2), (400, 3)] {
            datagram.extend(length.to_ne_bytes());
            datagram.extend([16, 0, 2, 0]);
            datagram.extend(sequence.to_ne_bytes());
            datagram.extend([0, 0, 0, 0, 5, 5, 5, 5]);
        }
        let received = split(&datagram);
        let lengths: Vec<_> =
            received.iter().map(|answer| (answer.sequence, answer.message.body.len())).collect();
        assert_eq!(lengths, [(1, 4), (2, 2)]);
        assert!(received[0].in_dump);
    }

    #[test]
    fn the_kernels_refusal_is_told_with_its_words() {
        // A private namespace is not needed: looking up a link that cannot exist changes nothing.
        let socket = NetlinkSocket::open(Protocol::Route).unwrap();
        let mut messages = Messages::new();
        messages.push("look up a link", libc::RTM_GETLINK, 0, &[], |body| {
            body.raw(&[0; 16]);
            body.text(libc::IFLA_IFNAME, "no-such-link");
        });
        let error = socket.query(messages).err().expect("no such link exists");
        assert!(error.is(Errno::ENODEV), "{error}");
        assert!(error.to_string().starts_with("look up a link: "), "{error}");
    }
}
