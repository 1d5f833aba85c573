//! A folder of Terraform files, by the user's own `terraform`.
//!
//! It runs in a [`workspace`] of links to the user's files, beside a file that points the AWS provider at this server, with a
//! state of its own: the folder is not written to, and what its own state or backend knows of an AWS account is not touched.

mod configuration;
mod events;
mod language;
mod process;
mod schema;
pub(crate) mod workspace;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Instant;

use serde::Deserialize;
use serde_json::Value as Json;

use self::events::Told;
use self::process::{Stream, Terraform, find_program};
use self::schema::{READS_ENDPOINT_FROM, aws_versions, endpoint_names};
use self::workspace::{Order, Request, Workspace};
use super::screen::{Screen, Tone, seconds};
use crate::caller::Caller;
use crate::cli::Failure;
use crate::client::Client;

const LAST_LINES: usize = 30;

#[derive(Debug, Default)]
pub(crate) struct TerraformOptions {
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) plan_only: bool,
}

/// Plans, shows the plan, applies it, and shows the outputs.
pub(crate) async fn up(
    folder: &Path,
    client: &Client,
    screen: &mut Screen,
    options: &TerraformOptions,
) -> Result<(), Failure> {
    let mut session = Session::open(folder, client, Some(options.variables.clone()))?;
    session.make_ready(screen).await?;
    let begun = Instant::now();
    if !session.plan(screen).await? {
        session.forget_plan()?;
        screen.step("plan", "everything is as the files say");
        return session.show_outputs(screen).await;
    }
    if options.plan_only {
        return session.forget_plan();
    }
    screen.step("apply", &folder.display().to_string());
    let plan = session.workspace.plan.clone();
    let mut words = words(&["apply", "-json", "-input=false"]);
    words.push(plan.into());
    let outcome = session.run(&words, screen).await;
    session.forget_plan()?;
    let next =
        "correct it and run `gantry up` again, which goes on from here; `gantry down` removes what was made";
    session.checked(&outcome?, "applying", next)?;
    screen.step("applied", &format!("in {}", seconds(begun.elapsed())));
    session.show_outputs(screen).await
}

/// Destroys what came up, and forgets its state.
pub(crate) async fn down(
    folder: &Path,
    client: &Client,
    screen: &mut Screen,
    _options: &TerraformOptions,
) -> Result<(), Failure> {
    let mut session = Session::open(folder, client, None)?;
    if !session.workspace.has_resources {
        // Nothing came of it, perhaps because the files are wrong: they need not be right for this.
        session.remove()?;
        screen.step("removed", &format!("{}: nothing had come up", folder.display()));
        return Ok(());
    }
    session.make_ready(screen).await?;
    screen.step("remove", &folder.display().to_string());
    let begun = Instant::now();
    let mut words = words(&["destroy", "-json", "-input=false", "-auto-approve"]);
    words.extend(session.variables());
    let mut outcome = session.run(&words, screen).await?;
    if !outcome.is_done && outcome.told.wants_init() {
        session.init(screen).await?;
        outcome = session.run(&words, screen).await?;
    }
    session.checked(
        &outcome,
        "destroying",
        "correct the files or what stands in the way, and run `gantry down` again",
    )?;
    session.remove()?;
    screen.step("removed", &format!("in {}", seconds(begun.elapsed())));
    Ok(())
}

struct Session<'f> {
    folder: &'f Path,
    terraform: Terraform,
    order: Order,
    workspace: Workspace,
    /// What was said is not said again by the next command.
    warnings: Vec<String>,
}

struct Outcome {
    told: Told,
    status: String,
    /// Ended well.
    is_done: bool,
    /// A plan with changes ends with 2.
    has_changes: bool,
    is_interrupted: bool,
}

impl<'f> Session<'f> {
    fn open(
        folder: &'f Path,
        client: &Client,
        variables: Option<Vec<(String, String)>>,
    ) -> Result<Self, Failure> {
        let attempted = format!("bringing {} up", folder.display());
        let caller = Caller::find().map_err(|error| {
            Failure::new(&attempted, error, "run it from a user's account, or with HOME set")
        })?;
        let program = find_program(&caller).ok_or_else(|| {
            let next = "install Terraform (https://developer.hashicorp.com/terraform/install) or OpenTofu \
                        (https://opentofu.org/docs/intro/install), or name the program with GANTRY_TERRAFORM";
            Failure::new(&attempted, "there is no `terraform` and no `tofu` in PATH", next)
        })?;
        let profile = client.profile().clone();
        let order = Order {
            folder: folder.to_owned(),
            server: profile.credentials.access_key_id.clone(),
            endpoint: profile.endpoint.clone(),
            endpoint_names: Vec::new(),
            variables,
        };
        let terraform = Terraform { program, caller, profile };
        let workspace = prepare(&terraform.caller, &order)?;
        Ok(Self { folder, terraform, order, workspace, warnings: Vec::new() })
    }

    async fn make_ready(&mut self, screen: &mut Screen) -> Result<(), Failure> {
        if !self.workspace.is_initialised {
            self.init(screen).await?;
        }
        self.point_providers(screen).await
    }

    async fn init(&mut self, screen: &mut Screen) -> Result<(), Failure> {
        let begun = Instant::now();
        // What the folder has installed already is not downloaded again.
        let installed = self.folder.join(".terraform/providers");
        let mut outcome = None;
        if installed.is_dir() {
            let mut offline = OsString::from("-plugin-dir=");
            offline.push(&installed);
            outcome = Some(self.init_with(&[offline], screen).await?).filter(|outcome| outcome.is_done);
        }
        let outcome = match outcome {
            Some(outcome) => outcome,
            None => self.init_with(&[], screen).await?,
        };
        // Who develops a provider has nothing to install.
        let is_development = outcome.told.other.iter().any(|line| line.contains("development overrides"));
        if !outcome.is_done && !is_development {
            let lines = outcome.told.other.join("\n");
            let next = "see that the registry of providers and modules is within reach, or correct the files";
            return Err(Failure::new(
                format!("{} init", self.terraform.name()),
                format!("it says:\n{lines}"),
                next,
            ));
        }
        screen.step("init", &format!("{} in {}", self.terraform.name(), seconds(begun.elapsed())));
        Ok(())
    }

    async fn init_with(&self, more: &[OsString], screen: &mut Screen) -> Result<Outcome, Failure> {
        let mut words = words(&["init", "-input=false", "-no-color"]);
        words.extend_from_slice(more);
        let mut told = Told::default();
        let name = self.terraform.name();
        let mut is_development = false;
        let ended = self
            .terraform
            .run(&self.workspace, &words, |_, line| {
                // A warning's first line would be pushed out by what follows it.
                is_development |= line.contains("development overrides are in effect");
                let line = line.trim_matches(|edge: char| edge.is_whitespace() || "│╷╵".contains(edge));
                if !line.is_empty() {
                    screen.status(&format!("{name} init: {line}"));
                    told.other.push(line.to_owned());
                    told.other.drain(..told.other.len().saturating_sub(LAST_LINES));
                }
            })
            .await
            .map_err(|error| self.cannot_run(&error))?;
        if is_development {
            told.other.push("development overrides are in effect".to_owned());
        }
        screen.clear_status();
        Ok(Outcome {
            told,
            is_done: ended.status.success(),
            has_changes: false,
            status: ended.status.to_string(),
            is_interrupted: ended.is_interrupted,
        })
    }

    /// An old provider knows no environment: it gets the endpoint of every service that it has. Unless that is certain to be
    /// needless nothing goes on without it: such a provider would turn to AWS itself.
    async fn point_providers(&mut self, screen: &mut Screen) -> Result<(), Failure> {
        let version = self.terraform.ask(&self.workspace, &["version", "-json"]).await;
        let versions = aws_versions(&version.unwrap_or_default());
        if !versions.is_empty() && versions.iter().all(|version| *version >= READS_ENDPOINT_FROM) {
            return Ok(());
        }
        screen.status("asking the provider for its services");
        let schema = self.terraform.ask(&self.workspace, &["providers", "schema", "-json"]).await;
        screen.clear_status();
        self.order.endpoint_names = match schema {
            Ok(schema) => match endpoint_names(&schema) {
                Ok(names) => names,
                Err(error) => return Err(self.unreadable(&format!("its providers' schema: {error}")).await),
            },
            Err(error) => return Err(self.unreadable(&error).await),
        };
        if !self.order.endpoint_names.is_empty() {
            self.workspace = prepare(&self.terraform.caller, &self.order)?;
        }
        Ok(())
    }

    /// Mostly the files are wrong: then `terraform validate` says where, without asking anybody.
    async fn unreadable(&self, error: &str) -> Failure {
        let mut report = String::new();
        let words = words(&["validate", "-json"]);
        let ran = self.terraform.run(&self.workspace, &words, |stream, line| {
            if stream == Stream::Output {
                report.push_str(line);
            }
        });
        let _ = ran.await;
        let mistakes = events::mistakes(&report);
        let cause = if mistakes.is_empty() { error.trim().to_owned() } else { mistakes.join("\n  also: ") };
        let attempted = format!("reading {} with {}", self.folder.display(), self.terraform.name());
        Failure::new(attempted, cause, "correct the files; `terraform validate` checks them without a server")
    }

    /// Whether something is to be done; shows what.
    async fn plan(&mut self, screen: &mut Screen) -> Result<bool, Failure> {
        let mut words = words(&["plan", "-json", "-input=false", "-detailed-exitcode"]);
        let mut file = OsString::from("-out=");
        file.push(&self.workspace.plan);
        words.push(file);
        words.extend(self.variables());
        screen.status("asking for the plan");
        let mut outcome = self.run(&words, screen).await?;
        if !outcome.is_done && !outcome.has_changes && outcome.told.wants_init() {
            self.init(screen).await?;
            self.point_providers(screen).await?;
            outcome = self.run(&words, screen).await?;
        }
        screen.clear_status();
        let has_changes = outcome.has_changes;
        if !has_changes {
            let is_variable =
                outcome.told.errors.iter().any(|error| error.contains("No value for required variable"));
            let next = match is_variable {
                true => "give it with --parameter NAME=VALUE, or in a terraform.tfvars file",
                false => "correct the files; `terraform validate` checks them without a server",
            };
            self.checked(&outcome, "planning", next)?;
            return Ok(false);
        }
        outcome.told.show_plan(screen);
        Ok(true)
    }

    async fn run(&mut self, words: &[OsString], screen: &mut Screen) -> Result<Outcome, Failure> {
        let mut told = Told::after(std::mem::take(&mut self.warnings));
        let ended = self.terraform.run(&self.workspace, words, |stream, line| match stream {
            Stream::Output => told.line(line, screen),
            Stream::Error => told.other.push(line.to_owned()),
        });
        let ended = ended.await.map_err(|error| self.cannot_run(&error))?;
        screen.clear_status();
        self.warnings = told.warnings().to_vec();
        Ok(Outcome {
            told,
            is_done: ended.status.success(),
            has_changes: ended.status.code() == Some(2),
            status: ended.status.to_string(),
            is_interrupted: ended.is_interrupted,
        })
    }

    fn checked(&self, outcome: &Outcome, attempted: &str, next: &str) -> Result<(), Failure> {
        if outcome.is_done {
            return Ok(());
        }
        let attempted = format!("{attempted} {} with {}", self.folder.display(), self.terraform.name());
        let cause = match outcome.is_interrupted {
            true => "it was interrupted, and ended in order".to_owned(),
            false => outcome.told.reason(&outcome.status),
        };
        Err(Failure::new(attempted, cause, next))
    }

    async fn show_outputs(&self, screen: &mut Screen) -> Result<(), Failure> {
        let text =
            self.terraform.ask(&self.workspace, &["output", "-json"]).await.map_err(|error| {
                Failure::new("reading the outputs", error.trim(), "run `gantry up` again")
            })?;
        let outputs: BTreeMap<String, Output> = serde_json::from_str(&text).unwrap_or_default();
        if !outputs.is_empty() {
            screen.step("outputs", "");
        }
        let width = outputs.keys().map(String::len).max().unwrap_or(0);
        for (name, output) in &outputs {
            screen.line(Tone::Plain, &format!("{name:width$}  {}", output.shown()));
        }
        Ok(())
    }

    fn variables(&self) -> Vec<OsString> {
        self.workspace
            .variables
            .iter()
            .flat_map(|(name, value)| ["-var".into(), format!("{name}={value}").into()])
            .collect()
    }

    fn forget_plan(&self) -> Result<(), Failure> {
        let request = Request::ForgetPlan { base: self.workspace.base.clone() };
        ask_caller(&self.terraform.caller, &request).map(|_| ())
    }

    fn remove(&self) -> Result<(), Failure> {
        let request = Request::Remove { base: self.workspace.base.clone() };
        ask_caller(&self.terraform.caller, &request).map(|_| ())
    }

    fn cannot_run(&self, error: &std::io::Error) -> Failure {
        let attempted = format!("running {}", self.terraform.program.display());
        Failure::new(attempted, error, "see that this user may execute it")
    }
}

#[derive(Debug, Deserialize)]
struct Output {
    #[serde(default)]
    sensitive: bool,
    #[serde(default)]
    value: Json,
}

impl Output {
    fn shown(&self) -> String {
        match &self.value {
            _ if self.sensitive => "(sensitive)".to_owned(),
            Json::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn prepare(caller: &Caller, order: &Order) -> Result<Workspace, Failure> {
    let answer = ask_caller(caller, &Request::Prepare(order.clone()))?;
    serde_json::from_slice(&answer).map_err(|error| Failure::new(PREPARING, error, "run it again"))
}

const PREPARING: &str = "preparing a folder for Terraform";

fn ask_caller(caller: &Caller, request: &Request) -> Result<Vec<u8>, Failure> {
    let next = "see that your home directory can be written to and has room";
    let failed = |error: &dyn std::fmt::Display| Failure::new(PREPARING, error, next);
    let input = serde_json::to_vec(request).map_err(|error| failed(&error))?;
    caller.run_self(["terraform-workspace"], &input).map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let output = |text: &str| serde_json::from_str::<Output>(text).unwrap().shown();
        assert_eq!(output(r#"{"sensitive":true,"value":"x"}"#), "(sensitive)");
        assert_eq!(output(r#"{"sensitive":false,"type":"string","value":"x"}"#), "x");
        assert_eq!(output(r#"{"value":["a",1]}"#), r#"["a",1]"#);
    }
}
