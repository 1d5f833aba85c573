//! From a started shim to a running container.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::libc;
use rustix::fs::Mode;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

use super::builder::{Build, Built, StandardStreams, build};
use super::{overlay, runtime_failure};
use crate::bundle::{self, ProcessSpec};
use crate::capability::{capability_set, held};
use crate::cgroup::{Cgroup, Devices, Layout, Limits};
use crate::container::accounts::{self, Account};
use crate::container::payload::{InitProcess, Payload};
use crate::container::root::Root;
use crate::error::{StartFailure, StartFailureKind};
use crate::limits::OUTPUT_PIPE_BYTES;
use crate::output::OutputSink;
use crate::spec::{ContainerSpec, OutputTarget};
use crate::state::ContainerDirectory;

/// A running container, as its shim holds it.
pub(super) struct StartedContainer {
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
    pub(super) stdout: File,
    pub(super) stderr: File,
    pub(super) sink: Box<dyn OutputSink>,
    pub(super) unenforced: Vec<String>,
}

/// Takes the socket that the node gave as standard input, and puts nothing in its place.
pub(crate) fn take_link() -> io::Result<UnixStream> {
    let link = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    link.peer_addr()?;
    let null = File::open("/dev/null")?;
    nix::unistd::dup2_stdin(&null)?;
    Ok(link)
}

/// Lives on when the starter, its session or its terminal end; and what the kernel kills for want of memory is not
/// the shim, which would take its container with it.
pub(crate) fn detach_from_starter() {
    // A session leader already is on its own.
    let _ = rustix::process::setsid();
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGPIPE] {
        // SAFETY: to ignore a signal installs no handler.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    rustix::process::umask(Mode::from_raw_mode(0o022));
    // Without the privilege the default stays.
    let _ = fs::write("/proc/self/oom_score_adj", "-999");
}

/// `group` is reached by the host's paths, `pinned` after they are hidden.
pub(super) fn start(
    directory: &ContainerDirectory,
    group: &Cgroup,
    pinned: &Cgroup,
    open_sink: impl FnOnce(&OutputTarget) -> io::Result<Box<dyn OutputSink>>,
) -> Result<StartedContainer, StartFailure> {
    let spec = directory
        .read_spec()
        .map_err(|error| runtime_failure("read the container's specification", error))?;
    let cgroup_failure = |error: io::Error| {
        StartFailure::new(StartFailureKind::Cgroup, format!("could not limit the container: {error}"))
    };
    group.create().map_err(cgroup_failure)?;
    let unenforced = group.limit(&limits(&spec)).map_err(cgroup_failure)?;
    let join = group.join().map_err(cgroup_failure)?;

    overlay::enter_mount_namespace()?;
    overlay::mount_root(directory, &spec)?;
    let views = overlay::hide_cgroups(directory, group)?;

    let root = Root::open(&directory.rootfs())
        .map_err(|error| runtime_failure("open the container's root", error))?;
    let account = resolve_account(&root, &spec.user)?;
    root.make_directories(&spec.working_directory).map_err(|error| {
        let path = spec.working_directory.display();
        StartFailure::new(
            StartFailureKind::WorkingDirectory,
            format!("could not use the working directory {path}: {error}"),
        )
    })?;
    let environment = bundle::environment(&spec, &account);
    let capabilities = container_capabilities(&spec, pinned.layout());
    let process = ProcessSpec {
        account: &account,
        command: &spec.command,
        environment: &environment,
        working_directory: &spec.working_directory,
        capabilities: &capabilities,
        terminal: false,
    };
    bundle::write_bundle(directory, &bundle::config(&spec, directory, &process, &views))
        .map_err(|error| runtime_failure("write the bundle", error))?;
    let sink = open_sink(&spec.output).map_err(|error| {
        let path = spec.output.path.display();
        StartFailure::new(
            StartFailureKind::Output,
            format!("could not open the container's output at {path}: {error}"),
        )
    })?;

    let (stdout, stdout_writer) = output_pipe().map_err(|error| runtime_failure("make a pipe", error))?;
    let (stderr, stderr_writer) = output_pipe().map_err(|error| runtime_failure("make a pipe", error))?;
    let streams = StandardStreams {
        stdin: File::open("/dev/null").map_err(|error| runtime_failure("open /dev/null", error))?.into(),
        stdout: stdout_writer,
        stderr: stderr_writer,
    };
    let init = if spec.init_process { InitProcess::Ours } else { InitProcess::None };
    let set = capability_set(&capabilities);
    let payload = |report: &OwnedFd| Payload::new(&spec.command, &environment, set, init, None, report);
    let built = build(&join, streams, payload, &Build::Container { id: &spec.id, directory });
    let Built { pid, pidfd } = built.map_err(|failure| {
        if pinned.oom_kills() == 0 {
            return failure;
        }
        let message = format!("{failure}: the memory limit is too small to start the container");
        StartFailure::new(StartFailureKind::OutOfMemory, message)
    })?;
    Ok(StartedContainer { pid, pidfd, stdout, stderr, sink, unenforced })
}

/// Device rules are programs on version 2, which are not loaded: so no devices can be made there.
pub(crate) fn container_capabilities(spec: &ContainerSpec, layout: &Layout) -> BTreeSet<String> {
    let mut capabilities = spec.capabilities.resolve(held());
    if matches!(layout, Layout::V2(_)) {
        capabilities.remove("CAP_MKNOD");
    }
    capabilities
}

/// The account in the container that `user` names.
pub(crate) fn resolve_account(root: &Root, user: &str) -> Result<Account, StartFailure> {
    let read = |path: &str| {
        let text = root.read(path).map_err(|error| {
            StartFailure::new(
                StartFailureKind::UnknownUser,
                format!("could not read the image's {path}: {error}"),
            )
        })?;
        Ok::<_, StartFailure>(text.unwrap_or_default())
    };
    accounts::resolve(user, &read("/etc/passwd")?, &read("/etc/group")?)
}

fn limits(spec: &ContainerSpec) -> Limits {
    Limits {
        cpu_shares: spec.cpu_shares,
        cpu_quota: spec.cpu_quota,
        memory_limit_bytes: spec.memory_limit_bytes,
        memory_reservation_bytes: spec.memory_reservation_bytes,
        pids_limit: spec.pids_limit,
        devices: Devices::Default,
    }
}

/// A pipe whose reading end never blocks the shim.
pub(crate) fn output_pipe() -> io::Result<(File, OwnedFd)> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&reader, true)?;
    // Where the user's pipes are full already the kernel's default size has to do.
    let _ = fcntl_setpipe_size(&reader, OUTPUT_PIPE_BYTES);
    Ok((File::from(reader), writer))
}
