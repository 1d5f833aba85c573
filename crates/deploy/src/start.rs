//! Making a service's task.

use gantry_domain::Change;
use gantry_domain::service::{Deployment, PlacementConstraint, SchedulingStrategy, Service};
use gantry_domain::service_group;
use gantry_domain::task::{
    Container, ContainerStatus, DesiredStatus, HealthStatus, PlacementWish, Task, TaskStatus, TaskTimes,
};
use gantry_domain::task_definition::TaskDefinition;
use gantry_types::{AvailabilityZone, Ids, TaskId, Timestamp, Value, arn};

/// Finds a new task its node and address: fills the task in and gives the other records that belong to the placement.
pub type Place<'p> = dyn FnMut(&mut Task, &mut Ids) -> Placed + 'p;

pub type Placed = Result<Vec<Change>, Unplaced>;

/// Why a task has no place now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unplaced {
    /// The task is made all the same and stays PROVISIONING until there is a place.
    Waits,
    /// The task is not made. The reason stands in the service's events behind "all of its requirements. ".
    Refused(String),
}

/// A new task of a deployment, not placed yet.
pub(crate) fn new_task(
    service: &Service,
    deployment: &Deployment,
    definition: &TaskDefinition,
    now: Timestamp,
    ids: &mut Ids,
) -> Task {
    let id = TaskId::new(ids.hex(32));
    let region = service.region.as_str();
    let cluster = &service.cluster;
    let mut container = |name: &gantry_types::ContainerName, image: &str| Container {
        name: name.clone(),
        arn: arn("ecs", region, &format!("container/{cluster}/{id}/{}", ids.uuid())),
        image: image.to_owned(),
        image_digest: None,
        runtime_id: None,
        last_status: ContainerStatus::Pending,
        exit_code: None,
        reason: None,
        health: HealthStatus::Unknown,
        network_bindings: Vec::new(),
    };
    let containers = definition.containers.iter().map(|each| container(&each.name, &each.image)).collect();
    Task {
        region: service.region.clone(),
        cluster: cluster.clone(),
        arn: arn("ecs", region, &format!("task/{cluster}/{id}")),
        id,
        task_definition: definition.arn.clone(),
        group: service_group(&service.name),
        started_by: Some(deployment.id.to_string()),
        service: Some(service.name.clone()),
        deployment: Some(deployment.id.clone()),
        launch_type: deployment.launch_type,
        cpu: definition.cpu_required(),
        memory: definition.memory_required(),
        wish: PlacementWish {
            network: deployment.network.clone(),
            constraints: constraints(service),
            strategy: service.placement_strategy.clone(),
            instance: None,
        },
        node: None,
        container_instance: None,
        availability_zone: AvailabilityZone::default(),
        attachment: None,
        desired_status: DesiredStatus::Running,
        last_status: TaskStatus::Provisioning,
        health: HealthStatus::Unknown,
        stop_code: None,
        stopped_reason: None,
        containers,
        registrations: Vec::new(),
        accounted: false,
        times: TaskTimes { created_at: now, ..TaskTimes::default() },
        version: 1,
        document: document(service, deployment, definition),
    }
}

/// What the service was given; of a DAEMON service no instance gets two tasks.
fn constraints(service: &Service) -> Vec<PlacementConstraint> {
    let mut constraints = service.placement_constraints.clone();
    if service.scheduling == SchedulingStrategy::Daemon {
        constraints.push(PlacementConstraint::DistinctInstance);
    }
    constraints
}

/// The members that DescribeTasks gives back as the service has them.
fn document(service: &Service, deployment: &Deployment, definition: &TaskDefinition) -> Value {
    let mut document = Value::map();
    for (from, member) in [
        (&deployment.document, "platformVersion"),
        (&deployment.document, "platformFamily"),
        (&deployment.document, "capacityProviderName"),
        (&service.document, "enableExecuteCommand"),
    ] {
        document.set(member, from.get(member).cloned());
    }
    document.set("tags", tags(service, definition));
    document
}

/// The tags that the service propagates, and AWS's own where the service asks for them.
fn tags(service: &Service, definition: &TaskDefinition) -> Value {
    let from = match service.document.get("propagateTags").and_then(Value::as_str) {
        Some("SERVICE") => service.document.get("tags"),
        Some("TASK_DEFINITION") => definition.document.get("tags"),
        _ => None,
    };
    let mut tags = from.map(Value::as_list).unwrap_or_default().to_vec();
    if service.document.get("enableECSManagedTags").and_then(Value::as_bool) == Some(true) {
        for (key, value) in [
            ("aws:ecs:clusterName", service.cluster.as_str()),
            ("aws:ecs:serviceName", service.name.as_str()),
        ] {
            tags.push(Value::structure([("key", key.into()), ("value", value.into())]));
        }
    }
    if tags.is_empty() { Value::Null } else { Value::List(tags) }
}
