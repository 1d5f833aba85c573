//! `gantry doctor`.

use std::io::IsTerminal as _;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;

use super::{Failure, StateDirArgument};
use crate::config::{AddressRange, defaults};
use crate::doctor::{self, Subject, Verdict};

const DOES_NOT_WORK: u8 = 3;

/// Say what this machine can and cannot enforce, and what to do about it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo gantry doctor\n  gantry doctor --json")]
pub(crate) struct DoctorArguments {
    #[command(flatten)]
    state_dir: StateDirArgument,
    /// Where the AWS APIs would be answered
    #[arg(long, env = "GANTRY_LISTEN", default_value = defaults::LISTEN, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// The address that all internet-facing load balancers would share
    #[arg(long, env = "GANTRY_LB_ADDRESS", default_value = defaults::LB_ADDRESS, value_name = "ADDRESS")]
    lb_address: IpAddr,
    /// The range of load balancers' own addresses
    #[arg(long, env = "GANTRY_LB_RANGE", default_value = defaults::LB_RANGE, value_name = "CIDR", value_parser = range)]
    lb_range: AddressRange,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: DoctorArguments) -> Result<ExitCode, Failure> {
    let state_dir = crate::config::state_dir(arguments.state_dir.state_dir)
        .map_err(|error| Failure::new("looking at this machine", error, "see `gantry doctor --help`"))?;
    let findings = doctor::examine(&Subject {
        state_dir,
        listen: arguments.listen,
        lb_address: arguments.lb_address,
        lb_range: arguments.lb_range,
        hosts_file: "/etc/hosts".into(),
    });
    if arguments.json {
        println!("{:#}", doctor::json(&findings));
    } else {
        let colour = std::io::stdout().is_terminal() && crate::logging::colour_wanted();
        print!("{}", doctor::table(&findings, colour));
    }
    match findings.iter().any(|finding| finding.verdict == Verdict::Bad) {
        true => Ok(ExitCode::from(DOES_NOT_WORK)),
        false => Ok(ExitCode::SUCCESS),
    }
}

fn range(text: &str) -> Result<AddressRange, String> {
    AddressRange::parse(text).ok_or_else(|| "write a range like 127.64.0.0/10".to_owned())
}
