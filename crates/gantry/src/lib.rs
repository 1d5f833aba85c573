//! The `gantry` binary: command line, configuration, wiring and the supervisor.
//!
//! Flow: [`run`] hands a shim's or an exec's re-exec to the runtime before anything else has happened (no thread, no runtime,
//! no parsed command line). Every other call is parsed by [`cli`], becomes a validated configuration, and runs. `gantry server`
//! is the [`supervisor`]: a poll loop that keeps three children of the same binary alive, `control`, `lb` and `node`, and holds
//! their sockets for them in the [`descriptors`] store, so that the death of any of them breaks only what was in flight in it.
//!
//! Invariants:
//! - Two servers never share a state directory: whoever supervises holds its lock, and each role holds its own.
//! - The supervisor makes no decision about services and keeps nothing but descriptors.
//! - What the state directory holds, and under which names, stands in [`layout`] alone.

use std::process::ExitCode;

mod aws_profile;
mod caller;
pub mod cli;
mod client;
pub mod config;
mod control;
pub mod credentials;
pub mod descriptors;
pub mod doctor;
pub mod hosts;
pub mod layout;
mod lb;
pub mod load;
pub mod logging;
mod node;
pub mod profile;
pub mod roles;
pub mod supervisor;
mod unit;
mod up;

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    match words.next().as_ref().and_then(|word| word.to_str()) {
        Some("shim") => gantry_runtime::shim_main(words, gantry_node::output::open),
        Some("exec-shim") => gantry_runtime::exec_main(words),
        _ => cli::run(),
    }
}
