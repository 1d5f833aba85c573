//! `gantry down`.

use std::process::ExitCode;

use super::{Failure, StateDirArgument};
use crate::layout::Layout;
use crate::up::record::UpRecord;
use crate::up::screen::Screen;
use crate::up::terraform::{self, TerraformOptions};
use crate::up::{down, server};

/// Remove what `gantry up` brought up, and stop the server.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without a name everything that came up goes, then the server stops. With one only that goes; the server stops with the
last one if `gantry up` had started it. A server that was started by itself keeps its other tasks: they run on, and the
next start manages them again.

Examples:
  sudo gantry down
  sudo gantry down resilience-lab
  sudo gantry down --server-only")]
pub(crate) struct DownArguments {
    #[command(flatten)]
    state_dir: StateDirArgument,
    /// A stack, or the template or folder that came up
    name: Option<String>,
    /// Only stop the server, in order; what came up stays, and the next start manages it again
    #[arg(long, conflicts_with = "name")]
    server_only: bool,
}

pub(crate) fn run(arguments: DownArguments) -> Result<ExitCode, Failure> {
    let layout = super::layout(arguments.state_dir.state_dir)?;
    if arguments.server_only {
        return super::server::stop(&layout);
    }
    let mut screen = Screen::new();
    super::block_on(take_down(&layout, arguments.name.as_deref(), &mut screen))??;
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn take_down(
    layout: &Layout,
    name: Option<&str>,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let read = || {
        UpRecord::read(layout).map_err(|error| {
            Failure::new("finding what is up", error, "run it as the user who ran `gantry up` (sudo)")
        })
    };
    let record = read()?;
    let (stacks, folders) = (record.stacks_meant(name), record.folders_meant(name));
    if let Some(name) = name.filter(|_| stacks.is_empty() && folders.is_empty()) {
        let known: Vec<&str> = record.stacks.keys().map(String::as_str).collect();
        let next = match known.is_empty() {
            true => "nothing that `gantry up` brought up is left; `gantry down` stops the server".to_owned(),
            false => format!("these are up: {}", known.join(", ")),
        };
        return Err(Failure::new(format!("removing {name}"), "`gantry up` did not bring it up", next));
    }
    if !(stacks.is_empty() && folders.is_empty()) {
        // Whoever is to be removed has to be managed.
        let client = server::ensure(layout, screen).await?;
        for folder in folders {
            let region = record.terraform.get(&folder).map(|known| known.region.clone()).unwrap_or_default();
            let options = TerraformOptions::default();
            terraform::down(&folder, &client.in_region(&region), screen, &options).await?;
            down::forget_terraform(layout, &folder)?;
        }
        for stack in stacks {
            let region = record.stacks.get(&stack).map(|known| known.region.clone()).unwrap_or_default();
            down::remove_stack(&client.in_region(&region), layout, &stack, screen).await?;
        }
    }
    let left = read()?;
    let is_last = left.stacks.is_empty() && left.terraform.is_empty();
    if name.is_some() && !(is_last && left.server_started) {
        return Ok(());
    }
    screen.clear_status();
    super::server::stop(layout)?;
    if left.server_started {
        // It ran for what came up alone: nothing of it stays but records, images and logs.
        super::clean::clean(layout)?;
        let kept = UpRecord::change(layout, |record| record.server_started = false);
        kept.map_err(|error| Failure::new("keeping what is up", error, "make room on the disk"))?;
    }
    Ok(())
}
