//! `gantry-sim`: runs seeds of the simulated world, replays one, and shows that planted bugs are found.

use std::process::ExitCode;

use gantry_sim::command;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match command::run(std::env::args().skip(1), &mut std::io::stdout()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(text) => {
            eprintln!("{text}\n\n{}", command::USAGE);
            ExitCode::from(2)
        }
    }
}
