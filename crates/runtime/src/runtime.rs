//! The node's side: starting containers, talking to their shims, reading what they use.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use gantry_types::{TaskId, Timestamp};
use rustix::io::Errno;

use crate::adopt::{self, Found};
use crate::cgroup::{Cgroup, CgroupStats, Layout, Limits};
use crate::control::{Incoming, LineBuffer, Reply, Request, connect, write_line};
use crate::delete;
use crate::error::{DeleteError, ExecError, SignalError, StartError};
use crate::exec::{self, ExecRequest, ExecResult};
use crate::limits::{CONTROL_TIMEOUT, START_TIMEOUT};
use crate::shim::send_signal;
use crate::spec::{ContainerId, ContainerSpec, SpecError, StopSignal, TaskSpec};
use crate::state::{ContainerDirectory, ExitRecord};
use crate::watch::{ExitWatch, recorded_end};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeConfig {
    /// Each container gets a directory here, with its writable layer in it. Mode 0700, not on an overlay.
    pub state_directory: PathBuf,
    /// The control group above all of this instance's, for example `gantry-default`.
    pub cgroup_parent: String,
    /// The mount point of the version 2 hierarchy to use; `None` takes what limits this machine's processes.
    pub cgroup_root: Option<PathBuf>,
    /// The program and first arguments whose `main` calls [`crate::shim_main`], for example
    /// `/proc/self/exe shim`. The container's directory is added.
    pub shim_command: Vec<OsString>,
    /// The same for [`crate::exec_main`].
    pub exec_command: Vec<OsString>,
}

/// Starts and finds the containers of one directory. Every call blocks, and may be made from any thread.
#[derive(Debug, Clone)]
pub struct Runtime {
    config: RuntimeConfig,
    layout: Layout,
}

/// A container whose program is running.
#[derive(Debug)]
pub struct Started {
    /// As the host sees it.
    pub pid: i32,
    pub started_at: Timestamp,
    /// Limits that were asked for and that this machine cannot enforce.
    pub unenforced: Vec<String>,
    pub exit: ExitWatch,
}

impl Runtime {
    pub fn new(config: RuntimeConfig) -> io::Result<Self> {
        let plain = |name: &str| ContainerId::new(name).is_ok();
        if !config.cgroup_parent.split('/').all(plain) {
            let message = format!("the control group {:?} is not a plain name", config.cgroup_parent);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        if config.shim_command.is_empty()
            || config.exec_command.is_empty()
            || !config.state_directory.is_absolute()
        {
            let message = "the runtime needs an absolute state directory and the commands of its shims";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&config.state_directory)?;
        let layout = match &config.cgroup_root {
            Some(root) => Layout::V2(root.clone()),
            None => Layout::detect()?,
        };
        Ok(Self { config, layout })
    }

    /// Makes the task's control group, with what its containers share. Call it as early as possible: it can run
    /// beside the set-up of the network. Gives back the limits that this machine cannot enforce.
    pub fn prepare_task(&self, task: &TaskSpec) -> Result<Vec<String>, StartError> {
        task.check()?;
        let limits = Limits {
            cpu_quota: task.cpu_quota,
            memory_limit_bytes: task.memory_limit_bytes,
            ..Limits::default()
        };
        let group = self.task_group(&task.id);
        let io = |source| StartError::Io {
            attempted: format!("make the control group of task {}", task.id),
            source,
        };
        group.create().map_err(io)?;
        group.limit(&limits).map_err(io)
    }

    /// Starts a container and returns when its program runs. After an error nothing of it is left.
    pub fn start(&self, spec: &ContainerSpec) -> Result<Started, StartError> {
        spec.check()?;
        let directory = ContainerDirectory::of(&self.config.state_directory, &spec.id);
        match fs::DirBuilder::new().mode(0o700).create(directory.path()) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(StartError::Exists(spec.id.clone()));
            }
            Err(source) => {
                return Err(StartError::Io {
                    attempted: format!("make {}", directory.path().display()),
                    source,
                });
            }
            Ok(()) => {}
        }
        self.launch(spec, &directory).inspect_err(|_| {
            // The start's own error says more than one of the clearing up, which may be repeated.
            let _ = self.delete(&spec.id);
        })
    }

    fn launch(&self, spec: &ContainerSpec, directory: &ContainerDirectory) -> Result<Started, StartError> {
        let io = |attempted: &str| {
            let attempted = attempted.to_owned();
            move |source| StartError::Io { attempted, source }
        };
        directory.write_spec(spec).map_err(io("write the container's specification"))?;
        let (link, mut shim) =
            self.spawn(&self.config.shim_command, directory).map_err(io("start the shim"))?;
        let group = self.container_group(&spec.task, &spec.id);
        let reply = write_line(&link, &group).and_then(|()| {
            link.set_read_timeout(Some(START_TIMEOUT))?;
            let mut buffer = LineBuffer::default();
            Ok((buffer.read(&link)?, buffer))
        });
        let (error, buffer) = match reply {
            Ok((Incoming::Message(Reply::Started { pid, started_at, unenforced }), buffer)) => {
                let exit = ExitWatch::new(link, buffer, directory.clone()).map_err(io("watch the shim"))?;
                return Ok(Started { pid, started_at, unenforced, exit });
            }
            Ok((Incoming::Message(Reply::Failed(failure)), buffer)) => {
                (StartError::Failed(failure), Some(buffer))
            }
            Ok((Incoming::Pending, _)) => (StartError::TimedOut { seconds: START_TIMEOUT.as_secs() }, None),
            Ok(_) => (StartError::ShimEnded { log: directory.path().join(SHIM_LOG) }, None),
            Err(source) => (StartError::Io { attempted: "hear from the shim".to_owned(), source }, None),
        };
        if buffer.is_none() {
            let _ = shim.kill();
        }
        let _ = shim.wait();
        Err(match error {
            // The log goes with the directory, so its words are taken along.
            StartError::ShimEnded { log } => match fs::read_to_string(&log) {
                Ok(text) if !text.is_empty() => {
                    StartError::Io { attempted: "run the shim".to_owned(), source: io::Error::other(text) }
                }
                _ => StartError::ShimEnded { log },
            },
            error => error,
        })
    }

    /// Starts this binary as a shim whose standard input is the other end of the returned socket.
    pub(crate) fn spawn(
        &self,
        command: &[OsString],
        directory: &ContainerDirectory,
    ) -> io::Result<(UnixStream, Child)> {
        let (link, theirs) = UnixStream::pair()?;
        Ok((link, self.spawn_on(command, directory, theirs)?))
    }

    fn spawn_on(
        &self,
        command: &[OsString],
        directory: &ContainerDirectory,
        link: UnixStream,
    ) -> io::Result<Child> {
        let log = OpenOptions::new().create(true).append(true).open(directory.path().join(SHIM_LOG))?;
        let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        Command::new(program)
            // What `ps` shows, instead of /proc/self/exe.
            .arg0("gantry")
            .args(arguments)
            .arg(directory.path())
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(link)))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
    }

    /// Sends a signal to the container's first process.
    pub fn signal(&self, id: &ContainerId, signal: StopSignal) -> Result<(), SignalError> {
        self.request(id, &Request::Signal { signal: signal.as_raw() }, "signal")
    }

    /// Sends the stop signal now and SIGKILL after the timeout, which the shim keeps: the node may die meanwhile.
    pub fn stop(&self, id: &ContainerId, signal: StopSignal, timeout: Duration) -> Result<(), SignalError> {
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        self.request(id, &Request::Stop { signal: signal.as_raw(), timeout_ms }, "stop")
    }

    /// Kills the container's processes, also when its shim does not answer.
    pub fn kill(&self, id: &ContainerId) -> Result<(), SignalError> {
        match self.signal(id, StopSignal::KILL) {
            Err(SignalError::Io { .. }) => {}
            other => return other,
        }
        let container = self.directory(id).read_shim().ok().and_then(|shim| shim.container?.alive());
        let container = container.ok_or_else(|| SignalError::NotRunning(id.clone()))?;
        send_signal(&container, StopSignal::KILL.as_raw()).map_err(|error| SignalError::Io {
            attempted: "kill",
            id: id.clone(),
            source: error.into(),
        })
    }

    fn request(
        &self,
        id: &ContainerId,
        request: &Request,
        attempted: &'static str,
    ) -> Result<(), SignalError> {
        let io = |source| SignalError::Io { attempted, id: id.clone(), source };
        let stream = self.connect(id)?.ok_or_else(|| SignalError::NotRunning(id.clone()))?;
        stream.set_read_timeout(Some(CONTROL_TIMEOUT)).map_err(io)?;
        let answer = write_line(&stream, request).and_then(|()| LineBuffer::default().read(&stream));
        match answer {
            Ok(Incoming::Message(Reply::Done)) => Ok(()),
            Ok(Incoming::Message(Reply::Refused { errno })) if errno != Errno::SRCH.raw_os_error() => {
                Err(io(io::Error::from_raw_os_error(errno)))
            }
            Ok(Incoming::Message(_) | Incoming::Closed) => Err(SignalError::NotRunning(id.clone())),
            Ok(Incoming::Pending) => Err(io(io::ErrorKind::TimedOut.into())),
            Err(error) if is_gone(&error) => Err(SignalError::NotRunning(id.clone())),
            Err(error) => Err(io(error)),
        }
    }

    /// A connection to the container's shim; `None` when the shim has ended.
    fn connect(&self, id: &ContainerId) -> Result<Option<UnixStream>, SignalError> {
        let directory = self.directory(id);
        match connect(&directory) {
            Ok(stream) => Ok(Some(stream)),
            Err(_) if !directory.path().is_dir() => Err(SignalError::NotFound(id.clone())),
            Err(error) if is_gone(&error) => Ok(None),
            Err(source) => Err(SignalError::Io { attempted: "reach", id: id.clone(), source }),
        }
    }

    /// Watches a container that another process started. Of one that has ended the watch is readable at once.
    pub fn watch(&self, id: &ContainerId) -> Result<ExitWatch, SignalError> {
        let io = |source| SignalError::Io { attempted: "watch", id: id.clone(), source };
        let ended = || UnixStream::pair().map(|(own, _closed)| own);
        let stream = match self.connect(id)? {
            Some(stream) => match write_line(&stream, &Request::Watch) {
                Ok(()) => stream,
                Err(error) if is_gone(&error) => ended().map_err(io)?,
                Err(error) => return Err(io(error)),
            },
            None => ended().map_err(io)?,
        };
        ExitWatch::new(stream, LineBuffer::default(), self.directory(id)).map_err(io)
    }

    /// How a container ended; `None` while it runs, and for one that does not exist.
    pub fn exit_record(&self, id: &ContainerId) -> Option<ExitRecord> {
        let directory = self.directory(id);
        if let Ok(record) = directory.read_exit() {
            return Some(record);
        }
        let shim = directory.read_shim().ok()?;
        // Read again: the shim may have written it in between.
        if shim.shim.alive().is_some() { directory.read_exit().ok() } else { Some(recorded_end(&directory)) }
    }

    /// Runs a command in a container to its end or timeout.
    pub fn exec(&self, id: &ContainerId, request: &ExecRequest) -> Result<ExecResult, ExecError> {
        exec::exec(self, id, request)
    }

    /// When a container's program began, also of one that has ended.
    pub fn started_at(&self, id: &ContainerId) -> Option<Timestamp> {
        self.directory(id).read_shim().ok()?.started_at
    }

    /// The network of a container that runs, to make sockets in.
    pub fn network_namespace(&self, id: &ContainerId) -> Result<OwnedFd, SignalError> {
        let gone = || SignalError::NotRunning(id.clone());
        let container =
            self.directory(id).read_shim().ok().and_then(|shim| shim.container).ok_or_else(gone)?;
        let opened = File::open(format!("/proc/{}/ns/net", container.pid));
        // Looked at last: while it lives, the id that was opened by is its own.
        container.alive().ok_or_else(gone)?;
        opened.map(OwnedFd::from).map_err(|source| SignalError::Io {
            attempted: "open the network of",
            id: id.clone(),
            source,
        })
    }

    /// Starts a supervisor for a command whose streams whoever holds the other end of `link` gives ([`crate::Session`]). The
    /// caller waits for the child, which ends when the command has ended or nobody holds that end.
    pub fn open_session(&self, id: &ContainerId, link: UnixStream) -> Result<Child, ExecError> {
        let directory = self.directory(id);
        if !directory.path().is_dir() {
            return Err(ExecError::NotRunning(id.clone()));
        }
        let io = |source| ExecError::Io { attempted: "start the command's supervisor", source };
        self.spawn_on(&self.config.exec_command, &directory, link).map_err(io)
    }

    /// What a container uses, read from its control group.
    pub fn stats(&self, id: &ContainerId) -> io::Result<CgroupStats> {
        self.directory(id).read_shim()?.cgroup.stats()
    }

    /// What all containers of a task use together.
    pub fn task_stats(&self, task: &TaskId) -> io::Result<CgroupStats> {
        self.task_group(task).stats()
    }

    /// Every container that has a directory, also those that another process started. Also finishes the deletes that a
    /// crash cut off. For the one node that a directory belongs to, when it starts.
    pub fn adopt(&self) -> io::Result<Vec<Found>> {
        delete::sweep(self)?;
        adopt::adopt(&self.config.state_directory)
    }

    /// Ends a container if it runs, and removes all that is left of it. May be repeated; works after a crash at any
    /// point. What the sink wrote is not the runtime's to remove.
    pub fn delete(&self, id: &ContainerId) -> Result<(), DeleteError> {
        delete::delete(self, id)
    }

    /// Removes a task's control group with whatever still runs in it.
    pub fn delete_task(&self, task: &TaskId) -> Result<(), DeleteError> {
        self.task_group(task).remove().map_err(|source| DeleteError {
            attempted: "remove the control group",
            what: format!("task {task}"),
            source,
        })
    }

    /// Removes the control group of the whole instance, and with it every process in it.
    pub fn delete_instance(&self) -> Result<(), DeleteError> {
        let group = Cgroup::new(self.layout.clone(), self.config.cgroup_parent.clone());
        group.remove().map_err(|source| DeleteError {
            attempted: "remove the control group",
            what: self.config.cgroup_parent.clone(),
            source,
        })
    }

    pub(crate) fn directory(&self, id: &ContainerId) -> ContainerDirectory {
        ContainerDirectory::of(&self.config.state_directory, id)
    }
    pub(crate) fn state_directory(&self) -> &Path {
        &self.config.state_directory
    }
    pub(crate) fn exec_command(&self) -> &[OsString] {
        &self.config.exec_command
    }
    fn task_group(&self, task: &TaskId) -> Cgroup {
        Cgroup::new(self.layout.clone(), format!("{}/{task}", self.config.cgroup_parent))
    }
    pub(crate) fn container_group(&self, task: &TaskId, id: &ContainerId) -> Cgroup {
        Cgroup::new(self.layout.clone(), format!("{}/{task}/{id}", self.config.cgroup_parent))
    }
}

impl From<SpecError> for io::Error {
    fn from(error: SpecError) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

/// The shim has ended: its socket has no owner, or lost it while we spoke.
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
    )
}

const SHIM_LOG: &str = "shim.log";
