//! The supervisor of one exec: starts the command in the container, keeps what it says, and ends it in time.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
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
use crate::exec::{ExecOrder, ExecReply, ExecRequest};
use crate::exec_session::{self, CONSOLE_SOCKET, Console, streams};
use crate::limits::{OUTPUT_DRAIN_BYTES_MAX, OUTPUT_READ_BYTES};
use crate::passing;
use crate::session::{SessionReply, SessionRequest, WindowSize};
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
    let (mut buffer, mut given) = (LineBuffer::default(), Vec::new());
    let order = match passing::receive_line(&link, &mut buffer, &mut given)? {
        Incoming::Message(order) => order,
        Incoming::Pending | Incoming::Closed => return Err(io::ErrorKind::UnexpectedEof.into()),
    };
    let not_running = || match order {
        ExecOrder::Run(_) => write_line(&link, &ExecReply::NotRunning),
        ExecOrder::Session(_) => write_line(&link, &SessionReply::NotRunning),
    };
    let Some(container) = Target::open(directory) else { return not_running() };
    let name = format!("exec-{}", std::process::id());
    let pinned = container.cgroup.pin()?;
    let tracker = match pinned.group.tracker(&name) {
        Ok(tracker) => tracker,
        // The container's groups go when it ends.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return not_running();
        }
        Err(error) => return Err(error),
    };
    // libcontainer leaves a socket for each exec beside its state, so each gets a copy of it.
    let scene = Scene { directory, target: &container, tracker: &tracker, name: &name };
    let outcome = match &order {
        ExecOrder::Run(request) => scene.run(request, &link),
        ExecOrder::Session(request) => scene.hold_session(request, given, buffer, &link),
    };
    // Whatever happened, nothing of the command stays.
    let removed = tracker.remove();
    let _ = fs::remove_dir_all(scene.own());
    outcome?(&link)?;
    removed
}

/// Where a command is run.
struct Scene<'a> {
    directory: &'a ContainerDirectory,
    target: &'a Target,
    tracker: &'a Tracker,
    name: &'a str,
}

/// What is said last, when nothing of the command is left.
type LastWords = Box<dyn FnOnce(&UnixStream) -> io::Result<()>>;

impl Scene<'_> {
    fn own(&self) -> PathBuf {
        self.directory.path().join(self.name)
    }

    fn run(&self, request: &ExecRequest, link: &UnixStream) -> io::Result<LastWords> {
        let deadline = Instant::now().checked_add(request.timeout);
        let program = Program {
            command: &request.command,
            environment: &request.environment,
            user: request.user.as_deref(),
            working_directory: request.working_directory.as_deref(),
            window: None,
        };
        let piped = || {
            let (output, writer) = output_pipe()?;
            let streams = StandardStreams {
                stdin: File::open("/dev/null")?.into(),
                stdout: writer.try_clone()?,
                stderr: writer,
            };
            Ok((output, streams))
        };
        let started = piped()
            .map_err(|error: io::Error| runtime_failure("make a pipe", error))
            .and_then(|(output, streams)| Ok((self.start(&program, streams)?, output)));
        let (reply, output) = match started {
            Ok((built, output)) => attend(&built, output, request, deadline, self.tracker, link)?,
            Err(failure) => (ExecReply::Failed(failure), Vec::new()),
        };
        Ok(Box::new(move |mut link| {
            write_line(link, &reply)?;
            link.write_all(&output)
        }))
    }

    fn hold_session(
        &self,
        request: &SessionRequest,
        given: Vec<OwnedFd>,
        buffer: LineBuffer,
        link: &UnixStream,
    ) -> io::Result<LastWords> {
        let program = Program {
            command: &request.command,
            environment: &request.environment,
            user: request.user.as_deref(),
            working_directory: request.working_directory.as_deref(),
            window: request.terminal,
        };
        let started = || {
            make_own(&self.own())?;
            let console = request.terminal.map(|_| Console::open(self.name)).transpose()?;
            let built = self.start(&program, streams(given, console.as_ref())?)?;
            let terminal = console.map(Console::take).transpose();
            Ok((built, terminal.map_err(|error| runtime_failure("take the terminal", error))?))
        };
        let reply = match started() {
            Ok((built, terminal)) => {
                let beside: Vec<BorrowedFd<'_>> = terminal.iter().map(AsFd::as_fd).collect();
                passing::send_line(link, &SessionReply::Started, &beside)?;
                drop(terminal);
                SessionReply::Ended { exit_code: exec_session::attend(&built, buffer, link, self.tracker)? }
            }
            Err(failure) => SessionReply::Failed(failure),
        };
        Ok(Box::new(move |link| {
            // Whoever held the session may be gone: then nobody wants to know.
            let _ = write_line(link, &reply);
            Ok(())
        }))
    }
}

/// What is executed, with what differs from the container's program.
struct Program<'a> {
    command: &'a [String],
    environment: &'a [(String, String)],
    user: Option<&'a str>,
    working_directory: Option<&'a Path>,
    /// It gets a terminal of this size.
    window: Option<WindowSize>,
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

impl Scene<'_> {
    fn start(&self, program: &Program<'_>, streams: StandardStreams) -> Result<Built, StartFailure> {
        let (directory, target, own) = (self.directory, self.target, self.own());
        let spec = directory
            .read_spec()
            .map_err(|error| runtime_failure("read the container's specification", error))?;
        let join = self
            .tracker
            .join()
            .map_err(|error| runtime_failure("join the container's control groups", error))?;
        let root = Root::open(Path::new(&format!("/proc/{}/root", target.pid)))
            .map_err(|error| runtime_failure("open the container's root", error))?;
        let account = resolve_account(&root, program.user.unwrap_or(&spec.user))?;
        let mut environment = bundle::environment(&spec, &account);
        environment.retain(|(name, _)| !program.environment.iter().any(|(stronger, _)| stronger == name));
        environment.extend(program.environment.iter().cloned());
        let capabilities = container_capabilities(&spec, target.cgroup.layout());
        let process = bundle::process(
            &spec,
            &ProcessSpec {
                account: &account,
                command: program.command,
                environment: &environment,
                working_directory: program.working_directory.unwrap_or(&spec.working_directory),
                capabilities: &capabilities,
                terminal: program.window.is_some(),
            },
        );
        let text =
            serde_json::to_vec(&process).map_err(|error| runtime_failure("describe the command", error))?;
        let process_file = own.join("process.json");
        make_own(&own)?;
        copy_state(directory, &spec.id, &own)
            .and_then(|()| fs::write(&process_file, text))
            .map_err(|error| runtime_failure("describe the command", error))?;
        // There the host's control groups are hidden from libcontainer already.
        let namespace = File::open(format!("/proc/{}/ns/mnt", target.shim))
            .map_err(|error| runtime_failure("open the shim's mount namespace", error))?;
        setns(namespace, CloneFlags::CLONE_NEWNS)
            .map_err(|error| runtime_failure("enter the shim's mount namespace", error))?;

        let set = capability_set(&capabilities);
        let payload = |report: &OwnedFd| {
            Payload::new(program.command, &environment, set, InitProcess::None, program.window, report)
        };
        let console = program.window.map(|_| own.join(CONSOLE_SOCKET));
        let what =
            Build::Exec { id: &spec.id, root: &own, process: &process_file, console: console.as_deref() };
        build(&join, streams, payload, &what)
    }
}

/// The exec's own directory; there already, where something was put into it.
fn make_own(own: &Path) -> Result<(), StartFailure> {
    match fs::create_dir(own) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(runtime_failure("describe the command", error))
        }
        _ => Ok(()),
    }
}

/// What libcontainer reads of a container: whether it runs, as which process, and where its bundle is.
fn copy_state(directory: &ContainerDirectory, id: &ContainerId, own: &Path) -> io::Result<()> {
    let copy = own.join(id.as_str());
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
