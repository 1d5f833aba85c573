//! Who may import whom. The arrows between crates stay one way, and what decides stays free of IO.
//!
//! The check reads `cargo metadata` for the arrows and the sources of the pure crates for clocks, files, sockets and threads.
//! Dev-dependencies may point anywhere: tests drive what the crate itself does not know.

use std::fs;
use std::path::Path;

use cargo_metadata::{DependencyKind, MetadataCommand};

/// A new crate gets a line here, and one in ARCHITECTURE.md.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("wire", &["types"]),
    ("codegen", &["types", "wire"]),
    ("api", &["types", "wire", "codegen"]),
    ("domain", &["types"]),
    ("deploy", DECIDER),
    ("placement", DECIDER),
    ("scaling", DECIDER),
    ("alarms", DECIDER),
    ("routing", DECIDER),
    ("insights", DECIDER),
    ("template", DECIDER),
    ("store", &["types", "domain"]),
    ("link", &["types", "domain"]),
    ("spool", &["types"]),
    ("telemetry", &["types", "domain", "spool"]),
    ("images", &["types"]),
    ("network", &["types"]),
    ("runtime", &["types"]),
    (
        "services",
        &[
            "types",
            "api",
            "wire",
            "domain",
            "store",
            "telemetry",
            "images",
            "deploy",
            "placement",
            "scaling",
            "alarms",
            "routing",
            "insights",
            "template",
        ],
    ),
    (
        "control",
        &[
            "types",
            "domain",
            "store",
            "link",
            "deploy",
            "placement",
            "scaling",
            "alarms",
            "routing",
            "insights",
            "template",
        ],
    ),
    ("node", &["types", "domain", "link", "spool", "network", "runtime", "images"]),
    ("lb", &["types", "domain", "link", "network", "routing"]),
    ("console", &["types", "api", "wire"]),
    (
        "sim",
        &[
            "types",
            "domain",
            "store",
            "link",
            "spool",
            "control",
            "node",
            "lb",
            "deploy",
            "placement",
            "scaling",
            "alarms",
            "routing",
        ],
    ),
    (
        "gantry",
        &[
            "types",
            "wire",
            "api",
            "domain",
            "deploy",
            "placement",
            "scaling",
            "alarms",
            "routing",
            "insights",
            "template",
            "store",
            "spool",
            "telemetry",
            "services",
            "control",
            "link",
            "images",
            "network",
            "runtime",
            "node",
            "lb",
            "console",
        ],
    ),
    ("xtask", &[]),
];

const DECIDER: &[&str] = &["types", "domain"];

/// Crates whose functions read only their arguments.
const PURE: &[&str] =
    &["domain", "deploy", "placement", "scaling", "alarms", "routing", "insights", "template", "control"];

/// What does IO, keeps time or makes threads.
const IMPURE_DEPENDENCIES: &[&str] = &[
    "tokio",
    "hyper",
    "hyper-util",
    "redb",
    "rustix",
    "nix",
    "socket2",
    "rtnetlink",
    "libcontainer",
    "libcgroups",
    "getrandom",
];

const IMPURE_WORDS: &[&str] = &[
    "Timestamp::now",
    "SystemTime",
    "Instant::now",
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "std::io::std",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "println!",
    "eprintln!",
];

/// One crate as far as the check is concerned; names are without `gantry-`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Package {
    name: String,
    /// Normal and build dependencies.
    imports: Vec<String>,
    others: Vec<String>,
}

/// `cargo xtask layering`.
pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    if !words.is_empty() {
        return Err("usage: cargo xtask layering".to_owned());
    }
    let found = check_workspace(Path::new(env!("CARGO_MANIFEST_DIR")))?;
    if found.is_empty() {
        println!("the arrows between crates point where they may");
        return Ok(());
    }
    Err(found.join("\n"))
}

/// Every violation, as a sentence.
fn check_workspace(manifest_directory: &Path) -> Result<Vec<String>, String> {
    let metadata = MetadataCommand::new()
        .current_dir(manifest_directory)
        .no_deps()
        .exec()
        .map_err(|error| format!("asking cargo for the workspace: {error}"))?;
    let packages: Vec<Package> = metadata
        .workspace_packages()
        .iter()
        .filter(|package| !package.manifest_path.starts_with(metadata.workspace_root.join("examples")))
        .map(|package| {
            let used: Vec<&str> = package
                .dependencies
                .iter()
                .filter(|dependency| dependency.kind != DependencyKind::Development)
                .map(|dependency| dependency.name.as_str())
                .collect();
            let (ours, others): (Vec<&str>, Vec<&str>) =
                used.into_iter().partition(|name| name.starts_with("gantry-") || *name == "gantry");
            Package {
                name: short(&package.name).to_owned(),
                imports: ours.into_iter().map(|name| short(name).to_owned()).collect(),
                others: others.into_iter().map(str::to_owned).collect(),
            }
        })
        .collect();
    let mut found = check(&packages);
    for name in PURE {
        let sources = metadata.workspace_root.as_std_path().join("crates").join(name).join("src");
        if sources.is_dir() {
            scan(&sources, name, &mut found)?;
        }
    }
    Ok(found)
}

fn short(name: &str) -> &str {
    name.strip_prefix("gantry-").unwrap_or(name)
}

fn check(packages: &[Package]) -> Vec<String> {
    let mut found = Vec::new();
    for package in packages {
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == package.name) else {
            found.push(format!(
                "{} is not in the table of xtask/src/layering.rs; say there what it may import, and in ARCHITECTURE.md what it is",
                package.name
            ));
            continue;
        };
        for import in package.imports.iter().filter(|import| !allowed.contains(&import.as_str())) {
            found.push(format!("{} imports {import}; it may import: {}", package.name, allowed.join(", ")));
        }
        if PURE.contains(&package.name.as_str()) {
            for other in package.others.iter().filter(|other| IMPURE_DEPENDENCIES.contains(&other.as_str())) {
                found.push(format!("{} depends on {other}, but it shall do no IO", package.name));
            }
        }
    }
    found
}

/// Looks for what reads the world in the sources of a pure crate, outside of tests and comments.
fn scan(directory: &Path, name: &str, found: &mut Vec<String>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("reading {}: {error}", directory.display());
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            scan(&path, name, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test(&path) {
            let text = fs::read_to_string(&path).map_err(failed)?;
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            found.extend(impure(&text).map(|(line, word)| {
                format!("{name}: {file} line {line} uses {word}, but {name} reads only its arguments")
            }));
        }
    }
    Ok(())
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests")
        || path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("tests"))
}

fn impure(text: &str) -> impl Iterator<Item = (usize, &'static str)> {
    let shipped = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    shipped.lines().enumerate().flat_map(|(index, line)| {
        let code = line.split("//").next().unwrap_or_default();
        IMPURE_WORDS
            .iter()
            .filter(|word| code.contains(**word))
            .map(move |word| (index + 1, *word))
            .collect::<Vec<_>>()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_keeps_its_layers() {
        let found =
            check_workspace(Path::new(env!("CARGO_MANIFEST_DIR"))).expect("cargo describes the workspace");
        assert!(found.is_empty(), "{}", found.join("\n"));
    }

    fn package(name: &str, imports: &[&str], others: &[&str]) -> Package {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Package { name: name.to_owned(), imports: own(imports), others: own(others) }
    }

    #[test]
    fn a_wrong_arrow_is_named() {
        let found = check(&[
            package("deploy", &["types", "domain", "store"], &["serde", "tokio"]),
            package("lb", &["gantry"], &["tokio"]),
            package("attic", &[], &[]),
            package("gantry", &["sim"], &[]),
        ]);
        let expected = [
            "deploy imports store; it may import: types, domain",
            "deploy depends on tokio, but it shall do no IO",
            "lb imports gantry;",
            "attic is not in the table",
            "gantry imports sim;",
        ];
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (sentence, beginning) in found.iter().zip(expected) {
            assert!(sentence.starts_with(beginning), "{sentence}");
        }
    }

    #[test]
    fn a_clock_in_a_decider_is_found_and_one_in_its_tests_is_not() {
        let text = "// SystemTime is not for us.\nlet now = Timestamp::now();\n#[cfg(test)]\nmod tests { std::fs::read(p); }";
        assert_eq!(impure(text).collect::<Vec<_>>(), [(2, "Timestamp::now")]);
    }

    #[test]
    fn the_table_has_no_circle() {
        let imports =
            |name: &str| MAY_IMPORT.iter().find(|(own, _)| *own == name).map_or(&[][..], |(_, list)| list);
        for (start, _) in MAY_IMPORT {
            let mut reached: Vec<&str> = imports(start).to_vec();
            let mut next = 0;
            while next < reached.len() {
                for name in imports(reached[next]) {
                    if !reached.contains(name) {
                        reached.push(name);
                    }
                }
                next += 1;
            }
            assert!(!reached.contains(start), "{start} would import itself");
        }
    }
}
