//! What `terraform` tells while it works (its machine-readable lines), for people.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::Value as Json;

use crate::up::screen::{Screen, Tone, seconds};

/// So many mistakes are kept to be told at the end; all are shown when they come.
const ERRORS_MAX: usize = 32;
const NAME_WIDTH_MAX: usize = 48;

/// What was told so far.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) changes: Vec<(String, String)>,
    /// To add, to change, to remove.
    pub(crate) summary: Option<(u64, u64, u64)>,
    /// In one sentence each.
    pub(crate) errors: Vec<String>,
    warnings: Vec<String>,
    /// What is no event, as it came: a provisioner's or a wrapper's words.
    pub(crate) other: Vec<String>,
    /// By their addresses, since when.
    busy: BTreeMap<String, Instant>,
}

fn text<'j>(value: &'j Json, path: &[&str]) -> &'j str {
    path.iter().try_fold(value, |value, name| value.get(name)).and_then(Json::as_str).unwrap_or_default()
}

impl Told {
    /// Behind a command that gave these warnings.
    pub(crate) fn after(warnings: Vec<String>) -> Self {
        Self { warnings, ..Self::default() }
    }

    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Takes one line; shows what is worth it at once.
    pub(crate) fn line(&mut self, line: &str, screen: &mut Screen) {
        let Some(event) = serde_json::from_str::<Json>(line).ok().filter(|event| event.get("type").is_some())
        else {
            if !line.trim().is_empty() {
                self.other.push(line.to_owned());
                self.other.drain(..self.other.len().saturating_sub(ERRORS_MAX));
            }
            return;
        };
        let name = text(&event, &["hook", "resource", "addr"]).to_owned();
        let action = text(&event, &["hook", "action"]);
        match text(&event, &["type"]) {
            "planned_change" => {
                let action = text(&event, &["change", "action"]);
                if action != "noop" && action != "read" {
                    let name = text(&event, &["change", "resource", "addr"]);
                    self.changes.push((action.to_owned(), name.to_owned()));
                }
            }
            "change_summary" => {
                let count = |name: &str| {
                    event.get("changes").and_then(|all| all.get(name)).and_then(Json::as_u64).unwrap_or(0)
                };
                self.summary = Some((count("add"), count("change"), count("remove")));
            }
            "refresh_start" => screen.status(&format!("reading {name}")),
            "apply_start" => {
                self.busy.insert(name, Instant::now());
                self.show_busy(screen);
            }
            "apply_progress" => self.show_busy(screen),
            "apply_complete" => {
                let took = self.took(&name);
                if action != "read" {
                    screen.line(Tone::Good, &format!("ok {action:6} {name}{took}"));
                }
                self.show_busy(screen);
            }
            "apply_errored" => {
                let took = self.took(&name);
                screen.line(Tone::Bad, &format!("x  {action:6} {name}{took}"));
            }
            "provision_progress" => {
                screen.line(Tone::Quiet, &format!("{name}: {}", text(&event, &["hook", "output"])));
            }
            "diagnostic" => self.diagnostic(&event, screen),
            _ => {}
        }
    }

    /// Terraform counts whole seconds, which says little of a server that is this near.
    fn took(&mut self, name: &str) -> String {
        self.busy.remove(name).map(|since| format!(" {}", seconds(since.elapsed()))).unwrap_or_default()
    }

    fn show_busy(&self, screen: &mut Screen) {
        let waits: Vec<&str> = self.busy.keys().map(String::as_str).collect();
        if !waits.is_empty() {
            screen.status(&format!("{} waiting for {}", seconds(screen.elapsed()), waits.join(", ")));
        }
    }

    fn diagnostic(&mut self, event: &Json, screen: &mut Screen) {
        let told = sentence(event);
        if text(event, &["diagnostic", "severity"]) == "error" {
            if self.errors.len() < ERRORS_MAX {
                self.errors.push(told);
            }
            return;
        }
        // Some services have several names, and every one of them got the endpoint: that is our doing, and works.
        let is_ours = told.contains("\"endpoints[0].");
        // The same warning comes from plan and apply.
        if !is_ours && !self.warnings.contains(&told) && self.warnings.len() < ERRORS_MAX {
            screen.line(Tone::Quiet, &format!("warning: {told}"));
            self.warnings.push(told);
        }
    }

    /// The plan, a line for each resource.
    pub(crate) fn show_plan(&self, screen: &mut Screen) {
        let (add, change, remove) = self.summary.unwrap_or_default();
        screen.step("plan", &format!("{add} to add, {change} to change, {remove} to remove"));
        let width = self.changes.iter().map(|(_, name)| name.len()).max().unwrap_or(0).min(NAME_WIDTH_MAX);
        for (action, name) in &self.changes {
            let (sign, tone, more) = match action.as_str() {
                "create" => ("+", Tone::Good, ""),
                "delete" | "remove" | "forget" => ("-", Tone::Bad, ""),
                "replace" => ("~", Tone::Plain, "replaced"),
                "update" => ("~", Tone::Plain, ""),
                other => ("~", Tone::Plain, other),
            };
            screen.line(tone, &format!("{sign} {name:width$}  {more}"));
        }
    }

    /// Why it failed: the first mistake, and how many more there are.
    pub(crate) fn reason(&self, status: &str) -> String {
        match self.errors.as_slice() {
            [] if self.other.is_empty() => format!("it ended with {status}"),
            [] => format!("it ended with {status}; its last words:\n{}", self.other.join("\n")),
            [one] => one.clone(),
            [first, more @ ..] => {
                let more: Vec<String> = more.iter().map(|each| format!("\n  also: {each}")).collect();
                format!("{first}{}", more.concat())
            }
        }
    }

    /// `terraform` itself says that `terraform init` is missing.
    pub(crate) fn wants_init(&self) -> bool {
        self.errors
            .iter()
            .chain(&self.other)
            .any(|told| told.contains("terraform init") || told.contains("tofu init"))
    }
}

/// What a report of `terraform validate -json` finds wrong, in one sentence each.
pub(crate) fn mistakes(report: &str) -> Vec<String> {
    let report: Json = serde_json::from_str(report).unwrap_or_default();
    let found = report.get("diagnostics").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    let events = found.iter().map(|each| serde_json::json!({ "diagnostic": each }));
    let errors = events.filter(|event| text(event, &["diagnostic", "severity"]) == "error");
    errors.take(ERRORS_MAX).map(|event| sentence(&event)).collect()
}

/// `aws_ecs_service.app: Unsupported argument: An argument named "x" is not expected here (main.tf:3)`.
fn sentence(event: &Json) -> String {
    let mut told = String::new();
    let address = text(event, &["diagnostic", "address"]);
    if !address.is_empty() {
        told = format!("{address}: ");
    }
    let summary = text(event, &["diagnostic", "summary"]);
    told.push_str(summary.trim_end_matches('.'));
    let detail = text(event, &["diagnostic", "detail"]).split_whitespace().collect::<Vec<_>>().join(" ");
    if !detail.is_empty() && detail != summary {
        told = format!("{told}: {detail}");
    }
    let told = told.trim_end_matches('.').to_owned();
    let range = event.get("diagnostic").and_then(|diagnostic| diagnostic.get("range"));
    match range.map(|range| (text(range, &["filename"]), range)) {
        Some((file, range)) if !file.is_empty() => {
            let line =
                range.get("start").and_then(|start| start.get("line")).and_then(Json::as_u64).unwrap_or(1);
            format!("{told} ({file}:{line})")
        }
        _ => told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &[&str]) -> Told {
        let mut told = Told::default();
        let mut screen = Screen::new();
        for line in lines {
            told.line(line, &mut screen);
        }
        told
    }

    #[test]
    fn a_plan_is_counted_and_listed() {
        let told = told(&[
            r#"{"type":"planned_change","change":{"resource":{"addr":"aws_ecs_cluster.main"},"action":"create"}}"#,
            r#"{"type":"planned_change","change":{"resource":{"addr":"data.x.y"},"action":"read"}}"#,
            r#"{"type":"change_summary","changes":{"add":1,"change":0,"import":0,"remove":2,"operation":"plan"}}"#,
        ]);
        assert_eq!(told.changes, [("create".to_owned(), "aws_ecs_cluster.main".to_owned())]);
        assert_eq!(told.summary, Some((1, 0, 2)));
    }

    #[test]
    fn a_failure_is_a_sentence_with_the_place() {
        let told = told(&[
            r#"{"type":"diagnostic","diagnostic":{"severity":"error","summary":"Unsupported argument","detail":"An argument named\n\"x\" is not expected here.","address":"aws_ecs_service.app","range":{"filename":"main.tf","start":{"line":3}}}}"#,
            r#"{"type":"diagnostic","diagnostic":{"severity":"error","summary":"Module not installed","detail":"Run \"terraform init\"."}}"#,
            "not JSON",
            "{}",
            "7",
        ]);
        let first = "aws_ecs_service.app: Unsupported argument: An argument named \"x\" is not expected here (main.tf:3)";
        assert_eq!(told.errors[0], first);
        assert!(
            told.reason("1").starts_with(first) && told.reason("1").contains("also: Module not installed")
        );
        assert!(told.wants_init());
        assert_eq!(told.other, ["not JSON", "{}", "7"]);
    }

    #[test]
    fn a_report_lists_mistakes() {
        let report = r#"{"valid":false,"diagnostics":[{"severity":"warning","summary":"Old"},
            {"severity":"error","summary":"Missing","range":{"filename":"a.tf","start":{"line":2}}}]}"#;
        assert_eq!(mistakes(report), ["Missing (a.tf:2)"]);
        assert!(mistakes("").is_empty());
    }
}
