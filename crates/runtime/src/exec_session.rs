//! The supervisor's side of a session: the command's streams come from outside, and whoever holds the session may signal it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use crate::cgroup::Tracker;
use crate::control::{Incoming, LineBuffer};
use crate::error::StartFailure;
use crate::passing;
use crate::session::SessionOrder;
use crate::shim::builder::{Built, StandardStreams, reap_strays};
use crate::shim::runtime_failure;

/// Where `libcontainer` sends a terminal that it has made in the container.
pub(crate) struct Console {
    listener: UnixListener,
}

/// The socket's name in the exec's directory.
pub(crate) const CONSOLE_SOCKET: &str = "console.sock";

impl Console {
    /// `own` is below the working directory, so that the path is short.
    pub(crate) fn open(own: &str) -> Result<Self, StartFailure> {
        let listener = UnixListener::bind(Path::new(own).join(CONSOLE_SOCKET));
        let failed = |error: io::Error| runtime_failure("make a socket for the terminal", error);
        let listener = listener.map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(Self { listener })
    }

    /// The terminal's outer side, which was sent before the program was executed.
    pub(crate) fn take(self) -> io::Result<OwnedFd> {
        let (stream, _) = self.listener.accept()?;
        stream.set_nonblocking(true)?;
        let mut descriptors = Vec::new();
        // What comes with it is a name and no line.
        let _: io::Result<Incoming<String>> =
            passing::receive_line(&stream, &mut LineBuffer::default(), &mut descriptors);
        descriptors.pop().ok_or_else(|| io::Error::other("no terminal came"))
    }
}

/// The pipes that came with the request; nothing, where a terminal takes their place.
pub(crate) fn streams(
    given: Vec<OwnedFd>,
    console: Option<&Console>,
) -> Result<StandardStreams, StartFailure> {
    if console.is_some() {
        let nothing = || {
            let null = File::options().read(true).write(true).open("/dev/null");
            null.map(OwnedFd::from).map_err(|error| runtime_failure("open /dev/null", error))
        };
        return Ok(StandardStreams { stdin: nothing()?, stdout: nothing()?, stderr: nothing()? });
    }
    let [stdin, stdout, stderr] = <[OwnedFd; 3]>::try_from(given)
        .map_err(|given| runtime_failure("take the command's streams", format!("{} came", given.len())))?;
    Ok(StandardStreams { stdin, stdout, stderr })
}

/// Waits for the command's end, or that of whoever holds the session; passes signals on.
pub(crate) fn attend(
    built: &Built,
    mut buffer: LineBuffer,
    link: &UnixStream,
    tracker: &Tracker,
) -> io::Result<Option<i32>> {
    link.set_nonblocking(true)?;
    let ended = loop {
        let mut descriptors = [PollFd::new(&built.pidfd, PollFlags::IN), PollFd::new(link, PollFlags::IN)];
        match poll(&mut descriptors, None::<&Timespec>) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let [ended, spoken] = [0, 1].map(|index| !descriptors[index].revents().is_empty());
        if ended {
            break true;
        }
        if spoken && !obey(built, &mut buffer, link) {
            break false;
        }
        reap_strays(built.pid);
    };
    link.set_nonblocking(false)?;
    tracker.kill()?;
    let status = waitid(WaitId::PidFd(built.pidfd.as_fd()), WaitIdOptions::EXITED)?;
    let code =
        status.and_then(|status| status.exit_status().or_else(|| Some(128 + status.terminating_signal()?)));
    Ok(code.filter(|_| ended))
}

/// False when nobody holds the session any more.
fn obey(built: &Built, buffer: &mut LineBuffer, link: &UnixStream) -> bool {
    loop {
        match buffer.read(link) {
            Ok(Incoming::Message(SessionOrder::Signal { signal })) => {
                if let Some(signal) = Signal::from_named_raw(signal) {
                    // One that has ended needs none.
                    let _ = pidfd_send_signal(&built.pidfd, signal);
                }
            }
            Ok(Incoming::Pending) => return true,
            Ok(Incoming::Closed) | Err(_) => return false,
        }
    }
}
