//! Writes the services' Rust from `models/`.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let folder =
        |variable: &str| PathBuf::from(env::var_os(variable).expect("cargo sets it for build scripts"));
    let models = folder("CARGO_MANIFEST_DIR").join("../../models");
    println!("cargo::rerun-if-changed={}", models.display());
    match gantry_codegen::generate(&models, &folder("OUT_DIR")) {
        Ok(paths) => {
            for path in paths {
                println!("cargo::rerun-if-changed={}", path.display());
            }
            ExitCode::SUCCESS
        }
        Err(message) => {
            println!("cargo::error={message}");
            ExitCode::FAILURE
        }
    }
}
