//! Writes the `api` crate's Rust from the trimmed service models, at build time.
//!
//! Flow: [`generate`] reads each `models/*.json` into a [`model::Model`] and writes one `<service>.rs` with
//! - typed structs and their conversions from and to `Value` (`types`),
//! - the static shape tables that `gantry-wire` decodes, validates and encodes by (`tables`),
//! - the service's trait, its dispatcher and its error constructors (`service`),
//!
//! and a `services.rs` that includes them all.
//!
//! Invariants: the output is a function of the models alone; every operation, member and shape of a model is in it, or the
//! build fails with a sentence that names what was not understood. The output is never checked in and never edited.

mod model;
mod names;
mod service;
mod tables;
mod types;

use std::fs;
use std::path::{Path, PathBuf};

use model::Model;

/// Writes the Rust of every model in `models` into the folder `out`, and returns the models' paths.
pub fn generate(models: &Path, out: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(models).map_err(|error| format!("reading {}: {error}", models.display()))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let mut index = String::new();
    let mut tables = String::new();
    for path in &paths {
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let text =
            fs::read_to_string(path).map_err(|error| format!("reading {}: {error}", path.display()))?;
        let code = rust_for(name, &text).map_err(|error| format!("{}: {error}", path.display()))?;
        write(&out.join(format!("{name}.rs")), &code)?;
        index.push_str(&format!(
            "pub mod {name} {{ include!(concat!(env!(\"OUT_DIR\"), \"/{name}.rs\")); }}\n"
        ));
        tables.push_str(&format!("&{name}::MODEL,"));
    }
    index.push_str(&format!("pub static SERVICES: &[&gantry_wire::ServiceModel] = &[{tables}];\n"));
    write(&out.join("services.rs"), &index)?;
    Ok(paths)
}

/// The module of one service.
fn rust_for(name: &str, json: &str) -> Result<String, String> {
    let model = Model::parse(name, json)?;
    let mut code = String::with_capacity(json.len() * 3);
    code.push_str("use crate::prelude::*;\n");
    types::write(&model, &mut code)?;
    service::write(&model, &mut code)?;
    tables::write(&model, &mut code)?;
    Ok(code)
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("writing {}: {error}", path.display()))
}
