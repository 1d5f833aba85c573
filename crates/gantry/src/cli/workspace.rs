//! Hidden commands that run as the user who called sudo, with their input on standard input.

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use super::Failure;
use crate::aws_profile::{self, Wanted};
use crate::up::terraform::workspace::{self, Request};

/// More is no request of ours.
const INPUT_BYTES_MAX: u64 = 4 << 20;

/// Prepare or remove a folder in which Terraform runs (as its owner).
#[derive(Debug, clap::Args)]
pub(crate) struct TerraformWorkspaceArguments {}

/// Write a profile into the files of AWS's tools (as their owner).
#[derive(Debug, clap::Args)]
pub(crate) struct WriteAwsProfileArguments {}

pub(crate) fn terraform_workspace(_: &TerraformWorkspaceArguments) -> Result<ExitCode, Failure> {
    answer("preparing a folder for Terraform", |home, input| {
        let request: Request = serde_json::from_slice(input).map_err(|error| error.to_string())?;
        workspace::answer(home, &request).map_err(|error| format!("in {}: {error}", home.display()))
    })
}

pub(crate) fn write_aws_profile(_: &WriteAwsProfileArguments) -> Result<ExitCode, Failure> {
    answer("writing the AWS profile", |home, input| {
        let wanted: Wanted = serde_json::from_slice(input).map_err(|error| error.to_string())?;
        let paths = aws_profile::write(home, &wanted).map_err(|error| error.to_string())?;
        serde_json::to_vec(&paths).map_err(|error| error.to_string())
    })
}

/// The caller shows what is written to standard error as the cause, and nothing else.
fn answer(
    attempted: &str,
    work: impl FnOnce(&std::path::Path, &[u8]) -> Result<Vec<u8>, String>,
) -> Result<ExitCode, Failure> {
    let failed = |cause: &dyn std::fmt::Display| {
        Failure::new(attempted, cause, "it is not meant to be called by hand")
    };
    let home = std::env::home_dir()
        .filter(|home| home.is_absolute())
        .ok_or_else(|| failed(&"there is no home directory"))?;
    let mut input = Vec::new();
    std::io::stdin().take(INPUT_BYTES_MAX).read_to_end(&mut input).map_err(|error| failed(&error))?;
    match work(&home, &input) {
        Ok(output) => {
            std::io::stdout().write_all(&output).map_err(|error| failed(&error))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(cause) => {
            eprintln!("{cause}");
            Ok(ExitCode::FAILURE)
        }
    }
}
