//! `gantry operations`.

use std::fmt::Write as _;
use std::process::ExitCode;

use super::Failure;

/// Print every operation that is served, by service
#[derive(Debug, clap::Args)]
#[command(after_help = "\
An operation that is not in the list answers NotImplemented and names itself.

Example:
  gantry operations --markdown > docs/served.md")]
pub(crate) struct OperationsArguments {
    /// Print the page of the documentation
    #[arg(long)]
    markdown: bool,
}

pub(crate) fn print(arguments: &OperationsArguments) -> Result<ExitCode, Failure> {
    if arguments.markdown {
        print!("{}", markdown());
    } else {
        for (service, operations) in gantry_services::served() {
            println!("{}", service.name);
            for operation in operations {
                println!("  {operation}");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The page `docs/served.md`.
fn markdown() -> String {
    let mut page = "# What is served\n\
        Written by `gantry operations --markdown`. An operation that is not in the list answers `NotImplemented` and names\n\
        itself; a member that Gantry would have to ignore is refused by name.\n"
        .to_owned();
    for (service, operations) in gantry_services::served() {
        let (served, known) = (operations.len(), service.operations.len() + service.unserved.len());
        let _ = write!(
            page,
            "\n## {}\n{served} of {known} operations, API version {}.\n\n",
            service.service_id, service.api_version
        );
        for operation in operations {
            let _ = writeln!(page, "- {operation}");
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_lists_what_is_served() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/served.md");
        let kept = std::fs::read_to_string(path).expect("docs/served.md is there");
        assert!(
            kept == markdown(),
            "docs/served.md is old: run `gantry operations --markdown > docs/served.md`"
        );
    }
}
