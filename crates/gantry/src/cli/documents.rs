//! The documentation says what the program does: its numbers, its lists, and every command that it shows.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;

use super::Arguments;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What stands between two marks.
fn between<'t>(text: &'t str, name: &str) -> &'t str {
    let (start, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let (_, rest) = text.split_once(&start).unwrap_or_else(|| panic!("{start}"));
    rest.split_once(&end).unwrap_or_else(|| panic!("{end}")).0
}

fn in_backticks(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn the_comparison_counts_what_is_served() {
    let mut table = "| service | operations served | of |\n|---|---|---|\n".to_owned();
    for (service, operations) in gantry_services::served() {
        let known = service.operations.len() + service.unserved.len();
        table.push_str(&format!("| {} | {} | {known} |\n", service.service_id, operations.len()));
    }
    let kept = read("docs/compared.md");
    assert!(between(&kept, "served") == table, "docs/compared.md is old; its table is now:\n{table}");
    assert!(
        gantry_services::served().len() == 9 && kept.contains("| nine, see below |"),
        "count the services"
    );
}

#[test]
fn what_the_comparison_calls_missing_is_missing() {
    let kept = read("docs/compared.md");
    let missing = kept.split_once("## What is missing").expect("the section").1;
    let missing = missing.split_once("\n## ").expect("the next section").0;
    let types = read("docs/cloudformation.md");
    let (mut operations, mut resources) = (0, 0);
    for word in in_backticks(missing) {
        if word.starts_with("AWS::") {
            assert!(!types.contains(&format!("| `{word}` |")), "{word} is served now");
            resources += 1;
        } else if let Some((service, operation)) = word.split_once(':') {
            operations += 1;
            let Some(model) = gantry_api::SERVICES.iter().find(|each| each.name == service) else { continue };
            let served = gantry_services::served().into_iter().find(|(each, _)| each.name == service);
            let is_served = served.is_some_and(|(_, operations)| operations.contains(&operation));
            assert!(!is_served, "{word} is served now");
            let mut known =
                model.unserved.iter().copied().chain(model.operations.iter().map(|each| each.name));
            assert!(known.any(|each| each == operation), "{word} is no operation of AWS");
        }
    }
    assert!(
        operations > 15 && resources > 10,
        "{operations} operations and {resources} types were looked at"
    );
}

#[test]
fn refused_members_are_those_of_the_code() {
    let source = read("crates/services/src/ecs/definition/unsupported.rs");
    let quoted: BTreeSet<&str> = source
        .lines()
        .filter(|line| line.trim_start().starts_with("(\"") || line.contains("return refuse(\""))
        .filter_map(|line| line.split('"').nth(1))
        .filter(|word| !word.contains(' '))
        .collect();
    let kept = read("docs/compared.md");
    let listed: BTreeSet<&str> = in_backticks(between(&kept, "refused members")).collect();
    assert!(quoted.len() > 10);
    assert_eq!(listed, quoted);
}

/// `gantry WORD --option` wherever a page shows it.
#[test]
fn every_command_that_a_page_shows_exists() {
    let mut pages = vec!["README.md".to_owned(), "packaging/container/README.md".to_owned()];
    for page in ["ci", "compared", "images", "terraform", "troubleshooting"] {
        pages.push(format!("docs/{page}.md"));
    }
    let command = Arguments::command();
    let mut looked_at = 0;
    for page in pages {
        for line in shown(&read(&page)) {
            looked_at += check(&command, &page, &line);
        }
    }
    assert!(looked_at > 40, "{looked_at} commands were found");
}

/// The lines of code blocks, and what stands in backticks.
fn shown(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, part) in text.split("```").enumerate() {
        match index % 2 {
            1 => lines.extend(part.replace("\\\n", " ").lines().map(str::to_owned)),
            _ => lines.extend(part.split("\n\n").flat_map(in_backticks).map(str::to_owned)),
        }
    }
    lines
}

fn check(command: &clap::Command, page: &str, line: &str) -> usize {
    let line = line.split('#').next().unwrap_or_default();
    let words: Vec<&str> =
        line.split_whitespace().map(|word| word.trim_matches(['(', ')', '$', ';'])).collect();
    let mut found = 0;
    for (index, _) in words.iter().enumerate().filter(|(_, word)| word.rsplit('/').next() == Some("gantry")) {
        let Some(name) =
            words.get(index + 1).filter(|name| name.bytes().all(|byte| byte.is_ascii_lowercase()))
        else {
            continue;
        };
        // `--name gantry -v ...` and the like: an argument of another program.
        let Some(mut inner) = command.get_subcommands().find(|each| each.get_name() == *name) else {
            assert!(line.contains("docker"), "{page}: `gantry {name}` does not exist: {line}");
            continue;
        };
        found += 1;
        let ends = |word: &&&str| ["&&", "|", "gantry"].contains(*word);
        let rest = &words[index + 2..];
        let length = rest.iter().position(|word| ends(&word)).unwrap_or(rest.len());
        for word in &rest[..length] {
            if let Some(deeper) = inner.get_subcommands().find(|each| each.get_name() == *word) {
                inner = deeper;
            } else if let Some(option) = word.strip_prefix("--").filter(|option| !option.is_empty()) {
                let option = option.split('=').next().unwrap_or_default();
                let mut known = inner.get_arguments().filter_map(clap::Arg::get_long);
                let is_known = ["help", "state-dir"].contains(&option) || known.any(|each| each == option);
                assert!(is_known, "{page}: `gantry {name}` has no --{option}: {line}");
            }
        }
    }
    found
}

/// The program alone is enough: what it runs is itself, or what somebody asked for by a documented name.
#[test]
fn no_helper_program_is_needed() {
    let allowed: BTreeSet<(&str, &str)> = [
        // Itself, and from the first of them the terraform that a folder of its files asks for.
        ("gantry/src/caller.rs", "program"),
        ("gantry/src/cli/server.rs", "\"/proc/self/exe\""),
        ("gantry/src/supervisor/child.rs", "program"),
        ("gantry/src/up/server.rs", "\"/proc/self/exe\""),
        ("runtime/src/runtime.rs", "program"),
        // A Dockerfile with RUN; `Prepare` of a template; `--install`.
        ("images/src/build/external.rs", "&self.executable"),
        ("gantry/src/up/images.rs", "\"/bin/sh\""),
        ("gantry/src/unit.rs", "\"systemctl\""),
    ]
    .into();
    let mut found = BTreeSet::new();
    let crates = root().join("crates");
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(&crates).unwrap().map(|entry| entry.unwrap().path().join("src")).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&crates).unwrap().display().to_string();
            if !name.ends_with(".rs") || name.contains("test") || name.ends_with("documents.rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            for call in code.split("Command::new(").skip(1) {
                found.insert((name.clone(), call.split(')').next().unwrap_or_default().to_owned()));
            }
        }
    }
    // The command line's own library has commands too.
    found.remove(&("gantry/src/cli/manual.rs".to_owned(), "\"gantry\"".to_owned()));
    let found: BTreeSet<(&str, &str)> = found.iter().map(|(name, what)| (&**name, &**what)).collect();
    assert_eq!(found, allowed);
}
