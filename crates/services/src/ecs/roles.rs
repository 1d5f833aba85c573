//! Whether a task may have the role that it is given.

use gantry_api::ApiError;
use gantry_api::ecs::TaskOverride;
use gantry_domain::View;
use gantry_domain::task_definition::TaskDefinition;
use gantry_types::ACCOUNT;
use serde_json::Value;

use super::names::client;
use crate::iam::find_role;

/// Who assumes a task's role.
const SERVICE: &str = "ecs-tasks.amazonaws.com";

/// The role of a task that is about to be run exists and trusts ECS's tasks.
pub(super) fn check(
    view: &View,
    definition: &TaskDefinition,
    overrides: Option<&TaskOverride>,
) -> Result<(), ApiError> {
    let is_given = |role: &&str| !role.is_empty();
    let overridden = overrides.and_then(|overrides| overrides.task_role_arn.as_deref());
    let given = overridden.filter(is_given).or(definition.task_role.as_deref().filter(is_given));
    let Some(given) = given else { return Ok(()) };
    let name = given.rsplit('/').next().unwrap_or("");
    let role = find_role(view, name)?.map(|found| found.document.shown);
    let assumable = role.is_some_and(|role| {
        let is_meant = !given.starts_with("arn:") || role.arn == given;
        is_meant && role.assume_role_policy_document.as_deref().is_some_and(trusts_tasks)
    });
    match assumable {
        true => Ok(()),
        false => Err(client(refusal(given))),
    }
}

fn refusal(given: &str) -> String {
    let arn = match given.starts_with("arn:") {
        true => given.to_owned(),
        false => format!("arn:aws:iam::{ACCOUNT}:role/{given}"),
    };
    format!(
        "ECS was unable to assume the role '{arn}' that was provided for this task. Please verify that the role being passed \
         has the proper trust relationship and permissions and that your IAM user has permissions to pass this role."
    )
}

/// Conditions are not looked at: they narrow which task or account, and there is one account here.
fn trusts_tasks(policy: &str) -> bool {
    let Ok(policy) = serde_json::from_str::<Value>(policy) else { return false };
    let statements = one_or_many(&policy["Statement"]);
    statements.iter().any(|statement| {
        let principal = &statement["Principal"];
        let services = one_or_many(&principal["Service"]);
        let trusted = services.iter().any(|service| *service == SERVICE)
            || one_or_many(&principal["AWS"]).iter().any(|each| *each == "*")
            || principal == "*";
        let actions = one_or_many(&statement["Action"]);
        let assumes = actions
            .iter()
            .filter_map(|action| action.as_str())
            .any(|action| ["sts:assumerole", "sts:*", "*"].contains(&action.to_ascii_lowercase().as_str()));
        statement["Effect"] == "Allow" && trusted && assumes
    })
}

/// Policies write a list of one without its brackets.
fn one_or_many(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Null => vec![],
        one => vec![one],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_is_read_as_iam_writes_it() {
        let statement = |effect: &str, principal: &str, action: &str| {
            format!(r#"{{"Statement":{{"Effect":"{effect}","Principal":{principal},"Action":{action}}}}}"#)
        };
        let (assume, tasks) = (r#""sts:AssumeRole""#, r#"{"Service":"ecs-tasks.amazonaws.com"}"#);
        let cases = [
            (statement("Allow", tasks, assume), true),
            (
                statement(
                    "Allow",
                    r#"{"Service":["ec2.amazonaws.com","ecs-tasks.amazonaws.com"]}"#,
                    r#"["sts:TagSession","sts:AssumeRole"]"#,
                ),
                true,
            ),
            (statement("Allow", r#""*""#, r#""sts:*""#), true),
            (statement("Allow", r#"{"AWS":"*"}"#, assume), true),
            (statement("Deny", tasks, assume), false),
            (statement("Allow", r#"{"Service":"ec2.amazonaws.com"}"#, assume), false),
            (statement("Allow", tasks, r#""s3:GetObject""#), false),
            (format!(r#"{{"Statement":[{{}},{}]}}"#, "7"), false),
            ("{".to_owned(), false),
        ];
        for (policy, expected) in cases {
            assert_eq!(trusts_tasks(&policy), expected, "{policy}");
        }
    }
}
