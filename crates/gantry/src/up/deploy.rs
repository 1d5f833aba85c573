//! A template deployed by a change set: validated, shown as a plan, executed, and watched until it is done.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use gantry_types::Value;
use tokio::time::sleep;

use super::document::{list, number, one, text};
use super::screen::{Screen, Tone, seconds};
use super::source::TemplateSource;
use super::{failure, stack};
use crate::cli::Failure;
use crate::client::{CallError, Client};

/// Asked again after this; the server is on this machine.
const POLL: Duration = Duration::from_millis(25);
const SERVICES_POLL: Duration = Duration::from_millis(250);
/// A change set is made in milliseconds.
const PLAN_WAIT_MAX: Duration = Duration::from_secs(60);
/// A server that restarts answers again after a moment.
const AWAY_MAX: Duration = Duration::from_secs(30);

/// What a deployment came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deployed {
    Done,
    Unchanged,
    /// It went back, for this reason.
    Failed(String),
}

/// How a stack ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: String,
    /// We did not wait any longer, for this reason.
    gave_up: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) stack: &'a str,
    pub(crate) source: &'a TemplateSource,
    pub(crate) parameters: &'a [(String, String)],
    pub(crate) tags: &'a [(String, String)],
}

/// A change set that can be executed, and what it will do.
#[derive(Debug)]
pub(crate) struct Plan {
    id: String,
    stack_id: String,
    pub(crate) is_new: bool,
    changes: Vec<Value>,
}

/// Lets CloudFormation validate everything and say what it would do. `None` when nothing is to be done.
pub(crate) async fn plan(
    client: &Client,
    request: &Request<'_>,
    screen: &mut Screen,
) -> Result<Option<Plan>, Failure> {
    let failed = |error: &CallError| refused(request.stack, error);
    screen.status("asking for the plan");
    let existing = clear_failed(client, request.stack, screen).await.map_err(|error| failed(&error))?;
    let is_new = existing.as_ref().is_none_or(|stack| text(stack, "StackStatus") == "REVIEW_IN_PROGRESS");
    let name = format!("gantry-up-{}", gantry_types::Timestamp::now().millis());
    let input = Value::structure([
        ("StackName", request.stack.into()),
        ("ChangeSetName", name.as_str().into()),
        ("ChangeSetType", if is_new { "CREATE" } else { "UPDATE" }.into()),
        ("TemplateBody", request.source.text.as_str().into()),
        ("Parameters", parameters(request, existing.as_ref())),
        ("Tags", pairs(request.tags, "Key", "Value")),
        ("Capabilities", capabilities()),
    ]);
    client.call("cloudformation", "CreateChangeSet", input).await.map_err(|error| failed(&error))?;
    let named = |token: Value| {
        Value::structure([
            ("StackName", request.stack.into()),
            ("ChangeSetName", name.as_str().into()),
            ("NextToken", token),
        ])
    };
    let give_up = Instant::now() + PLAN_WAIT_MAX;
    let answer = loop {
        let answer = client.call("cloudformation", "DescribeChangeSet", named(Value::Null)).await;
        let answer = answer.map_err(|error| failed(&error))?;
        match text(&answer, "Status") {
            "CREATE_COMPLETE" => break answer,
            "FAILED" => {
                let reason = text(&answer, "StatusReason").to_owned();
                let _ = client.call("cloudformation", "DeleteChangeSet", named(Value::Null)).await;
                if reason.contains("didn't contain changes") || reason.contains("No updates") {
                    return Ok(None);
                }
                return Err(Failure::new(format!("planning {}", request.stack), reason, NEXT_TEMPLATE));
            }
            _ if Instant::now() > give_up => {
                let cause = "the change set is not made in time";
                return Err(Failure::new(
                    format!("planning {}", request.stack),
                    cause,
                    "see the server's log",
                ));
            }
            _ => sleep(POLL).await,
        }
    };
    let mut changes = list(&answer, "Changes").to_vec();
    let mut token = answer.get("NextToken").cloned().unwrap_or_default();
    while !token.is_null() {
        let page = client.call("cloudformation", "DescribeChangeSet", named(token)).await;
        let page = page.map_err(|error| failed(&error))?;
        changes.extend_from_slice(list(&page, "Changes"));
        token = page.get("NextToken").cloned().unwrap_or_default();
    }
    let [id, stack_id] = ["ChangeSetId", "StackId"].map(|member| text(&answer, member).to_owned());
    Ok(Some(Plan { id, stack_id, is_new, changes }))
}

const NEXT_TEMPLATE: &str = "correct the template; docs/cloudformation.md lists what it may hold";

fn refused(stack: &str, error: &CallError) -> Failure {
    let next = match error {
        CallError::Api(_) => NEXT_TEMPLATE,
        _ => "see that the server runs: `gantry server --detach`",
    };
    Failure::new(format!("planning {stack}"), error, next)
}

/// What a failed first attempt left takes nothing but its removal.
async fn clear_failed(client: &Client, name: &str, screen: &mut Screen) -> Result<Option<Value>, CallError> {
    let existing = stack::describe(client, name).await?;
    let Some(found) = existing else { return Ok(None) };
    match text(&found, "StackStatus") {
        "DELETE_COMPLETE" => Ok(None),
        "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED" | "DELETE_FAILED" => {
            screen.step("stack", &format!("{name} failed before: removing what is left of it"));
            let input = Value::structure([("StackName", name.into())]);
            client.call("cloudformation", "DeleteStack", input).await?;
            watch(client, text(&found, "StackId"), None, screen).await?;
            Ok(None)
        }
        _ => Ok(Some(found)),
    }
}

fn capabilities() -> Value {
    // One's own machine and one's own template: there is nobody else to ask.
    let all = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"];
    Value::List(all.map(Value::from).into())
}

fn pairs(pairs: &[(String, String)], key: &str, value: &str) -> Value {
    let each =
        |(k, v): &(String, String)| Value::structure([(key, k.as_str().into()), (value, v.as_str().into())]);
    if pairs.is_empty() { Value::Null } else { Value::List(pairs.iter().map(each).collect()) }
}

/// Those that are given, and for the others what the stack had before.
fn parameters(request: &Request<'_>, existing: Option<&Value>) -> Value {
    let mut values: BTreeMap<&str, Value> = BTreeMap::new();
    for known in existing.map(|stack| list(stack, "Parameters")).unwrap_or_default() {
        let key = text(known, "ParameterKey");
        if request.source.template.parameters.contains_key(key) {
            let previous = [("ParameterKey", key.into()), ("UsePreviousValue", true.into())];
            values.insert(key, Value::structure(previous));
        }
    }
    for (key, value) in request.parameters {
        let given = [("ParameterKey", key.as_str().into()), ("ParameterValue", value.as_str().into())];
        values.insert(key, Value::structure(given));
    }
    if values.is_empty() { Value::Null } else { Value::List(values.into_values().collect()) }
}

/// The plan, a line for each resource.
pub(crate) fn show(plan: &Plan, screen: &mut Screen) {
    let changes: Vec<&Value> =
        plan.changes.iter().filter_map(|change| change.get("ResourceChange")).collect();
    let count = |action: &str| changes.iter().filter(|change| text(change, "Action") == action).count();
    let (add, modify, remove) = (count("Add"), count("Modify"), count("Remove"));
    screen.step("plan", &format!("{add} to add, {modify} to change, {remove} to remove"));
    let width =
        changes.iter().map(|change| text(change, "LogicalResourceId").len()).max().unwrap_or(0).min(40);
    for change in changes {
        let (sign, tone) = match text(change, "Action") {
            "Add" => ('+', Tone::Good),
            "Remove" => ('-', Tone::Bad),
            _ => ('~', Tone::Plain),
        };
        let (name, kind) = (text(change, "LogicalResourceId"), text(change, "ResourceType"));
        let replaced = match text(change, "Replacement") {
            "True" => " (replaced)",
            "Conditional" => " (perhaps replaced)",
            _ => "",
        };
        let what: std::collections::BTreeSet<&str> = list(change, "Details")
            .iter()
            .filter_map(|detail| detail.get("Target")?.get("Name")?.as_str())
            .collect();
        let what: Vec<&str> = what.into_iter().collect();
        let what = if what.is_empty() { String::new() } else { format!(": {}", what.join(", ")) };
        screen.line(tone, &format!("{sign} {name:width$}  {kind}{what}{replaced}"));
    }
}

/// Executes a plan and watches the stack until it is done.
pub(crate) async fn execute(
    client: &Client,
    request: &Request<'_>,
    plan: &Plan,
    screen: &mut Screen,
) -> Result<Deployed, Failure> {
    let failed = |error: &CallError| {
        let next =
            "the stack goes on by itself; `aws cloudformation describe-stack-events` tells how it goes";
        Failure::new(format!("deploying {}", request.stack), error, next)
    };
    let events = stack::events_after(client, request.stack, None).await.map_err(|error| failed(&error))?;
    let seen = events.last().map(|event| text(event, "EventId").to_owned());
    let input = Value::structure([("ChangeSetName", plan.id.as_str().into())]);
    let begun = Instant::now();
    screen.step("deploy", request.stack);
    client.call("cloudformation", "ExecuteChangeSet", input).await.map_err(|error| failed(&error))?;
    // A stack that is taken away again is only known by its id.
    let ended = watch(client, &plan.stack_id, seen, screen).await.map_err(|error| failed(&error))?;
    screen.step("stack", &format!("{} in {}", ended.status, seconds(begun.elapsed())));
    Ok(match (ended.status.as_str(), ended.gave_up) {
        ("CREATE_COMPLETE" | "UPDATE_COMPLETE", _) => Deployed::Done,
        (_, Some(reason)) => Deployed::Failed(reason),
        (_, None) => {
            let reason = failure::reason(client, &plan.stack_id).await;
            Deployed::Failed(reason.unwrap_or_else(|error| error.to_string()))
        }
    })
}

/// Shows each event until nothing goes on any more.
pub(crate) async fn watch(
    client: &Client,
    name: &str,
    mut seen: Option<String>,
    screen: &mut Screen,
) -> Result<Ended, CallError> {
    let mut gave_up = None;
    let mut services = ServiceStatus::default();
    let mut begun: BTreeMap<String, Instant> = BTreeMap::new();
    let mut away_since: Option<Instant> = None;
    let mut told_failure = false;
    loop {
        let step = async {
            let status = stack::describe(client, name).await?;
            let events = stack::events_after(client, name, seen.as_deref()).await?;
            Ok::<_, CallError>((status, events))
        };
        let (found, events) = match step.await {
            Err(error) if error.is_unreachable() => {
                let since = *away_since.get_or_insert_with(Instant::now);
                if since.elapsed() > AWAY_MAX {
                    return Err(error);
                }
                screen.status("the server does not answer; waiting for it");
                sleep(SERVICES_POLL).await;
                continue;
            }
            other => other?,
        };
        away_since = None;
        for event in events {
            seen = Some(text(&event, "EventId").to_owned());
            show_event(&event, &mut begun, screen);
            // Now, while what failed is still there to be asked.
            if text(&event, "ResourceStatus").ends_with("_FAILED")
                && !std::mem::replace(&mut told_failure, true)
            {
                failure::last_words(client, &failure::services(client, name).await, screen).await;
            }
        }
        // A stack that was removed is only known by its id.
        let status = found
            .map_or_else(|| "DELETE_COMPLETE".to_owned(), |found| text(&found, "StackStatus").to_owned());
        if stack::is_final(&status) {
            screen.clear_status();
            return Ok(Ended { status, gave_up });
        }
        let waits: Vec<&str> = begun.keys().map(String::as_str).collect();
        let told = services.tell(client, name).await;
        if let Some(arn) = told.hopeless.clone().filter(|_| status.ends_with("_IN_PROGRESS") && !told_failure)
        {
            told_failure = true;
            let service = stack::service_of(&arn).map_or(arn.as_str(), |(_, service)| service);
            let sentence = format!("the tasks of {service} keep failing");
            screen.line(Tone::Bad, &format!("{sentence}: not waiting any longer"));
            gave_up = Some(sentence);
            failure::last_words(client, std::slice::from_ref(&arn), screen).await;
            give_up_on(client, name, &status).await?;
        }
        let waits = if waits.is_empty() { status } else { format!("waiting for {}", waits.join(", ")) };
        screen.status(&format!("{} {waits}{}", seconds(screen.elapsed()), told.words));
        sleep(POLL).await;
    }
}

fn show_event(event: &Value, begun: &mut BTreeMap<String, Instant>, screen: &mut Screen) {
    let (name, status) = (text(event, "LogicalResourceId"), text(event, "ResourceStatus"));
    let reason = text(event, "ResourceStatusReason");
    if text(event, "ResourceType") == "AWS::CloudFormation::Stack"
        && text(event, "PhysicalResourceId") == text(event, "StackId")
    {
        if status.ends_with("_FAILED") || status.contains("ROLLBACK_IN_PROGRESS") {
            screen.line(Tone::Bad, &format!("{status}: {reason}"));
        }
        return;
    }
    if status.ends_with("_IN_PROGRESS") {
        begun.entry(name.to_owned()).or_insert_with(Instant::now);
        return;
    }
    let took = begun.remove(name).map(|begun| format!(" {}", seconds(begun.elapsed()))).unwrap_or_default();
    let (sign, tone) = if status.ends_with("_FAILED") { ("x", Tone::Bad) } else { ("ok", Tone::Good) };
    let verb = status.split('_').next().unwrap_or_default().to_ascii_lowercase();
    let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    screen.line(tone, &format!("{sign:2} {verb:6} {name}{took}{reason}"));
}

/// What is being made is taken away, what is being changed goes back: CloudFormation itself would wait for three hours.
async fn give_up_on(client: &Client, name: &str, status: &str) -> Result<(), CallError> {
    let input = Value::structure([("StackName", name.into())]);
    match status {
        "CREATE_IN_PROGRESS" => client.call("cloudformation", "DeleteStack", input).await.map(drop),
        "UPDATE_IN_PROGRESS" => client.call("cloudformation", "CancelUpdateStack", input).await.map(drop),
        _ => Ok(()),
    }
}

/// How a stack's services do, for the line that changes.
#[derive(Default)]
struct ServiceStatus {
    asked: Option<Instant>,
    told: Told,
}

#[derive(Default)]
struct Told {
    words: String,
    /// A service whose tasks fail one after the other.
    hopeless: Option<String>,
}

/// So many tasks of one deployment that failed, and none that runs.
const HOPELESS_AT: i64 = 4;

impl ServiceStatus {
    /// The latest that is known. What cannot be asked right now is left as it is.
    async fn tell(&mut self, client: &Client, stack: &str) -> &Told {
        if self.asked.is_none_or(|asked| asked.elapsed() >= SERVICES_POLL) {
            self.asked = Some(Instant::now());
            if let Ok(services) = stack::resources(client, stack, "AWS::ECS::Service").await {
                self.told = Told::default();
                for arn in &services {
                    let Some(service) = describe_service(client, arn).await else { continue };
                    self.told.add(arn, &service);
                }
            }
        }
        &self.told
    }
}

impl Told {
    fn add(&mut self, arn: &str, service: &Value) {
        let (running, pending) = (number(service, "runningCount"), number(service, "pendingCount"));
        let (name, desired) = (text(service, "serviceName"), number(service, "desiredCount"));
        self.words.push_str(&format!("; {name}: {running} of {desired} running, {pending} pending"));
        let newest = list(service, "deployments").iter().find(|each| text(each, "status") == "PRIMARY");
        let fails = newest.is_some_and(|newest| {
            number(newest, "failedTasks") >= HOPELESS_AT && number(newest, "runningCount") == 0
        });
        if fails {
            self.hopeless = Some(arn.to_owned());
        }
    }
}

async fn describe_service(client: &Client, arn: &str) -> Option<Value> {
    let (cluster, _) = stack::service_of(arn)?;
    let input = Value::structure([("cluster", cluster.into()), ("services", one(arn))]);
    let answer = client.call("ecs", "DescribeServices", input).await.ok()?;
    list(&answer, "services").first().cloned()
}
