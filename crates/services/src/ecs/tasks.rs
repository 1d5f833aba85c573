//! Tasks: running, stopping, describing.

use gantry_api::ecs::*;
use gantry_api::{ApiError, CallContext, IntoValue};
use gantry_domain::object::Object;
use gantry_domain::service::{
    Cluster as ClusterRecord, PlacementConstraint as Constraint, PlacementStrategy as Strategy,
};
use gantry_domain::task::{
    Container as ContainerRecord, ContainerStatus, DesiredStatus, HealthStatus, PlacementWish, StopCode,
    Task as TaskRecord, TaskStatus, TaskTimes,
};
use gantry_domain::task_definition::{LaunchType, TaskDefinition as DefinitionRecord, TaskDefinitionStatus};
use gantry_domain::{Change, Key, Versioned, View};
use gantry_types::{AvailabilityZone, Ids, TaskId, Value, arn};

use super::clusters::missing;
use super::definition;
use super::definitions::check_launch_type;
use super::describe;
use super::names::*;
use super::network;
use super::tags::{check_tags, tags_value};
use crate::Decision;
use crate::objects;
use crate::page::page;

const RUN_MAX: i32 = 10;
const DESCRIBE_MAX: usize = 100;
/// A container's overrides are at most so many bytes of JSON on AWS.
const OVERRIDES_BYTES_MAX: usize = 8192;

/// What RunTask, CreateService and UpdateService say about capacity.
pub(super) struct Capacity {
    pub(super) launch_type: LaunchType,
    /// The capacity provider that was named, if one was.
    pub(super) provider: Option<String>,
}

/// A launch type, or a capacity provider strategy, or the cluster's default strategy, or EC2: in AWS's order.
pub(super) fn capacity(
    cluster: &ClusterRecord,
    launch_type: Option<&str>,
    strategy: Option<&[CapacityProviderStrategyItem]>,
) -> Result<Capacity, ApiError> {
    let strategy = strategy.filter(|items| !items.is_empty());
    if launch_type.is_some() && strategy.is_some() {
        return Err(invalid(
            "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.",
        ));
    }
    if let Some(text) = launch_type {
        let launch_type =
            LaunchType::parse(text).ok_or_else(|| invalid(format!("Invalid launch type '{text}'.")))?;
        return Ok(Capacity { launch_type, provider: None });
    }
    let default: Vec<CapacityProviderStrategyItem> = cluster
        .document
        .get("defaultCapacityProviderStrategy")
        .and_then(|value| gantry_api::FromValue::from_value(value).ok())
        .unwrap_or_default();
    let items = strategy.unwrap_or(&default);
    // All of Fargate is this machine: the heaviest item says what it is called.
    let heaviest = items.iter().max_by_key(|item| (item.weight.unwrap_or(0), item.base.unwrap_or(0)));
    match heaviest.map(|item| item.capacity_provider.as_str()) {
        Some(provider @ ("FARGATE" | "FARGATE_SPOT")) => {
            Ok(Capacity { launch_type: LaunchType::Fargate, provider: Some(provider.to_owned()) })
        }
        Some(_) => Err(invalid(
            "The specified capacity provider was not found. Specify a valid name or ARN and try again.",
        )),
        None => Ok(Capacity { launch_type: LaunchType::Ec2, provider: None }),
    }
}

pub(super) fn constraints(given: Option<&[PlacementConstraint]>) -> Result<Vec<Constraint>, ApiError> {
    let parse = |each: &PlacementConstraint| match (each.r#type.as_deref(), &each.expression) {
        (Some("distinctInstance"), _) => Ok(Constraint::DistinctInstance),
        (Some("memberOf"), Some(expression)) => Ok(Constraint::MemberOf(expression.clone())),
        _ => Err(invalid(
            "Invalid placement constraint: type is distinctInstance, or memberOf with an expression.",
        )),
    };
    let given = given.unwrap_or_default();
    if given.len() > 10 {
        return Err(invalid("At most 10 placement constraints are allowed."));
    }
    given.iter().map(parse).collect()
}

pub(super) fn strategies(given: Option<&[PlacementStrategy]>) -> Result<Vec<Strategy>, ApiError> {
    let parse = |each: &PlacementStrategy| match (each.r#type.as_deref(), each.field.as_deref()) {
        (Some("random"), _) => Ok(Strategy::Random),
        (Some("spread"), Some(field)) => Ok(Strategy::Spread(field.to_owned())),
        (Some("binpack"), Some(field @ ("cpu" | "CPU" | "memory" | "MEMORY"))) => {
            Ok(Strategy::Binpack(field.to_ascii_lowercase()))
        }
        _ => Err(invalid(
            "Invalid placement strategy: type is random, spread with a field, or binpack with cpu or memory.",
        )),
    };
    let given = given.unwrap_or_default();
    if given.len() > 5 {
        return Err(invalid("At most 5 placement strategies are allowed."));
    }
    given.iter().map(parse).collect()
}

/// An active definition that the launch type can run here.
pub(super) fn runnable<'v>(
    view: &'v View,
    call: &CallContext,
    given: &str,
    launch_type: LaunchType,
) -> Result<Versioned<'v, DefinitionRecord>, ApiError> {
    let found = task_definition(view, call, given).ok_or_else(|| client("TaskDefinition not found."))?;
    if found.status != TaskDefinitionStatus::Active {
        return Err(client("TaskDefinition is inactive"));
    }
    check_launch_type(found.value(), launch_type)?;
    Ok(found)
}

pub(super) fn run(
    view: &View,
    call: &CallContext,
    input: &RunTaskRequest,
    ids: &mut Ids,
) -> Decision<RunTaskResponse> {
    let count = input.count.unwrap_or(1);
    if !(1..=RUN_MAX).contains(&count) {
        return Err(invalid(format!("count must be between 1 and {RUN_MAX}.")));
    }
    check_tags(input.tags.as_deref())?;
    let cluster = cluster(view, call, input.cluster.as_deref())?;
    let capacity =
        capacity(cluster.value(), input.launch_type.as_deref(), input.capacity_provider_strategy.as_deref())?;
    let found = runnable(view, call, &input.task_definition, capacity.launch_type)?;
    let definition = found.value();
    let network = network::resolve(view, call, definition, input.network_configuration.as_ref())?;
    if capacity.launch_type != LaunchType::Fargate {
        return Err(invalid("No Container Instances were found in your cluster."));
    }
    if let Some(response) = repeated(view, call, input, cluster.value())? {
        return Ok((response, vec![]));
    }
    if input.started_by.as_ref().is_some_and(|text| text.len() > 128) {
        return Err(invalid("startedBy must be at most 128 characters long."));
    }
    if input.group.as_ref().is_some_and(|group| group.starts_with("service:")) {
        return Err(invalid("The task group can not begin with 'service:'."));
    }
    let (cpu, memory) = check_overrides(definition, input.overrides.as_ref())?;
    let wish = PlacementWish {
        network,
        constraints: constraints(input.placement_constraints.as_deref())?,
        strategy: strategies(input.placement_strategy.as_deref())?,
    };
    let mut document = Value::map();
    document.set("overrides", input.overrides.clone().into_value());
    document.set("tags", run_tags(definition, input));
    document.set("platformVersion", "1.4.0");
    document.set("platformFamily", "Linux");
    document.set("capacityProviderName", capacity.provider.clone());
    document.set("enableExecuteCommand", input.enable_execute_command.unwrap_or(false));
    let mut tasks = Vec::new();
    for _ in 0..count {
        let id = TaskId::new(ids.hex(32));
        let region = call.region.as_str();
        let container =
            |each: &gantry_domain::task_definition::ContainerDefinition, uuid: String| ContainerRecord {
                name: each.name.clone(),
                arn: arn("ecs", region, &format!("container/{}/{id}/{uuid}", cluster.name)),
                image: each.image.clone(),
                image_digest: None,
                runtime_id: None,
                last_status: ContainerStatus::Pending,
                exit_code: None,
                reason: None,
                health: HealthStatus::Unknown,
            };
        tasks.push(TaskRecord {
            region: call.region.clone(),
            cluster: cluster.name.clone(),
            arn: arn("ecs", region, &format!("task/{}/{id}", cluster.name)),
            containers: definition.containers.iter().map(|each| container(each, ids.uuid())).collect(),
            id,
            task_definition: definition.arn.clone(),
            group: input.group.clone().unwrap_or_else(|| format!("family:{}", definition.family)),
            started_by: input.started_by.clone(),
            service: None,
            deployment: None,
            launch_type: capacity.launch_type,
            cpu,
            memory,
            wish: wish.clone(),
            node: None,
            availability_zone: AvailabilityZone::default(),
            attachment: None,
            desired_status: DesiredStatus::Running,
            last_status: TaskStatus::Provisioning,
            health: HealthStatus::Unknown,
            stop_code: None,
            stopped_reason: None,
            registrations: vec![],
            accounted: false,
            times: TaskTimes { created_at: call.now, ..TaskTimes::default() },
            version: 1,
            document: document.clone(),
        });
    }
    let response = RunTaskResponse {
        tasks: Some(tasks.iter().map(|task| describe::task(view, task, true)).collect()),
        failures: Some(vec![]),
    };
    let mut changes = vec![
        Change::check(Key::cluster(&call.region, &cluster.name), cluster.revision),
        Change::check(
            Key::task_definition(&call.region, &definition.family, definition.revision),
            found.revision,
        ),
    ];
    changes.extend(remember(call, input, cluster.value(), &tasks));
    changes.extend(tasks.into_iter().map(Change::create));
    Ok((response, changes))
}

fn run_tags(definition: &DefinitionRecord, input: &RunTaskRequest) -> Value {
    let mut tags = input.tags.clone().unwrap_or_default();
    if input.propagate_tags.as_deref() == Some("TASK_DEFINITION") {
        for tag in super::tags::tags_of(&definition.document) {
            if !tags.iter().any(|other| other.key == tag.key) {
                tags.push(tag);
            }
        }
    }
    tags_value(Some(&tags))
}

fn token_class(call: &CallContext) -> String {
    format!("ecs/run-task-token/{}", call.region)
}

/// A client token that was used before gives the tasks of that time.
fn repeated(
    view: &View,
    call: &CallContext,
    input: &RunTaskRequest,
    cluster: &ClusterRecord,
) -> Result<Option<RunTaskResponse>, ApiError> {
    let Some(token) = &input.client_token else { return Ok(None) };
    if token.is_empty() || token.len() > 64 {
        return Err(invalid("clientToken must be between 1 and 64 characters long."));
    }
    let Some(known) = objects::find::<Value>(view, &token_class(call), &format!("{}/{token}", cluster.name))?
    else {
        return Ok(None);
    };
    let tasks = known.document.as_list().iter().filter_map(Value::as_str);
    let tasks = tasks.filter_map(|id| task(view, call, &cluster.name, id));
    let tasks: Vec<Task> = tasks.map(|task| describe::task(view, task.value(), true)).collect();
    Ok(Some(RunTaskResponse { tasks: Some(tasks), failures: Some(vec![]) }))
}

fn remember(
    call: &CallContext,
    input: &RunTaskRequest,
    cluster: &ClusterRecord,
    tasks: &[TaskRecord],
) -> Option<Change> {
    let token = input.client_token.as_ref()?;
    let ids: Vec<Value> = tasks.iter().map(|task| Value::from(task.id.as_str())).collect();
    let name = format!("{}/{token}", cluster.name);
    Some(Change::create(Object { class: token_class(call), name, document: Value::List(ids) }))
}

/// Overrides name containers that exist; a task's own sizes may be overridden on Fargate.
fn check_overrides(
    record: &DefinitionRecord,
    overrides: Option<&TaskOverride>,
) -> Result<(gantry_types::CpuUnits, gantry_types::MemoryMib), ApiError> {
    let mut sizes = (record.cpu_required(), record.memory_required());
    let Some(overrides) = overrides else { return Ok(sizes) };
    let mut bytes = 0;
    for container in overrides.container_overrides.iter().flatten() {
        let name = container.name.as_deref().unwrap_or("");
        if !record.containers.iter().any(|each| each.name.as_str() == name) {
            return Err(invalid(format!(
                "Override for container named {name} is not a container in the TaskDefinition."
            )));
        }
        if container.environment_files.as_ref().is_some_and(|files| !files.is_empty()) {
            return Err(client("Gantry does not support environmentFiles yet."));
        }
        let pairs = container.environment.iter().flatten();
        bytes += pairs
            .map(|pair| pair.name.as_deref().map_or(0, str::len) + pair.value.as_deref().map_or(0, str::len))
            .sum::<usize>();
        bytes += container.command.iter().flatten().map(String::len).sum::<usize>();
    }
    if bytes > OVERRIDES_BYTES_MAX {
        return Err(invalid(format!("Container Overrides length must be at most {OVERRIDES_BYTES_MAX}")));
    }
    if let Some(cpu) = &overrides.cpu {
        sizes.0 = definition::cpu(cpu)?;
    }
    if let Some(memory) = &overrides.memory {
        sizes.1 = definition::memory(memory)?;
    }
    Ok(sizes)
}

pub(super) fn stop(
    view: &View,
    call: &CallContext,
    input: &StopTaskRequest,
    _ids: &mut Ids,
) -> Decision<StopTaskResponse> {
    let cluster = cluster(view, call, input.cluster.as_deref())?;
    if input.reason.as_ref().is_some_and(|reason| reason.len() > 1024) {
        return Err(invalid("reason must be at most 1024 characters long."));
    }
    let found = task(view, call, &cluster.name, &input.task)
        .ok_or_else(|| invalid("The referenced task was not found."))?;
    if found.desired_status == DesiredStatus::Stopped {
        return Ok((StopTaskResponse { task: Some(describe::task(view, found.value(), false)) }, vec![]));
    }
    let mut record = found.value().clone();
    record.desired_status = DesiredStatus::Stopped;
    record.stop_code = Some(StopCode::UserInitiated);
    record.stopped_reason = Some(input.reason.clone().unwrap_or_else(|| "Task stopped by user".to_owned()));
    record.times.stopping_at = Some(call.now);
    record.version += 1;
    let output = StopTaskResponse { task: Some(describe::task(view, &record, false)) };
    Ok((output, vec![Change::update(record, found.revision)]))
}

pub(super) fn describe(
    view: &View,
    call: &CallContext,
    input: &DescribeTasksRequest,
) -> Result<DescribeTasksResponse, ApiError> {
    let cluster = cluster(view, call, input.cluster.as_deref())?;
    if input.tasks.is_empty() {
        return Err(invalid("Tasks cannot be empty."));
    }
    if input.tasks.len() > DESCRIBE_MAX {
        return Err(invalid("Tasks cannot have more than 100 elements."));
    }
    let with_tags = input.include.as_deref().unwrap_or_default().iter().any(|each| each == "TAGS");
    let (mut tasks, mut failures) = (Vec::new(), Vec::new());
    for given in &input.tasks {
        match task(view, call, &cluster.name, given) {
            Some(task) => tasks.push(describe::task(view, task.value(), with_tags)),
            None => {
                let resource = format!("task/{}/{}", cluster.name, short(given));
                failures.push(missing(arn("ecs", call.region.as_str(), &resource).as_str()));
            }
        }
    }
    Ok(DescribeTasksResponse { tasks: Some(tasks), failures: Some(failures) })
}

pub(super) fn list(
    view: &View,
    call: &CallContext,
    input: &ListTasksRequest,
) -> Result<ListTasksResponse, ApiError> {
    let cluster = cluster(view, call, input.cluster.as_deref())?;
    let desired = match input.desired_status.as_deref() {
        None | Some("RUNNING") => DesiredStatus::Running,
        Some("STOPPED") => DesiredStatus::Stopped,
        // AWS accepts PENDING and never has a task whose desired status it is.
        Some("PENDING") => return Ok(ListTasksResponse { task_arns: Some(vec![]), next_token: None }),
        Some(other) => return Err(invalid(format!("Invalid desiredStatus '{other}'."))),
    };
    if let Some(name) = &input.service_name
        && service(view, call, &cluster.name, name).is_none()
    {
        return Err(errors::service_not_found_exception("Service not found."));
    }
    let wanted = |task: &TaskRecord| {
        let by_service = input
            .service_name
            .as_deref()
            .is_none_or(|name| task.service.as_ref().is_some_and(|service| service.as_str() == short(name)));
        let by_family = input.family.as_deref().is_none_or(|family| {
            task.task_definition
                .resource()
                .strip_prefix("task-definition/")
                .is_some_and(|name| name.rsplit_once(':').is_some_and(|(each, _)| each == family))
        });
        let by_launch_type =
            input.launch_type.as_deref().is_none_or(|text| task.launch_type.as_str() == text);
        let by_starter = input.started_by.as_ref().is_none_or(|text| task.started_by.as_ref() == Some(text));
        task.desired_status == desired
            && by_service
            && by_family
            && by_launch_type
            && by_starter
            && input.container_instance.is_none()
    };
    let tasks = view
        .tasks_of_cluster(&call.region, &cluster.name)
        .map(|task| task.value())
        .filter(|task| wanted(task));
    let size = page_size(input.max_results, 100, 100)?;
    let page = page(tasks, |task| task.id.to_string(), input.next_token.as_deref(), size, invalid_token)?;
    let arns = page.items.into_iter().map(|task| task.arn.to_string()).collect();
    Ok(ListTasksResponse { task_arns: Some(arns), next_token: page.next })
}
