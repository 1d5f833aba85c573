//! The `gantry` command. What it does stands in the library beside it, so that tests can drive the parts.

use std::process::ExitCode;

fn main() -> ExitCode {
    gantry::run()
}
