//! Where a container's lines go, by the options of its `awslogs` driver.

use gantry_domain::assignment::TaskSpec;
use gantry_domain::task_definition::ContainerDefinition;
use gantry_types::Region;

/// A log stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    pub region: Region,
    pub group: String,
    pub stream: String,
    /// The group is made if it does not exist.
    pub create_group: bool,
}

/// Options that change what is shipped and that this node does not follow: each line stays an event of its own.
const NOT_SUPPORTED: [&str; 2] = ["awslogs-datetime-format", "awslogs-multiline-pattern"];

/// Where the container's output is shipped to; `None` where it only stays on this machine. `runtime_id` names the stream where
/// the options do not.
pub fn destination(
    task: &TaskSpec,
    container: &ContainerDefinition,
    runtime_id: &str,
) -> Option<Destination> {
    let log = container.log.as_ref().filter(|log| log.driver == "awslogs")?;
    let option = |name: &str| log.options.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let Some(group) = option("awslogs-group") else {
        tracing::warn!(task = %task.task, container = %container.name, "awslogs without awslogs-group: its output stays here");
        return None;
    };
    for name in NOT_SUPPORTED.into_iter().filter(|name| option(name).is_some()) {
        tracing::warn!(task = %task.task, container = %container.name, "{name} is not supported yet: each line is an event");
    }
    let stream = match option("awslogs-stream-prefix") {
        Some(prefix) => format!("{prefix}/{}/{}", container.name, task.task),
        None => runtime_id.to_owned(),
    };
    Some(Destination {
        region: option("awslogs-region").map_or_else(|| task.region.clone(), Region::from),
        group: group.to_owned(),
        stream,
        create_group: option("awslogs-create-group") == Some("true"),
    })
}
