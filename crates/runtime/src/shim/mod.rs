//! The process that stays beside one container: it builds it, keeps its output, and tells how it ended.

pub(crate) mod builder;
mod clients;
mod overlay;
mod prepare;
mod supervise;

pub(crate) use prepare::{
    container_capabilities, detach_from_starter, output_pipe, resolve_account, take_link,
};
pub(crate) use supervise::send_signal;

use std::ffi::OsString;
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use gantry_types::Timestamp;

use crate::cgroup::Cgroup;
use crate::control::{Incoming, LineBuffer, Reply, write_line};
use crate::error::{StartFailure, StartFailureKind};
use crate::identity::ProcessIdentity;
use crate::output::OutputSink;
use crate::spec::OutputTarget;
use crate::state::{CONTROL_SOCKET, ContainerDirectory, ExitRecord, ShimRecord};

/// Runs one container to its end. The binary calls this first thing in `main`, before any thread exists, when it was
/// started as [`crate::RuntimeConfig::shim_command`] says; `arguments` are those after the word that says so.
/// `open_sink` opens where the container's output goes.
pub fn shim_main(
    mut arguments: impl Iterator<Item = OsString>,
    open_sink: impl FnOnce(&OutputTarget) -> io::Result<Box<dyn OutputSink>>,
) -> ! {
    let code = match (arguments.next(), arguments.next()) {
        (Some(directory), None) => match run(&ContainerDirectory::new(PathBuf::from(directory)), open_sink) {
            Ok(()) => 0,
            Err(error) => {
                eprintln!("gantry shim: {error}");
                1
            }
        },
        _ => {
            eprintln!("gantry shim: expects the container's directory; it is started by the node only");
            2
        }
    };
    std::process::exit(code)
}

fn run(
    directory: &ContainerDirectory,
    open_sink: impl FnOnce(&OutputTarget) -> io::Result<Box<dyn OutputSink>>,
) -> io::Result<()> {
    let link = take_link()?;
    detach_from_starter();
    std::env::set_current_dir(directory.path())?;
    // Bound before anything else is made: whoever connects waits until the container runs, or sees the end.
    let listener = UnixListener::bind(CONTROL_SOCKET)?;
    listener.set_nonblocking(true)?;
    let group: Cgroup = read_order(&link)?;
    let pinned = group.pin()?;
    let own = i32::try_from(std::process::id()).map_err(io::Error::other)?;
    let mut record = ShimRecord {
        shim: ProcessIdentity::of(own)?,
        container: None,
        started_at: None,
        cgroup: group.clone(),
    };
    directory.write_shim(&record)?;
    directory.reserve_exit()?;

    let started = prepare::start(directory, &group, &pinned.group, open_sink).and_then(|started| {
        let started_at = Timestamp::now();
        record.container = ProcessIdentity::of(started.pid).ok();
        record.started_at = Some(started_at);
        // A container that nobody could find again must not run: an error here ends it, with its group.
        directory
            .write_shim(&record)
            .map_err(|error| runtime_failure("write down that the container runs", error))?;
        Ok((started, started_at))
    });
    match started {
        Ok((started, started_at)) => {
            let reply =
                Reply::Started { pid: started.pid, started_at, unenforced: started.unenforced.clone() };
            // The node may have died meanwhile; the next one finds the container by its directory.
            let link = write_line(&link, &reply).is_ok().then_some(link);
            let clients = clients::Clients::new(listener, link)?;
            supervise::supervise(directory, &pinned.group, started, started_at, clients)
        }
        Err(failure) => {
            let removed = pinned.group.remove();
            let written = directory.write_exit(&never_started(failure.clone()));
            let _ = write_line(&link, &Reply::Failed(failure));
            removed.and(written)
        }
    }
}

/// The first and only line that the node sends over the link: the container's control group.
fn read_order(link: &UnixStream) -> io::Result<Cgroup> {
    match LineBuffer::default().read(link)? {
        Incoming::Message(group) => Ok(group),
        Incoming::Pending | Incoming::Closed => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn never_started(failure: StartFailure) -> ExitRecord {
    ExitRecord {
        exit_code: None,
        signal: None,
        oom_killed: false,
        started_at: None,
        finished_at: Timestamp::now(),
        error: Some(failure),
        output_lines_lost: 0,
    }
}

pub(crate) fn runtime_failure(attempted: &str, error: impl std::fmt::Display) -> StartFailure {
    StartFailure::new(StartFailureKind::Runtime, format!("could not {attempted}: {error}"))
}
