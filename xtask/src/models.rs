//! Refreshes `models/*.json` from the service models of a botocore package.
//!
//! A model keeps what the wire needs and nothing else: metadata, the served operations, the shapes that they reach with
//! their constraints, and the names of all other operations, so that the server can tell "not implemented" from "unknown".
//! Prose, examples, endpoint rules and pagination stay out. One line per operation and shape makes a refresh readable as a
//! diff.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde_json::{Map, Value, json};

const METADATA: [&str; 11] = [
    "apiVersion",
    "endpointPrefix",
    "jsonVersion",
    "protocol",
    "protocols",
    "serviceFullName",
    "serviceId",
    "signingName",
    "targetPrefix",
    "xmlNamespace",
    "awsQueryCompatible",
];
const OPERATION: [&str; 8] =
    ["http", "input", "output", "errors", "authtype", "unsignedPayload", "endpoint", "alias"];
const SHAPE: [&str; 22] = [
    "type",
    "required",
    "members",
    "member",
    "key",
    "value",
    "enum",
    "min",
    "max",
    "pattern",
    "flattened",
    "locationName",
    "xmlNamespace",
    "timestampFormat",
    "sensitive",
    "exception",
    "error",
    "fault",
    "document",
    "union",
    "eventstream",
    "payload",
];
const REFERENCE: [&str; 16] = [
    "shape",
    "location",
    "locationName",
    "queryName",
    "flattened",
    "xmlAttribute",
    "xmlNamespace",
    "timestampFormat",
    "streaming",
    "idempotencyToken",
    "jsonvalue",
    "hostLabel",
    "event",
    "eventpayload",
    "eventheader",
    "resultWrapper",
];

/// `models --botocore DIR`: DIR is the `data` folder of a botocore package.
pub(crate) fn run(arguments: &[&str]) -> Result<(), String> {
    let ["--botocore", data] = arguments else {
        return Err(
            "usage: cargo xtask models --botocore DIR   (the `data` folder of a botocore package)".into()
        );
    };
    let (data, models) = (Path::new(data), models_folder());
    let version = botocore_version(data)?;
    let table = read(&models.join("served.txt"))?;
    for service in parse_table(&table)? {
        let source = data.join(service.folder).join("service-2.json");
        let full = read_model(&source)?;
        let trimmed = trim(&full, &service, &version)?;
        let target = models.join(format!("{}.json", service.module));
        let text = one_line_per_entry(&trimmed);
        fs::write(&target, &text).map_err(|error| format!("writing {}: {error}", target.display()))?;
        println!("{}: {} operations, {} bytes", target.display(), service.operations.len(), text.len());
    }
    Ok(())
}

fn models_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository").join("models")
}

/// One service of `served.txt`.
struct Served<'a> {
    module: &'a str,
    folder: &'a str,
    operations: BTreeSet<&'a str>,
}

fn parse_table(table: &str) -> Result<Vec<Served<'_>>, String> {
    let mut services: Vec<Served<'_>> = Vec::new();
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match (words.as_slice(), services.last_mut()) {
            (["service", module, folder], _) => {
                services.push(Served { module, folder, operations: BTreeSet::new() });
            }
            (["service", ..], _) => {
                return Err(format!("served.txt: `service MODULE FOLDER/VERSION`, not {line:?}"));
            }
            (operations, Some(service)) => {
                for operation in operations {
                    if !service.operations.insert(operation) {
                        return Err(format!("served.txt: {} has {operation} twice", service.module));
                    }
                }
            }
            ([], None) => {}
            (_, None) => return Err(format!("served.txt: {line:?} stands before any service")),
        }
    }
    Ok(services)
}

/// The package says its version beside its data folder.
fn botocore_version(data: &Path) -> Result<String, String> {
    let init = data.parent().unwrap_or(data).join("__init__.py");
    let text = read(&init)?;
    text.lines()
        .find_map(|line| line.strip_prefix("__version__ = "))
        .map(|version| version.trim_matches(['\'', '"']).to_owned())
        .ok_or_else(|| format!("{} names no __version__", init.display()))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("reading {}: {error}", path.display()))
}

/// Newer packages keep the models compressed, older ones plain.
fn read_model(path: &Path) -> Result<Value, String> {
    let compressed = path.with_extension("json.gz");
    let text = if compressed.exists() {
        let file = fs::File::open(&compressed)
            .map_err(|error| format!("opening {}: {error}", compressed.display()))?;
        let mut text = String::new();
        GzDecoder::new(file)
            .read_to_string(&mut text)
            .map_err(|error| format!("unpacking {}: {error}", compressed.display()))?;
        text
    } else {
        read(path)?
    };
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

fn trim(full: &Value, service: &Served<'_>, version: &str) -> Result<Value, String> {
    let all = full["operations"].as_object().ok_or_else(|| format!("{}: no operations", service.module))?;
    let mut operations = Map::new();
    let mut reached = BTreeSet::new();
    for name in &service.operations {
        let operation = all.get(*name).ok_or_else(|| format!("{}: no operation {name}", service.module))?;
        let mut kept = pick(operation, &OPERATION);
        for side in ["input", "output"] {
            if let Some(reference) = kept.get(side) {
                reach(full, &reference["shape"], &mut reached)?;
                let reference = Value::Object(pick(
                    reference,
                    &["shape", "resultWrapper", "locationName", "xmlNamespace"],
                ));
                kept.insert(side.to_owned(), reference);
            }
        }
        if let Some(errors) = kept.get("errors").and_then(Value::as_array) {
            let names: Vec<Value> = errors.iter().map(|error| error["shape"].clone()).collect();
            for name in &names {
                reach(full, name, &mut reached)?;
            }
            kept.insert("errors".to_owned(), Value::Array(names));
        }
        operations.insert((*name).to_owned(), Value::Object(kept));
    }
    let shapes: Map<String, Value> =
        reached.into_iter().map(|name| (name.clone(), trim_shape(&full["shapes"][&name]))).collect();
    let unserved: Vec<&String> =
        all.keys().filter(|name| !service.operations.contains(name.as_str())).collect();
    Ok(json!({
        "source": format!("botocore {version} {}", service.folder),
        "metadata": pick(&full["metadata"], &METADATA),
        "unserved": unserved,
        "operations": operations,
        "shapes": shapes,
    }))
}

/// Adds the shape and all that it refers to.
fn reach(full: &Value, name: &Value, reached: &mut BTreeSet<String>) -> Result<(), String> {
    let mut waiting = vec![name.as_str().unwrap_or_default().to_owned()];
    while let Some(name) = waiting.pop() {
        let shape = full["shapes"].get(&name).ok_or_else(|| format!("no shape {name:?}"))?;
        if !reached.insert(name) {
            continue;
        }
        let members = shape["members"].as_object().into_iter().flat_map(Map::values);
        let parts = ["member", "key", "value"].into_iter().filter_map(|part| shape.get(part));
        waiting.extend(
            members.chain(parts).filter_map(|reference| reference["shape"].as_str()).map(str::to_owned),
        );
    }
    Ok(())
}

fn trim_shape(shape: &Value) -> Value {
    let mut kept = pick(shape, &SHAPE);
    if let Some(members) = kept.get_mut("members").and_then(Value::as_object_mut) {
        for reference in members.values_mut() {
            *reference = Value::Object(pick(reference, &REFERENCE));
        }
    }
    for part in ["member", "key", "value"] {
        if let Some(reference) = kept.get_mut(part) {
            *reference = Value::Object(pick(reference, &REFERENCE));
        }
    }
    Value::Object(kept)
}

fn pick(value: &Value, keys: &[&str]) -> Map<String, Value> {
    let entries = value.as_object().into_iter().flatten();
    entries
        .filter(|(key, _)| keys.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// JSON with a line for each entry of `operations` and `shapes`, and for each other top-level key.
fn one_line_per_entry(model: &Value) -> String {
    let mut lines = Vec::new();
    let entries: BTreeMap<&String, &Value> = model.as_object().into_iter().flatten().collect();
    for (key, value) in entries {
        match value.as_object().filter(|_| matches!(key.as_str(), "operations" | "shapes")) {
            Some(inner) => {
                let inner: Vec<String> =
                    inner.iter().map(|(key, value)| format!("  {}: {value}", json!(key))).collect();
                lines.push(format!("{}: {{\n{}\n}}", json!(key), inner.join(",\n")));
            }
            None => lines.push(format!("{}: {value}", json!(key))),
        }
    }
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_each_operation_once() {
        let table = read(&models_folder().join("served.txt")).unwrap();
        let services = parse_table(&table).unwrap();
        assert!(services.iter().any(|service| service.module == "ecs"));
        assert!(services.iter().all(|service| !service.operations.is_empty()));
        for bad in ["CreateCluster", "service ecs", "service ecs ecs/1\nA A"] {
            assert!(parse_table(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_model_keeps_what_its_operations_reach_and_names_the_rest() {
        let full = json!({
            "metadata": {"protocol": "json", "uid": "x"},
            "operations": {
                "A": {"name": "A", "documentation": "prose", "input": {"shape": "In"}, "errors": [{"shape": "E"}]},
                "B": {"name": "B", "input": {"shape": "Other"}},
            },
            "shapes": {
                "In": {"type": "structure", "documentation": "prose", "required": ["x"],
                    "members": {"x": {"shape": "List", "documentation": "prose"}, "again": {"shape": "In"}}},
                "List": {"type": "list", "member": {"shape": "Text", "documentation": "prose"}, "max": 3},
                "Text": {"type": "string", "enum": ["a"]},
                "E": {"type": "structure", "members": {}, "exception": true},
                "Other": {"type": "structure", "members": {}},
            },
        });
        let service = Served { module: "m", folder: "m/1", operations: BTreeSet::from(["A"]) };
        let trimmed = trim(&full, &service, "1.2").unwrap();
        assert_eq!(trimmed["unserved"], json!(["B"]));
        let shapes: Vec<&String> = trimmed["shapes"].as_object().unwrap().keys().collect();
        assert_eq!(shapes, ["E", "In", "List", "Text"]);
        assert!(!trimmed.to_string().contains("prose"));
        assert_eq!(trimmed["source"], "botocore 1.2 m/1");
        let text = one_line_per_entry(&trimmed);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), trimmed);
    }
}
