//! A server to work with: the one that runs, or one that is started now.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use gantry_types::Value;

use super::record::UpRecord;
use super::screen::{Screen, seconds};
use crate::cli::Failure;
use crate::client::{CallError, Client};
use crate::layout::Layout;
use crate::profile::Profile;

/// Finds the server of a state directory; starts one where none answers.
pub(crate) async fn ensure(layout: &Layout, screen: &mut Screen) -> Result<Client, Failure> {
    if let Some(client) = running(layout).await {
        screen.step("server", &format!("runs at {}", client.profile().endpoint));
        return Ok(client);
    }
    let begun = Instant::now();
    screen.status("starting the server");
    start(layout.root())?;
    let client = running(layout).await.ok_or_else(|| {
        let log = layout.server_log();
        Failure::new("starting the server", "it does not answer", format!("see {}", log.display()))
    })?;
    let kept = UpRecord::change(layout, |record| record.server_started = true);
    kept.map_err(|error| Failure::new("keeping what was started", error, "make room on the disk"))?;
    screen
        .step("server", &format!("started at {} in {}", client.profile().endpoint, seconds(begun.elapsed())));
    Ok(client)
}

/// A client of the server that runs, if one does.
pub(crate) async fn running(layout: &Layout) -> Option<Client> {
    let client = Client::new(Profile::of_state_dir(layout).ok()?).ok()?;
    match client.call("sts", "GetCallerIdentity", Value::map()).await {
        Ok(_) | Err(CallError::Api(_)) => Some(client),
        Err(_) => None,
    }
}

fn start(state_dir: &Path) -> Result<(), Failure> {
    let failed = |cause: &dyn std::fmt::Display| {
        let next = match rustix::process::geteuid().is_root() {
            true => "run `gantry doctor`, which says what this machine lacks",
            false => "containers need root: run it with sudo",
        };
        Failure::new("starting the server", cause, next)
    };
    let output = Command::new("/proc/self/exe")
        .args(["server", "--detach", "--state-dir"])
        .arg(state_dir)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(&error))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(failed(&String::from_utf8_lossy(&output.stderr).trim())),
    }
}
