//! Developer commands: `cargo xtask COMMAND`.

use std::process::ExitCode;

mod layering;
mod models;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  layering                check who imports whom
  models --botocore DIR   write models/*.json from the `data` folder of a botocore package";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["layering", rest @ ..] => layering::run(rest),
        ["models", rest @ ..] => models::run(rest),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
