//! `gantry clean`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::{Failure, StateDirArgument};
use crate::config::{ConfigError, ServerConfig};
use crate::descriptors::handoff::Taken;
use crate::hosts::Block;
use crate::layout::Layout;
use crate::supervisor::ServerLock;

/// An old load balancer finishes what is in flight, and so frees its networks.
const DRAIN_WAIT_MAX: Duration = Duration::from_secs(45);

/// Remove every task, network and control group that a stopped server left running.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Records, images and logs stay: the next start makes the same again. To be rid of them too, remove the state directory then.

Example:
  sudo gantry down && sudo gantry clean")]
pub(crate) struct CleanArguments {
    #[command(flatten)]
    state_dir: StateDirArgument,
}

pub(crate) fn run(arguments: CleanArguments) -> Result<ExitCode, Failure> {
    let failed = |error: &dyn std::fmt::Display, next: &str| {
        Failure::new("removing what a server left", error, next.to_owned())
    };
    let path = crate::config::state_dir(arguments.state_dir.state_dir)
        .and_then(|path| match path.canonicalize() {
            Ok(path) => Ok(path),
            Err(source) => Err(ConfigError::File { action: "finding", path, source }),
        })
        .map_err(|error| failed(&error, "name the server's state directory with --state-dir"))?;
    clean(&Layout::new(path))
}

/// Ends and removes everything that the server of this directory made on the machine.
pub(crate) fn clean(layout: &Layout) -> Result<ExitCode, Failure> {
    let failed = |error: &dyn std::fmt::Display, next: &str| {
        Failure::new("removing what a server left", error, next.to_owned())
    };
    let again = "run it again as root; `gantry doctor` says what this machine lacks";
    let config = match ServerConfig::read(layout) {
        Ok(config) => config,
        Err(ConfigError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            println!("no server was ever started with {}", layout.root().display());
            return Ok(ExitCode::SUCCESS);
        }
        Err(error) => return Err(failed(&error, "start the server once; it writes this anew")),
    };
    // Nobody starts a server meanwhile.
    let _lock = ServerLock::take(&layout.lock(), Duration::from_secs(1))
        .map_err(|error| failed(&error, "stop the server first: `gantry down`"))?;
    end_load_balancer(layout).map_err(|error| failed(&error, again))?;
    gantry_node::shell::remove_all(&crate::node::config(&config)).map_err(|error| failed(&error, again))?;
    Block::new(crate::hosts::SYSTEM_FILE, &config.instance)
        .remove()
        .map_err(|error| failed(&error, again))?;
    println!("removed every task, network and control group of {}", layout.root().display());
    Ok(ExitCode::SUCCESS)
}

/// One that outlived its supervisor holds sockets inside the networks.
fn end_load_balancer(layout: &Layout) -> std::io::Result<()> {
    let taken = Taken::take(&layout.handoff_socket()).map_err(std::io::Error::other)?;
    let Some(old) = taken else { return Ok(()) };
    let process = old.process;
    old.drain()?;
    let give_up = Instant::now() + DRAIN_WAIT_MAX;
    let status = std::path::PathBuf::from(format!("/proc/{process}/fd"));
    // A process that has ended and that nobody has waited for has no files.
    while std::fs::read_dir(&status).is_ok_and(|mut files| files.next().is_some()) {
        if Instant::now() >= give_up {
            return Err(std::io::Error::other(format!("the load balancer (process {process}) does not end")));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
