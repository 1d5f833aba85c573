//! The supervisor of one exec: starts the command in the container, keeps what it says, and ends it in time.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::sched::{CloneFlags, setns};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, waitid};

use crate::bundle::{self, ProcessSpec};
use crate::capability::capability_set;
use crate::cgroup::{Cgroup, Tracker};
use crate::container::payload::{InitProcess, Payload};
use crate::container::root::Root;
use crate::control::{Incoming, LineBuffer, write_line};
use crate::error::StartFailure;
use crate::exec::{ExecReply, ExecRequest};
use crate::limits::{OUTPUT_DRAIN_BYTES_MAX, OUTPUT_READ_BYTES};
use crate::shim::builder::{Build, Built, StandardStreams, build, reap_strays};
use crate::shim::{
    container_capabilities, detach_from_starter, output_pipe, resolve_account, runtime_failure, take_link,
};
use crate::spec::ContainerId;
use crate::state::ContainerDirectory;

/// Runs one command in a running container. The binary calls this first thing in `main`, as it does
/// [`crate::shim_main`], when it was started as [`crate::RuntimeConfig::exec_command`] says.
pub fn exec_main(mut arguments: impl Iterator<Item = OsString>) -> ! {
    let code = match (arguments.next(), arguments.next()) {
        (Some(directory), None) => match run(&ContainerDirectory::new(PathBuf::from(directory))) {
            Ok(()) => 0,
            Err(error) => {
                eprintln!("gantry exec: {error}");
                1
            }
        },
        _ => {
            eprintln!("gantry exec: expects the container's directory; it is started by the node only");
            2
        }
    };
    std::process::exit(code)
}

fn run(directory: &ContainerDirectory) -> io::Result<()> {
    let link = take_link()?;
    detach_from_starter();
    std::env::set_current_dir(directory.path())?;
    let request: ExecRequest = match LineBuffer::default().read(&link)? {
        Incoming::Message(request) => request,
        Incoming::Pending | Incoming::Closed => return Err(io::ErrorKind::UnexpectedEof.into()),
    };
    let Some(container) = Target::open(directory) else { return write_line(&link, &ExecReply::NotRunning) };
    let name = format!("exec-{}", std::process::id());
    let pinned = container.cgroup.pin()?;
    let tracker = match pinned.group.tracker(&name) {
        Ok(tracker) => tracker,
        // The container's groups go when it ends.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return write_line(&link, &ExecReply::NotRunning);
        }
        Err(error) => return Err(error),
    };
    // libcontainer leaves a socket for each exec beside its state, so each gets a copy of it.
    let own = directory.path().join(&name);
    let deadline = Instant::now().checked_add(request.timeout);
    let started = start(directory, &container, &tracker, &request, &own);
    let answer = match started {
        Ok((built, output)) => attend(&built, output, &request, deadline, &tracker, &link),
        Err(failure) => Ok((ExecReply::Failed(failure), Vec::new())),
    };
    // Whatever happened, nothing of the command stays.
    let removed = tracker.remove();
    let _ = fs::remove_dir_all(&own);
    let (reply, output) = answer?;
    write_line(&link, &reply)?;
    (&link).write_all(&output)?;
    removed
}

/// A running container, seen from outside.
struct Target {
    shim: i32,
    pid: i32,
    /// Held so that the ids above stay the container's.
    _processes: [OwnedFd; 2],
    cgroup: Cgroup,
}

impl Target {
    fn open(directory: &ContainerDirectory) -> Option<Self> {
        let record = directory.read_shim().ok()?;
        let container = record.container?;
        let processes = [record.shim.alive()?, container.alive()?];
        Some(Self { shim: record.shim.pid, pid: container.pid, _processes: processes, cgroup: record.cgroup })
    }
}

fn start(
    directory: &ContainerDirectory,
    target: &Target,
    tracker: &Tracker,
    request: &ExecRequest,
    own: &Path,
) -> Result<(Built, File), StartFailure> {
    let spec = directory
        .read_spec()
        .map_err(|error| runtime_failure("read the container's specification", error))?;
    let join =
        tracker.join().map_err(|error| runtime_failure("join the container's control groups", error))?;
    let root = Root::open(Path::new(&format!("/proc/{}/root", target.pid)))
        .map_err(|error| runtime_failure("open the container's root", error))?;
    let account = resolve_account(&root, request.user.as_ref().unwrap_or(&spec.user))?;
    let mut environment = bundle::environment(&spec, &account);
    environment.retain(|(name, _)| !request.environment.iter().any(|(stronger, _)| stronger == name));
    environment.extend(request.environment.iter().cloned());
    let capabilities = container_capabilities(&spec, target.cgroup.layout());
    let process = bundle::process(
        &spec,
        &ProcessSpec {
            account: &account,
            command: &request.command,
            environment: &environment,
            working_directory: request.working_directory.as_ref().unwrap_or(&spec.working_directory),
            capabilities: &capabilities,
        },
    );
    let text =
        serde_json::to_vec(&process).map_err(|error| runtime_failure("describe the command", error))?;
    let process_file = own.join("process.json");
    copy_state(directory, &spec.id, own)
        .and_then(|()| fs::write(&process_file, text))
        .map_err(|error| runtime_failure("describe the command", error))?;
    // There the host's control groups are hidden from libcontainer already.
    let namespace = File::open(format!("/proc/{}/ns/mnt", target.shim))
        .map_err(|error| runtime_failure("open the shim's mount namespace", error))?;
    setns(namespace, CloneFlags::CLONE_NEWNS)
        .map_err(|error| runtime_failure("enter the shim's mount namespace", error))?;

    let (output, writer) = output_pipe().map_err(|error| runtime_failure("make a pipe", error))?;
    let streams = StandardStreams {
        stdin: File::open("/dev/null").map_err(|error| runtime_failure("open /dev/null", error))?.into(),
        stdout: writer.try_clone().map_err(|error| runtime_failure("make a pipe", error))?,
        stderr: writer,
    };
    let set = capability_set(&capabilities);
    let payload =
        |report: &OwnedFd| Payload::new(&request.command, &environment, set, InitProcess::None, report);
    let built =
        build(&join, streams, payload, &Build::Exec { id: &spec.id, root: own, process: &process_file })?;
    Ok((built, output))
}

/// What libcontainer reads of a container: whether it runs, as which process, and where its bundle is.
fn copy_state(directory: &ContainerDirectory, id: &ContainerId, own: &Path) -> io::Result<()> {
    let copy = own.join(id.as_str());
    fs::create_dir(own)?;
    fs::create_dir(&copy)?;
    fs::copy(directory.oci().join(id.as_str()).join("state.json"), copy.join("state.json")).map(|_| ())
}

/// Waits for the command's end, its timeout, or the end of whoever asked for it.
fn attend(
    built: &Built,
    mut output: File,
    request: &ExecRequest,
    deadline: Option<Instant>,
    tracker: &Tracker,
    link: &UnixStream,
) -> io::Result<(ExecReply, Vec<u8>)> {
    let mut kept =
        Kept { bytes: Vec::new(), bytes_max: request.output_bytes_max, truncated: false, open: true };
    let timed_out = loop {
        let mut descriptors = vec![
            PollFd::new(&built.pidfd, PollFlags::IN),
            // Nothing more is said on it, so it becomes readable when it closes.
            PollFd::new(link, PollFlags::IN),
        ];
        if kept.open {
            descriptors.push(PollFd::new(&output, PollFlags::IN));
        }
        let timeout = match deadline {
            Some(at) => Some(
                Timespec::try_from(at.saturating_duration_since(Instant::now()))
                    .map_err(|_| io::ErrorKind::InvalidInput)?,
            ),
            None => None,
        };
        let ready: Vec<bool> = match poll(&mut descriptors, timeout.as_ref()) {
            Ok(0) => break true,
            Ok(_) => descriptors.iter().map(|descriptor| !descriptor.revents().is_empty()).collect(),
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        if ready.get(2) == Some(&true) {
            kept.read(&mut output);
        }
        match ready.as_slice() {
            [true, ..] => break false,
            [_, true, ..] => break true,
            _ => {}
        }
        reap_strays(built.pid);
    };
    // Also what the command left behind: a health check is over when it is over.
    tracker.kill()?;
    kept.drain(&mut output);
    let status = waitid(WaitId::PidFd(built.pidfd.as_fd()), WaitIdOptions::EXITED)?;
    let exit_code =
        status.and_then(|status| status.exit_status().or_else(|| Some(128 + status.terminating_signal()?)));
    let reply = ExecReply::Ended {
        exit_code: exit_code.filter(|_| !timed_out),
        timed_out,
        output_bytes: kept.bytes.len(),
        output_truncated: kept.truncated,
    };
    Ok((reply, kept.bytes))
}

/// The beginning of what the command said.
struct Kept {
    bytes: Vec<u8>,
    bytes_max: usize,
    truncated: bool,
    open: bool,
}

impl Kept {
    /// True when there was something.
    fn read(&mut self, output: &mut File) -> bool {
        let mut buffer = [0; OUTPUT_READ_BYTES];
        match output.read(&mut buffer) {
            Ok(0) => self.open = false,
            Ok(count) => {
                let room = self.bytes_max.saturating_sub(self.bytes.len()).min(count);
                self.bytes.extend_from_slice(&buffer[..room]);
                self.truncated |= room < count;
                return true;
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => self.open = false,
        }
        false
    }

    fn drain(&mut self, output: &mut File) {
        for _ in 0..OUTPUT_DRAIN_BYTES_MAX / OUTPUT_READ_BYTES {
            if !self.open || !self.read(output) {
                return;
            }
        }
    }
}
