//! `gantry server --install`: Gantry as a service of systemd.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::Failure;
use crate::unit::{self, NAME, PROGRAM, UNIT, UnitError};

/// These are about installing, or about how a terminal starts a server.
const NOT_KEPT: [&str; 5] = ["--install", "--print", "--foreground", "--detach", "--replace"];

/// Shows the unit, or writes it, starts it and says so.
pub(crate) fn install(print_only: PrintOnly, paths: &[Option<&PathBuf>]) -> Result<ExitCode, Failure> {
    let attempted = "installing the service";
    let arguments = kept(std::env::args_os().skip(1));
    if let Some(path) = paths.iter().flatten().find(|path| path.is_relative()) {
        let error = UnitError::Relative(path.to_path_buf());
        return Err(Failure::new(attempted, error, "name it by its whole path"));
    }
    let text = unit::text(Path::new(PROGRAM), &arguments)
        .map_err(|error| Failure::new(attempted, error, "name it in UTF-8"))?;
    if print_only == PrintOnly::Yes {
        print!("{text}");
        return Ok(ExitCode::SUCCESS);
    }
    require_root_and_systemd(attempted)?;
    let failed = |error: UnitError| Failure::new(attempted, error, format!("see `systemctl status {NAME}`"));
    match unit::place_program(Path::new(PROGRAM)).map_err(failed)? {
        Some(bytes) => println!("copied this program to {PROGRAM} ({} MB)", bytes.div_ceil(1_000_000)),
        None => println!("the program stands at {PROGRAM}"),
    }
    unit::write(Path::new(UNIT), &text).map_err(failed)?;
    println!("wrote {UNIT}");
    unit::systemctl(&["daemon-reload"]).map_err(failed)?;
    // A service that runs is handed over to the new program without a failed request; another one starts now.
    let is_running = unit::systemctl(&["is-active", "--quiet", NAME]).is_ok();
    unit::systemctl(&["enable", "--now", NAME]).map_err(failed)?;
    if is_running {
        unit::systemctl(&["reload", NAME]).map_err(failed)?;
        println!("the running service hands over to it");
    } else {
        println!("started it; it starts with the machine from now on");
    }
    println!("next: eval $(sudo gantry env); its log is `journalctl -u gantry`");
    Ok(ExitCode::SUCCESS)
}

/// Stops the service and removes its unit.
pub(crate) fn uninstall() -> Result<ExitCode, Failure> {
    let attempted = "removing the service";
    require_root_and_systemd(attempted)?;
    let failed = |error: UnitError| Failure::new(attempted, error, format!("see `systemctl status {NAME}`"));
    if !Path::new(UNIT).exists() {
        println!("{UNIT} does not exist: nothing is installed");
        return Ok(ExitCode::SUCCESS);
    }
    unit::systemctl(&["disable", "--now", NAME]).map_err(failed)?;
    unit::remove(Path::new(UNIT)).map_err(failed)?;
    unit::systemctl(&["daemon-reload"]).map_err(failed)?;
    println!("stopped the service and removed {UNIT}; containers run on, and records and images are kept");
    println!(
        "next: `gantry clean` removes the containers; then {PROGRAM} and /var/lib/gantry may be deleted"
    );
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PrintOnly {
    Yes,
    No,
}

fn require_root_and_systemd(attempted: &str) -> Result<(), Failure> {
    unit::require_systemd().map_err(|error| {
        let next = "`gantry server --install --print` shows the unit, to be adapted for another service manager; \
                    `gantry server --detach` runs it in the background";
        Failure::new(attempted, error, next)
    })?;
    match rustix::process::geteuid().is_root() {
        true => Ok(()),
        false => Err(Failure::new(attempted, "it writes system files", "run it with sudo")),
    }
}

/// The server's own arguments among those of this command.
fn kept(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let words = words.filter(|word| !NOT_KEPT.iter().any(|left_out| word == left_out));
    // The command's name: the first word that is no option, and `server` is the only one that gets here.
    let mut is_named = false;
    words
        .filter(|word| {
            is_named || {
                is_named = word == "server";
                !is_named
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_servers_own_arguments_are_kept() {
        let words = [
            "server",
            "--install",
            "--listen",
            "[::]:1",
            "--print",
            "--state-dir",
            "/server",
            "--region",
            "server",
        ];
        let found = kept(words.into_iter().map(OsString::from));
        assert_eq!(found, ["--listen", "[::]:1", "--state-dir", "/server", "--region", "server"]);
    }
}
