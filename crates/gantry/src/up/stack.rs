//! A stack as CloudFormation tells of it.

use gantry_types::Value;

use super::document::{list, text};
use crate::client::{CallError, Client};

/// One stack, by its name or id.
pub(crate) async fn describe(client: &Client, name: &str) -> Result<Option<Value>, CallError> {
    let input = Value::structure([("StackName", name.into())]);
    match client.call("cloudformation", "DescribeStacks", input).await {
        Ok(answer) => Ok(list(&answer, "Stacks").first().cloned()),
        Err(CallError::Api(error)) if error.message.contains("does not exist") => Ok(None),
        Err(error) => Err(error),
    }
}

/// Events that are newer than one that was seen, the oldest first.
pub(crate) async fn events_after(
    client: &Client,
    stack: &str,
    seen: Option<&str>,
) -> Result<Vec<Value>, CallError> {
    /// A page has a hundred; who is further behind misses some.
    const PAGES_MAX: usize = 20;
    let mut events = Vec::new();
    let mut token = Value::Null;
    for _ in 0..PAGES_MAX {
        let input = Value::structure([("StackName", stack.into()), ("NextToken", token)]);
        let answer = client.call("cloudformation", "DescribeStackEvents", input).await?;
        for event in list(&answer, "StackEvents") {
            if seen == Some(text(event, "EventId")) {
                events.reverse();
                return Ok(events);
            }
            events.push(event.clone());
        }
        token = answer.get("NextToken").cloned().unwrap_or_default();
        if token.is_null() {
            break;
        }
    }
    events.reverse();
    Ok(events)
}

/// The physical ids of a stack's resources of one type.
pub(crate) async fn resources(
    client: &Client,
    stack: &str,
    resource_type: &str,
) -> Result<Vec<String>, CallError> {
    let input = Value::structure([("StackName", stack.into())]);
    let answer = client.call("cloudformation", "DescribeStackResources", input).await?;
    let found =
        list(&answer, "StackResources").iter().filter(|each| text(each, "ResourceType") == resource_type);
    let ids = found.map(|each| text(each, "PhysicalResourceId").to_owned());
    Ok(ids.filter(|id| !id.is_empty()).collect())
}

/// `arn:aws:ecs:R:A:service/CLUSTER/NAME` as cluster and name.
pub(crate) fn service_of(arn: &str) -> Option<(&str, &str)> {
    arn.split_once(":service/")?.1.split_once('/')
}

/// Whether nothing is going on any more in a stack of this status.
pub(crate) fn is_final(status: &str) -> bool {
    status.ends_with("_COMPLETE") || status.ends_with("_FAILED")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_and_names_are_read() {
        for (status, expected) in [
            ("CREATE_COMPLETE", true),
            ("UPDATE_ROLLBACK_FAILED", true),
            ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", false),
            ("REVIEW_IN_PROGRESS", false),
        ] {
            assert_eq!(is_final(status), expected, "{status}");
        }
        assert_eq!(service_of("arn:aws:ecs:us-east-1:1:service/c/s"), Some(("c", "s")));
        assert_eq!(service_of("s"), None);
    }
}
