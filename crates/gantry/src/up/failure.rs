//! Why a stack failed: the first event that says so, and what its tasks said last.

use gantry_types::Value;

use super::document::{list, text};
use super::screen::{Screen, Tone};
use super::stack;
use crate::client::{CallError, Client};

/// Lines of a container that are shown.
const LINES_MAX: i64 = 15;
/// Stopped tasks that are looked at.
const TASKS_MAX: usize = 3;

/// The one sentence: what failed first, and why.
pub(crate) async fn reason(client: &Client, stack_id: &str) -> Result<String, CallError> {
    let events = stack::events_after(client, stack_id, None).await?;
    let is_failure = |event: &&Value| text(event, "ResourceStatus").ends_with("_FAILED");
    let said = |event: &&Value| !text(event, "ResourceStatusReason").contains("cancelled");
    // Of the last attempt only.
    let start = events.iter().rposition(|event| {
        text(event, "ResourceStatusReason") == "User Initiated"
            && text(event, "PhysicalResourceId") == stack_id
    });
    let attempt = &events[start.unwrap_or(0)..];
    let is_resource = |event: &&Value| text(event, "PhysicalResourceId") != stack_id;
    let first = attempt.iter().filter(is_failure).filter(said).find(is_resource);
    let first = first.or_else(|| attempt.iter().find(is_failure));
    Ok(first.map_or_else(
        || "its events do not say why".to_owned(),
        |event| {
            let reason = plain(text(event, "ResourceStatusReason"));
            format!("{} ({}): {reason}", text(event, "LogicalResourceId"), text(event, "ResourceType"))
        },
    ))
}

/// What CloudFormation puts around a reason is for programs.
fn plain(reason: &str) -> &str {
    let inner = reason.strip_prefix("Resource handler returned message: \"");
    let inner = inner.and_then(|rest| rest.rsplit_once("\" (RequestToken:")).map(|(message, _)| message);
    inner.unwrap_or(reason)
}

/// The services of a stack that is failing, while they are still there: their stopped tasks, and what those said last.
pub(crate) async fn last_words(client: &Client, services: &[String], screen: &mut Screen) {
    for arn in services {
        // What cannot be asked any more is not shown.
        let Some((cluster, name)) = stack::service_of(arn) else { continue };
        let _ = show_service(client, cluster, name, screen).await;
    }
}

async fn show_service(
    client: &Client,
    cluster: &str,
    name: &str,
    screen: &mut Screen,
) -> Result<(), CallError> {
    let input = Value::structure([
        ("cluster", cluster.into()),
        ("serviceName", name.into()),
        ("desiredStatus", "STOPPED".into()),
    ]);
    let arns = client.call("ecs", "ListTasks", input).await?;
    let arns = list(&arns, "taskArns");
    if arns.is_empty() {
        return Ok(());
    }
    let asked = arns.iter().take(TASKS_MAX * 4).cloned().collect();
    let input = Value::structure([("cluster", cluster.into()), ("tasks", Value::List(asked))]);
    let answer = client.call("ecs", "DescribeTasks", input).await?;
    let mut tasks: Vec<&Value> = list(&answer, "tasks").iter().collect();
    tasks.sort_by_key(|task| std::cmp::Reverse(super::document::time(task, "stoppedAt")));
    for task in tasks.into_iter().take(TASKS_MAX) {
        show_task(client, name, task, screen).await?;
    }
    Ok(())
}

async fn show_task(
    client: &Client,
    service: &str,
    task: &Value,
    screen: &mut Screen,
) -> Result<(), CallError> {
    let id = text(task, "taskArn").rsplit('/').next().unwrap_or_default();
    screen.line(Tone::Bad, &format!("task {id} of {service} stopped: {}", text(task, "stoppedReason")));
    let input = Value::structure([("taskDefinition", text(task, "taskDefinitionArn").into())]);
    let definition = client.call("ecs", "DescribeTaskDefinition", input).await?;
    let definition = definition.get("taskDefinition").cloned().unwrap_or_default();
    for container in list(task, "containers") {
        let name = text(container, "name");
        let code = container.get("exitCode").and_then(Value::as_i64);
        let code =
            code.map(|code| format!("ended with {code}")).unwrap_or_else(|| "did not start".to_owned());
        let reason = text(container, "reason");
        screen.line(Tone::Bad, &format!("  {name} {code} {reason}"));
        for line in log_lines(client, &definition, name, id).await.unwrap_or_default() {
            screen.line(Tone::Quiet, &format!("  | {line}"));
        }
    }
    Ok(())
}

/// The last lines of a container that logs through `awslogs`.
async fn log_lines(
    client: &Client,
    definition: &Value,
    container: &str,
    task: &str,
) -> Result<Vec<String>, CallError> {
    let found = list(definition, "containerDefinitions").iter().find(|each| text(each, "name") == container);
    let options = found.and_then(|found| found.get("logConfiguration")?.get("options").cloned());
    let Some(options) = options else { return Ok(Vec::new()) };
    let prefix = text(&options, "awslogs-stream-prefix");
    let input = Value::structure([
        ("logGroupName", text(&options, "awslogs-group").into()),
        ("logStreamName", format!("{prefix}/{container}/{task}").into()),
        ("limit", LINES_MAX.into()),
        ("startFromHead", false.into()),
    ]);
    let answer = client.call("logs", "GetLogEvents", input).await?;
    Ok(list(&answer, "events").iter().map(|event| text(event, "message").to_owned()).collect())
}

/// The services that a stack has right now.
pub(crate) async fn services(client: &Client, stack: &str) -> Vec<String> {
    stack::resources(client, stack, "AWS::ECS::Service").await.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_freed_of_what_is_for_programs() {
        let wrapped = "Resource handler returned message: \"No \"x\" here\" (RequestToken: 1, HandlerErrorCode: NotFound)";
        assert_eq!(plain(wrapped), "No \"x\" here");
        assert_eq!(plain("Resource creation cancelled"), "Resource creation cancelled");
    }
}
