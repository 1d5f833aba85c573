//! The command line: arguments in, one command run, an exit code out.
//!
//! Exit codes: 0 done; 1 the command failed, and a sentence says what was attempted and what to do next; 2 the arguments cannot
//! be read; 3 `gantry doctor` found something that does not work; 99 a threshold of `gantry load` was crossed, as k6 has it.

mod clean;
mod doctor;
#[cfg(test)]
mod documents;
mod down;
mod env;
mod exec;
mod failure;
mod forward;
mod image;
mod inside;
mod install;
mod load;
mod manual;
mod operations;
mod screen;
mod server;
mod up;
mod version;
mod workspace;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub(crate) use failure::Failure;

use crate::layout::Layout;
use crate::supervisor::Role;

const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   the command failed; the message says what was attempted and what to do next
  2   the arguments cannot be read
  3   `gantry doctor` found something that does not work here
  99  a threshold of `gantry load` was crossed

Example:
  sudo gantry server --detach && eval $(gantry env) && aws ecs list-clusters";

/// ECS services, load balancers and deployments on your own machine, behind the AWS APIs.
#[derive(Debug, Parser)]
#[command(name = "gantry", version, after_help = EXIT_CODES, max_term_width = 110, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::UpArguments),
    Down(down::DownArguments),
    Server(server::ServerArguments),
    Clean(clean::CleanArguments),
    Env(env::EnvArguments),
    Exec(exec::ExecArguments),
    Forward(forward::ForwardArguments),
    Doctor(doctor::DoctorArguments),
    Image(image::ImageArguments),
    Load(load::LoadArguments),
    Operations(operations::OperationsArguments),
    Completions(manual::CompletionsArguments),
    Man(manual::ManArguments),
    Version(version::VersionArguments),
    #[command(hide = true)]
    Control(ChildArguments),
    #[command(hide = true)]
    Lb(ChildArguments),
    #[command(hide = true)]
    Node(ChildArguments),
    #[command(hide = true, name = "write-profile")]
    WriteProfile(env::WriteProfileArguments),
    #[command(hide = true, name = "write-aws-profile")]
    WriteAwsProfile(workspace::WriteAwsProfileArguments),
    #[command(hide = true, name = "terraform-workspace")]
    TerraformWorkspace(workspace::TerraformWorkspaceArguments),
}

/// A part of a running server; `gantry server` starts it.
#[derive(Debug, clap::Args)]
struct ChildArguments {
    #[arg(long)]
    state_dir: PathBuf,
}

/// The state directory, for commands that look into one.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct StateDirArgument {
    /// The server's state directory [default: /var/lib/gantry as root, else ~/.local/state/gantry]
    #[arg(long, env = "GANTRY_STATE_DIR", value_name = "DIR", global = true)]
    pub(crate) state_dir: Option<PathBuf>,
}

/// Parses this process's arguments and runs what they ask for.
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse_from(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(error) => {
            // A closed standard output is no reason to fail differently.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let outcome = match arguments.command {
        Command::Up(arguments) => up::run(&arguments),
        Command::Down(arguments) => down::run(arguments),
        Command::Server(arguments) => server::serve(arguments),
        Command::Clean(arguments) => clean::run(arguments),
        Command::Env(arguments) => env::print(&arguments),
        Command::Exec(arguments) => exec::run(arguments),
        Command::Forward(arguments) => forward::run(&arguments),
        Command::Doctor(arguments) => doctor::run(arguments),
        Command::Image(arguments) => image::run(arguments),
        Command::Load(arguments) => load::run(arguments),
        Command::Operations(arguments) => operations::print(&arguments),
        Command::Completions(arguments) => manual::completions(&arguments),
        Command::Man(arguments) => manual::man(&arguments),
        Command::Version(arguments) => version::print(&arguments),
        Command::WriteProfile(arguments) => env::write_profile(&arguments),
        Command::WriteAwsProfile(arguments) => workspace::write_aws_profile(&arguments),
        Command::TerraformWorkspace(arguments) => workspace::terraform_workspace(&arguments),
        Command::Control(arguments) => child(Role::Control, &arguments),
        Command::Lb(arguments) => child(Role::Lb, &arguments),
        Command::Node(arguments) => child(Role::Node, &arguments),
    };
    outcome.unwrap_or_else(|failure| {
        eprint!("{failure}");
        ExitCode::FAILURE
    })
}

/// The state directory that commands look into, named or not.
fn layout(named: Option<PathBuf>) -> Result<Layout, Failure> {
    crate::config::state_dir(named)
        .map(Layout::new)
        .map_err(|error| Failure::new("finding the state directory", error, "name it with --state-dir"))
}

/// Runs a command's own asynchronous work.
fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("starting the event loop", error, "see `gantry doctor`"))?;
    Ok(runtime.block_on(work))
}

fn child(role: Role, arguments: &ChildArguments) -> Result<ExitCode, Failure> {
    let outcome = crate::roles::Child::start(role, &arguments.state_dir)
        .map_err(|error| error.to_string())
        .and_then(|child| match role {
            Role::Control => crate::control::run(&child),
            Role::Lb => crate::lb::run(&child),
            Role::Node => crate::node::run(&child),
        });
    match outcome {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(message) => {
            // Without a supervisor there may be no log yet.
            tracing::error!("{message}");
            Err(Failure::new(format!("running {}", role.name()), message, "see the server's log"))
        }
    }
}

/// How the supervisor calls a child.
pub(crate) fn child_arguments(role: Role, state_dir: &std::path::Path) -> Vec<OsString> {
    vec![role.name().into(), "--state-dir".into(), state_dir.into()]
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_command_says_what_it_does_and_shows_an_example() {
        fn check(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            assert!(command.get_about().is_some(), "{path} says nothing about itself");
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.contains("Example"), "{path} has no example");
            for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
                check(inner, &path);
            }
        }
        let command = Arguments::command();
        command.clone().debug_assert();
        check(&command, "");
    }

    #[test]
    fn a_child_understands_how_it_is_called() {
        for role in Role::ALL {
            let mut words: Vec<OsString> = vec!["gantry".into()];
            words.extend(child_arguments(role, std::path::Path::new("/s")));
            assert!(Arguments::try_parse_from(words).is_ok(), "{}", role.name());
        }
    }
}
