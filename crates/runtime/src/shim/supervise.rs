//! From a running container to its recorded end.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use gantry_types::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::builder::reap_strays;
use super::clients::Clients;
use super::prepare::StartedContainer;
use crate::cgroup::Cgroup;
use crate::control::{Reply, Request};
use crate::limits::{OUTPUT_DRAIN_BYTES_MAX, OUTPUT_READ_BYTES};
use crate::output::{LineSplitter, OutputSink, Stream};
use crate::state::{ContainerDirectory, ExitRecord};

pub(super) fn supervise(
    directory: &ContainerDirectory,
    group: &Cgroup,
    started: StartedContainer,
    started_at: Timestamp,
    mut clients: Clients,
) -> io::Result<()> {
    let mut output = Output {
        pipes: [Pipe::new(Stream::Stdout, started.stdout), Pipe::new(Stream::Stderr, started.stderr)],
        sink: started.sink,
        buffer: vec![0; OUTPUT_READ_BYTES],
        lines_lost: 0,
    };
    let mut killer = Killer::default();
    loop {
        let deadline = output.quiet_at().into_iter().chain(killer.at).min();
        let ready = wait(&started.pidfd, &output, &clients, deadline)?;
        output.take(&ready.pipes);
        if ready.ended {
            break;
        }
        if killer.at.is_some_and(|at| at <= Instant::now()) {
            killer.at = None;
            let _ = killer.signal(&started.pidfd, nix::libc::SIGKILL);
        }
        clients.serve(&ready.clients, |request| killer.act(request, &started.pidfd));
        reap_strays(started.pid);
    }
    output.drain();
    let record = end(&started.pidfd, group, started_at, output.lines_lost, &killer)?;
    let written = directory.write_exit(&record);
    clients.announce(&Reply::Exited(record));
    group.remove().and(written)
}

/// What was asked of the container's life.
#[derive(Debug, Default)]
struct Killer {
    /// When SIGKILL follows a stop signal.
    at: Option<Instant>,
    /// SIGKILL was ours.
    killed: bool,
}

impl Killer {
    fn act(&mut self, request: &Request, container: &OwnedFd) -> Result<(), Errno> {
        match request {
            Request::Signal { signal } => self.signal(container, *signal),
            Request::Stop { signal, timeout_ms } => {
                // A second stop may only shorten the time.
                let at = Instant::now().checked_add(Duration::from_millis(*timeout_ms));
                self.at = at.into_iter().chain(self.at).min();
                self.signal(container, *signal)
            }
            Request::Watch => Ok(()),
        }
    }

    fn signal(&mut self, container: &OwnedFd, signal: i32) -> Result<(), Errno> {
        self.killed |= signal == nix::libc::SIGKILL;
        send_signal(container, signal)
    }
}

/// Real-time signals have no names, so this takes a number.
pub(crate) fn send_signal(process: &OwnedFd, signal: i32) -> Result<(), Errno> {
    use std::os::fd::AsRawFd;
    let none = std::ptr::null::<nix::libc::siginfo_t>();
    // SAFETY: the descriptor is open, and a null pointer asks the kernel to fill in the details.
    let result =
        unsafe { nix::libc::syscall(nix::libc::SYS_pidfd_send_signal, process.as_raw_fd(), signal, none, 0) };
    if result == 0 {
        return Ok(());
    }
    Err(io::Error::last_os_error().raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error))
}

#[derive(Debug)]
struct Ready {
    ended: bool,
    pipes: [bool; 2],
    clients: Vec<bool>,
}

fn wait(
    container: &OwnedFd,
    output: &Output,
    clients: &Clients,
    deadline: Option<Instant>,
) -> io::Result<Ready> {
    let mut descriptors = vec![PollFd::new(container, PollFlags::IN)];
    let open: Vec<&File> = output.pipes.iter().filter_map(|pipe| pipe.file.as_ref()).collect();
    descriptors.extend(open.iter().map(|file| PollFd::new(*file, PollFlags::IN)));
    descriptors.extend(clients.descriptors().map(|client| PollFd::from_borrowed_fd(client, PollFlags::IN)));
    let timeout = match deadline {
        Some(at) => Some(
            Timespec::try_from(at.saturating_duration_since(Instant::now()))
                .map_err(|_| io::ErrorKind::InvalidInput)?,
        ),
        None => None,
    };
    let mut ready = match poll(&mut descriptors, timeout.as_ref()) {
        Ok(_) => descriptors.iter().map(|descriptor| !descriptor.revents().is_empty()).collect(),
        // Nothing is ready; the next round waits again.
        Err(Errno::INTR) => vec![false; descriptors.len()],
        Err(error) => return Err(error.into()),
    }
    .into_iter();
    let ended = ready.next().unwrap_or(false);
    let pipes = output.pipes.each_ref().map(|pipe| pipe.file.is_some() && ready.next().unwrap_or(false));
    Ok(Ready { ended, pipes, clients: ready.collect() })
}

fn end(
    container: &OwnedFd,
    group: &Cgroup,
    started_at: Timestamp,
    lines_lost: u64,
    killer: &Killer,
) -> io::Result<ExitRecord> {
    let status = waitid(WaitId::PidFd(container.as_fd()), WaitIdOptions::EXITED)?
        .ok_or_else(|| io::Error::other("the container's first process has ended, but has no status"))?;
    let signal = status.terminating_signal();
    let exit_code = status.exit_status().or_else(|| Some(128 + signal?));
    // With an init process, and with most shells, a killed program becomes an exit code.
    let killed = signal == Some(nix::libc::SIGKILL) || exit_code == Some(128 + nix::libc::SIGKILL);
    Ok(ExitRecord {
        exit_code,
        signal,
        // A kill for want of memory that the container survived, of a health check for example, does not make a
        // later stop one.
        oom_killed: killed && !killer.killed && group.oom_kills() > 0,
        started_at: Some(started_at),
        finished_at: Timestamp::now(),
        error: None,
        output_lines_lost: lines_lost,
    })
}

/// Both of the container's output streams on their way to the sink.
struct Output {
    pipes: [Pipe; 2],
    sink: Box<dyn OutputSink>,
    buffer: Vec<u8>,
    lines_lost: u64,
}

struct Pipe {
    stream: Stream,
    /// None after the container closed it.
    file: Option<File>,
    lines: LineSplitter,
}

impl Pipe {
    fn new(stream: Stream, file: File) -> Self {
        Self { stream, file: Some(file), lines: LineSplitter::default() }
    }
}

impl Output {
    fn quiet_at(&self) -> Option<Instant> {
        self.pipes.iter().filter_map(|pipe| pipe.lines.quiet_at()).min()
    }

    /// Reads once from each ready pipe, and hands over the lines whose time is up.
    fn take(&mut self, ready: &[bool; 2]) {
        let Self { pipes, sink, buffer, lines_lost } = self;
        let mut appended = false;
        for (pipe, ready) in pipes.iter_mut().zip(ready) {
            let stream = pipe.stream;
            let mut emit = |at, line: &[u8]| {
                appended = true;
                *lines_lost += u64::from(sink.append(stream, at, line).is_err());
            };
            let read = match pipe.file.as_mut().filter(|_| *ready) {
                Some(file) => read_available(file, buffer),
                None => Available::Later,
            };
            match read {
                Available::Bytes(count) => {
                    pipe.lines.feed(&buffer[..count], Timestamp::now(), Instant::now(), &mut emit);
                }
                Available::Later => {}
                Available::End => pipe.file = None,
            }
            if pipe.file.is_none() || pipe.lines.quiet_at().is_some_and(|at| at <= Instant::now()) {
                pipe.lines.finish(&mut emit);
            }
        }
        if appended {
            // What could not be written yet stays with the sink; lines that it gives up it refuses.
            let _ = sink.flush();
        }
    }

    /// What the container wrote before it ended.
    fn drain(&mut self) {
        let Self { pipes, sink, buffer, lines_lost } = self;
        for pipe in pipes {
            let stream = pipe.stream;
            let mut emit = |at, line: &[u8]| *lines_lost += u64::from(sink.append(stream, at, line).is_err());
            let mut left = OUTPUT_DRAIN_BYTES_MAX;
            while let Some(file) = pipe.file.as_mut() {
                match read_available(file, buffer) {
                    Available::Bytes(count) if left > 0 => {
                        left = left.saturating_sub(count);
                        pipe.lines.feed(&buffer[..count], Timestamp::now(), Instant::now(), &mut emit);
                    }
                    // A process outside the container that was handed the pipe is not waited for.
                    Available::Bytes(_) | Available::Later | Available::End => pipe.file = None,
                }
            }
            pipe.lines.finish(&mut emit);
        }
        let _ = sink.flush();
    }
}

enum Available {
    Bytes(usize),
    Later,
    End,
}

fn read_available(file: &mut File, buffer: &mut [u8]) -> Available {
    match file.read(buffer) {
        Ok(0) => Available::End,
        Ok(count) => Available::Bytes(count),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            Available::Later
        }
        Err(_) => Available::End,
    }
}
