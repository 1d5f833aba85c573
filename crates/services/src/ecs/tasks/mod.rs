//! Tasks: running and stopping them.

pub(super) mod list;
mod make;
mod overrides;
mod start;
mod token;

use gantry_api::ecs::{RunTaskRequest, RunTaskResponse, StopTaskRequest, StopTaskResponse, Tag, errors};
use gantry_api::{ApiError, CallContext, IntoValue};
use gantry_domain::service::Cluster as ClusterRecord;
use gantry_domain::task::{DesiredStatus, PlacementWish, StopCode, Task as TaskRecord};
use gantry_domain::task_definition::{LaunchType, TaskDefinition as DefinitionRecord, TaskDefinitionStatus};
use gantry_domain::{Change, Stored as _, Versioned, View};
use gantry_types::{Ids, Value};

use super::clusters;
use super::definitions::check_launch_type;
use super::describe;
use super::names::{client, cluster, invalid, is_set, refuse_unsupported, task, task_definition};
use super::network;
use super::placement::{self, constraints, strategies};
use super::providers::capacity;
use super::roles;
use super::tags::{check_count, check_tags, tags_of, tags_value};
use crate::Decision;
use make::{Recipe, check_words, with_place};
pub(super) use start::start;

const RUN_MAX: i32 = 10;
const REASON_LENGTH_MAX: usize = 1024;

/// What `LATEST` is.
const PLATFORM_VERSION: &str = "1.4.0";

/// The version of Fargate that a task runs on.
pub(super) fn platform_version(given: Option<&str>) -> Result<&'static str, ApiError> {
    match given {
        None | Some("LATEST" | PLATFORM_VERSION) => Ok(PLATFORM_VERSION),
        Some(_) => Err(errors::platform_unknown_exception("The specified platform does not exist.")),
    }
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
    check_tags(call, input.tags.as_deref())?;
    let cluster = cluster(view, call, input.cluster.as_deref())?;
    if let Some(response) = token::repeated(view, call, input, cluster.value())? {
        return Ok((response, vec![]));
    }
    let capacity =
        capacity(cluster.value(), input.launch_type.as_deref(), input.capacity_provider_strategy.as_deref())?;
    let found = runnable(view, call, &input.task_definition, capacity.launch_type)?;
    let definition = found.value();
    refuse_unsupported(&[("volumeConfigurations", is_set(&input.volume_configurations))])?;
    roles::check(view, definition, input.overrides.as_ref())?;
    placement::check_launch_type(
        capacity.launch_type,
        &input.placement_constraints,
        &input.placement_strategy,
    )?;
    let network = network::resolve(view, call, definition, input.network_configuration.as_ref())?;
    let mut document = Value::map();
    match (capacity.launch_type, input.platform_version.as_deref()) {
        (LaunchType::Fargate, given) => {
            document.set("platformVersion", platform_version(given)?);
            document.set("platformFamily", "Linux");
        }
        (_, Some(_)) => {
            return Err(invalid("The platform version must be null when specifying an EC2 launch type."));
        }
        (_, None) => {}
    }
    check_words(input.started_by.as_deref(), input.group.as_deref())?;
    let sizes = overrides::check(definition, capacity.launch_type, input.overrides.as_ref())?;
    document.set("overrides", input.overrides.clone().into_value());
    let given = Tagging {
        tags: input.tags.as_deref(),
        propagate: input.propagate_tags.as_deref(),
        managed: input.enable_ecs_managed_tags,
    };
    document.set("tags", tags(cluster.value(), definition, &given)?);
    document.set("capacityProviderName", capacity.provider.clone());
    document.set("enableExecuteCommand", input.enable_execute_command.unwrap_or(false));
    let recipe = Recipe {
        call,
        cluster: cluster.value(),
        definition,
        launch_type: capacity.launch_type,
        group: input.group.as_deref(),
        started_by: input.started_by.as_deref(),
        sizes,
        wish: PlacementWish {
            network,
            constraints: constraints(input.placement_constraints.as_deref())?,
            strategy: strategies(input.placement_strategy.as_deref())?,
            instance: None,
        },
        document,
    };
    let tasks: Vec<TaskRecord> = (0..count).map(|_| recipe.make(ids)).collect();
    let (tasks, failures) = match capacity.launch_type {
        LaunchType::Fargate => (tasks, vec![]),
        LaunchType::Ec2 | LaunchType::External => with_place(view, cluster.value(), tasks, ids)?,
    };
    let response = RunTaskResponse {
        tasks: Some(tasks.iter().map(|task| describe::task(view, task, true)).collect()),
        failures: Some(failures),
    };
    if tasks.is_empty() {
        return Ok((response, vec![]));
    }
    let mut changes = Vec::from(clusters::rest_on(&cluster));
    changes.push(Change::check(found.value().key(), found.revision));
    changes.extend(token::remember(view, call, input, cluster.value(), &tasks));
    changes.extend(tasks.into_iter().map(Change::create));
    Ok((response, changes))
}

/// What a call says of its tasks' tags.
struct Tagging<'t> {
    tags: Option<&'t [Tag]>,
    propagate: Option<&'t str>,
    managed: Option<bool>,
}

/// The tags of the call, those of the task definition if they are propagated, and AWS's own.
fn tags(
    cluster: &ClusterRecord,
    definition: &DefinitionRecord,
    given: &Tagging<'_>,
) -> Result<Value, ApiError> {
    let mut tags = given.tags.unwrap_or_default().to_vec();
    match given.propagate {
        Some("TASK_DEFINITION") => {
            let more = tags_of(&definition.document);
            let is_new = |tag: &Tag| !tags.iter().any(|other| other.key == tag.key);
            let more: Vec<Tag> = more.into_iter().filter(is_new).collect();
            tags.extend(more);
        }
        Some("SERVICE") => {
            return Err(invalid("A task that no service starts cannot have a service's tags propagated."));
        }
        _ => {}
    }
    check_count(&tags)?;
    if given.managed == Some(true) {
        tags.push(Tag { key: Some("aws:ecs:clusterName".to_owned()), value: Some(cluster.name.to_string()) });
    }
    Ok(tags_value(Some(&tags)))
}

pub(super) fn stop(
    view: &View,
    call: &CallContext,
    input: &StopTaskRequest,
    _ids: &mut Ids,
) -> Decision<StopTaskResponse> {
    let cluster = cluster(view, call, input.cluster.as_deref())?;
    if input.reason.as_ref().is_some_and(|reason| reason.len() > REASON_LENGTH_MAX) {
        return Err(invalid(format!("reason must be at most {REASON_LENGTH_MAX} characters long.")));
    }
    let found = task(view, call, &cluster.name, &input.task)?
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
