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

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: &str = r#"{
        "metadata": {"protocol": "ec2", "apiVersion": "1", "endpointPrefix": "tiny", "serviceFullName": "Tiny"},
        "unserved": ["Later"],
        "operations": {"Grow": {"http": {"method": "POST", "requestUri": "/"}, "input": {"shape": "Tree"}, "errors": ["Gone"]}},
        "shapes": {
            "Tree": {"type": "structure", "required": ["Name"], "members": {
                "Name": {"shape": "Text", "locationName": "treeName"},
                "Parent": {"shape": "Tree"},
                "Branches": {"shape": "Trees", "locationName": "branchSet", "queryName": "Branch"}}},
            "Trees": {"type": "list", "member": {"shape": "Tree", "locationName": "item"}, "max": 3},
            "Text": {"type": "string", "pattern": "\\d+"},
            "Gone": {"type": "structure", "members": {}, "exception": true, "error": {"code": "Tree.Gone", "httpStatusCode": 410}}
        }
    }"#;

    #[test]
    fn a_model_becomes_types_tables_and_a_trait() {
        let code = rust_for("tiny", MODEL).unwrap();
        let wanted = [
            // Required is plain, what holds itself is boxed, a list needs no box.
            "pub struct Tree { pub branches: Option<Vec<Tree>>,pub name: String,pub parent: Option<Box<Tree>>, }",
            "name: req(v, \"Name\")?",
            // EC2's names: capitalized in requests, unless the model names them.
            "name: \"Name\", wire_name: \"treeName\", query_name: \"TreeName\"",
            "name: \"Branches\", wire_name: \"branchSet\", query_name: \"Branch\"",
            "Kind::List { member: &Tree, item_name: \"item\", flattened: false }, min: None, max: Some(3.0)",
            "Some(Pattern::new(\"\\\\d+\"))",
            "ErrorModel { code: \"Tree.Gone\", query_code: \"\", status: 410, sender: true",
            "fn grow(&self, call: &CallContext, input: Tree) -> impl Future<Output = Result<(), ApiError>> + Send",
            "unserved: &[\"Later\"]",
        ];
        for text in wanted {
            assert!(code.contains(text), "{text}\n{code}");
        }
    }

    #[test]
    fn what_the_generator_does_not_know_fails_the_build_with_a_sentence() {
        let cases = [
            (r#""type": "list""#, r#""type": "heap""#, "Trees has the type \"heap\""),
            (r#"{"shape": "Trees","#, r#"{"shape": "Woods","#, "no shape Woods"),
            (r#""protocol": "ec2""#, r#""protocol": "soap""#, "unknown protocol \"soap\""),
            (r#""errors": ["Gone"]"#, r#""errors": ["Tree"]"#, "Grow fails with Tree, which is no exception"),
        ];
        for (from, to, message) in cases {
            let error = rust_for("tiny", &MODEL.replace(from, to)).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}
