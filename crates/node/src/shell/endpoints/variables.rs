//! How a container finds its endpoints: variables that ECS sets, unless the definition does.

use gantry_domain::assignment::TaskSpec;
use gantry_domain::task_definition::LaunchType;
use gantry_network::CREDENTIALS_ADDRESS;

use super::API_PORT;
use crate::shell::layout::container_id;

/// Instead of the image's own.
pub(in crate::shell) fn offered(task: &TaskSpec, index: usize) -> Vec<(String, String)> {
    let id = container_id(&task.task, index);
    let execution = match task.launch_type {
        LaunchType::Fargate => "AWS_ECS_FARGATE",
        LaunchType::Ec2 | LaunchType::External => "AWS_ECS_EC2",
    };
    let credentials = task.key.as_ref().filter(|_| task.role.is_some());
    let variables = [
        ("AWS_EXECUTION_ENV", Some(execution.to_owned())),
        ("AWS_REGION", Some(task.region.to_string())),
        ("AWS_DEFAULT_REGION", Some(task.region.to_string())),
        ("AWS_ENDPOINT_URL", Some(format!("http://{CREDENTIALS_ADDRESS}:{API_PORT}"))),
        ("ECS_CONTAINER_METADATA_URI", Some(format!("http://{CREDENTIALS_ADDRESS}/v3/{id}"))),
        ("ECS_CONTAINER_METADATA_URI_V4", Some(format!("http://{CREDENTIALS_ADDRESS}/v4/{id}"))),
        ("ECS_AGENT_URI", Some(format!("http://{CREDENTIALS_ADDRESS}/api/{id}"))),
        (
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            credentials.map(|key| format!("/v2/credentials/{}", key.credentials_id())),
        ),
    ];
    variables.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}
