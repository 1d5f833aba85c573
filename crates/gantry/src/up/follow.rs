//! What happens afterwards: service events and log lines as they come, until Ctrl-C.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, IsTerminal as _};
use std::time::Duration;

use gantry_types::{Timestamp, Value};
use tokio::time::sleep;

use super::document::{list, number, text, time};
use super::screen::{Screen, Tone};
use super::stack;
use crate::client::{CallError, Client};

const POLL: Duration = Duration::from_millis(500);
/// Lines that are shown of one look; a container that writes more than anybody reads is told so.
const LINES_MAX: usize = 500;
/// Events that are remembered to tell new from old.
const SEEN_MAX: usize = 4096;

/// What the user wants after Ctrl-C.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Everything goes on without us.
    Leave,
    TakeDown,
}

/// Shows events and lines until Ctrl-C, then asks.
pub(crate) async fn follow(client: &Client, name: &str, screen: &mut Screen) -> Wish {
    screen.step("follow", "events and logs; Ctrl-C asks what to do");
    let mut watched = Watched { since: Timestamp::now(), ..Watched::default() };
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {
                if let Some(wish) = ask(screen).await {
                    return wish;
                }
            }
            () = sleep(POLL) => match watched.look(client, name, screen).await {
                Ok(()) => {}
                Err(error) if error.is_unreachable() => screen.status("the server does not answer; waiting for it"),
                // The stack is gone: nothing is left to follow.
                Err(error) => {
                    screen.line(Tone::Bad, &error.to_string());
                    return Wish::Leave;
                }
            },
        }
    }
}

/// `None`: go on following. A second Ctrl-C leaves.
async fn ask(screen: &mut Screen) -> Option<Wish> {
    screen.clear_status();
    if !std::io::stdin().is_terminal() {
        return Some(Wish::Leave);
    }
    eprint!("\r\n[l]eave it running, take it [d]own, or go on [f]ollowing? [l] ");
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        // Closed input is an answer too.
        let _ = std::io::stdin().lock().read_line(&mut line);
        line
    });
    tokio::select! {
        answer = answer => match answer.unwrap_or_default().trim() {
            "d" | "down" => Some(Wish::TakeDown),
            "f" | "follow" => None,
            _ => Some(Wish::Leave),
        },
        _ = tokio::signal::ctrl_c() => Some(Wish::Leave),
    }
}

#[derive(Default)]
struct Watched {
    since: Timestamp,
    events: BTreeSet<String>,
    /// By log group: the latest time that was shown, and what was shown of it.
    groups: BTreeMap<String, (i64, BTreeSet<String>)>,
}

impl Watched {
    async fn look(&mut self, client: &Client, name: &str, screen: &mut Screen) -> Result<(), CallError> {
        let services = stack::resources(client, name, "AWS::ECS::Service").await?;
        screen.clear_status();
        let mut groups: BTreeSet<String> = BTreeSet::new();
        for arn in &services {
            let Some((cluster, service)) = stack::service_of(arn) else { continue };
            let input =
                Value::structure([("cluster", cluster.into()), ("services", super::document::one(service))]);
            let answer = client.call("ecs", "DescribeServices", input).await?;
            let Some(found) = list(&answer, "services").first() else { continue };
            self.show_events(found, screen);
            groups.extend(log_groups(client, text(found, "taskDefinition")).await?);
        }
        for group in groups {
            self.show_lines(client, &group, screen).await?;
        }
        Ok(())
    }

    fn show_events(&mut self, service: &Value, screen: &mut Screen) {
        if self.events.len() > SEEN_MAX {
            self.events.clear();
        }
        for event in list(service, "events").iter().rev() {
            let is_new = time(event, "createdAt").is_some_and(|at| at >= self.since);
            if is_new && self.events.insert(text(event, "id").to_owned()) {
                screen.line(Tone::Plain, text(event, "message"));
            }
        }
    }

    async fn show_lines(
        &mut self,
        client: &Client,
        group: &str,
        screen: &mut Screen,
    ) -> Result<(), CallError> {
        let (from, seen) =
            self.groups.entry(group.to_owned()).or_insert_with(|| (self.since.millis(), BTreeSet::new()));
        let input = Value::structure([
            ("logGroupName", group.into()),
            ("startTime", (*from).into()),
            ("limit", i64::try_from(LINES_MAX).unwrap_or(i64::MAX).into()),
        ]);
        // A group that is not there yet has no lines.
        let answer = match client.call("logs", "FilterLogEvents", input).await {
            Err(error) if error.code() == Some("ResourceNotFoundException") => return Ok(()),
            other => other?,
        };
        for event in list(&answer, "events") {
            let (at, id) = (number(event, "timestamp"), text(event, "eventId"));
            if at > *from {
                *from = at;
                seen.clear();
            }
            if at == *from && !seen.insert(id.to_owned()) {
                continue;
            }
            let stream = text(event, "logStreamName");
            let short = stream.rsplit_once('/').map_or_else(
                || stream.to_owned(),
                |(container, task)| {
                    let container = container.rsplit('/').next().unwrap_or_default();
                    format!("{container}/{}", task.chars().take(8).collect::<String>())
                },
            );
            screen.line(Tone::Quiet, &format!("{short} | {}", text(event, "message").trim_end()));
        }
        Ok(())
    }
}

async fn log_groups(client: &Client, definition: &str) -> Result<Vec<String>, CallError> {
    let input = Value::structure([("taskDefinition", definition.into())]);
    let answer = client.call("ecs", "DescribeTaskDefinition", input).await?;
    let definition = answer.get("taskDefinition").cloned().unwrap_or_default();
    let group = |container: &Value| {
        let configuration = container.get("logConfiguration")?;
        let group = configuration.get("options")?.get("awslogs-group")?.as_str()?;
        (text(configuration, "logDriver") == "awslogs").then(|| group.to_owned())
    };
    Ok(list(&definition, "containerDefinitions").iter().filter_map(group).collect())
}
