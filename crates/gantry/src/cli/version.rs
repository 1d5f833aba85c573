//! `gantry version`.

use std::process::ExitCode;

use super::Failure;

/// Print the version.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  gantry version --json")]
pub(crate) struct VersionArguments {
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn print(arguments: &VersionArguments) -> Result<ExitCode, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    if arguments.json {
        println!("{}", serde_json::json!({ "version": version, "target": target }));
    } else {
        println!("gantry {version} ({target})");
    }
    Ok(ExitCode::SUCCESS)
}
