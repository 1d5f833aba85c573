//! CreateService.

use std::time::Duration;

use gantry_api::ecs::{CreateServiceRequest, CreateServiceResponse, DeploymentController};
use gantry_api::{ApiError, CallContext, IntoValue};
use gantry_domain::service::{
    DeploymentController as Controller, SchedulingStrategy, Service as ServiceRecord, ServiceStatus,
};
use gantry_domain::task_definition::{LaunchType, NetworkMode};
use gantry_domain::{Change, Stored as _, Versioned, View};
use gantry_types::{Ids, ServiceName, Value, arn};

use super::deployment::{self, Configuration};
use super::{desired_count, grace, load_balancers};
use crate::Decision;
use crate::ecs::names::{client, cluster, invalid, is_name, is_set, refuse_unsupported};
use crate::ecs::placement::{self, constraints, strategies};
use crate::ecs::providers::{Capacity, capacity};
use crate::ecs::tags::{check_tags, tags_value};
use crate::ecs::tasks::{platform_version, runnable};
use crate::ecs::{clusters, describe, network};

const CLIENT_TOKEN_LENGTH_MAX: usize = 36;
/// The role by which ECS itself works on load balancers and interfaces.
const SERVICE_LINKED_ROLE: &str =
    "arn:aws:iam::123456789012:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS";

pub(in crate::ecs) fn create(
    view: &View,
    call: &CallContext,
    input: &CreateServiceRequest,
    ids: &mut Ids,
) -> Decision<CreateServiceResponse> {
    check_form(call, input)?;
    let cluster = cluster(view, call, input.cluster.as_deref())?;
    let name = ServiceName::new(&input.service_name);
    let existing = view.service(&call.region, &cluster.name, &name);
    if let Some(same) = existing_service(input, existing)? {
        let output = CreateServiceResponse { service: Some(describe::service(view, same, true)) };
        return Ok((output, vec![]));
    }
    let scheduling = scheduling(input.scheduling_strategy.as_deref())?;
    let capacity =
        capacity(cluster.value(), input.launch_type.as_deref(), input.capacity_provider_strategy.as_deref())?;
    let given =
        input.task_definition.as_deref().ok_or_else(|| invalid("TaskDefinition can not be blank."))?;
    let definition = runnable(view, call, given, capacity.launch_type)?;
    check_capacity(input, scheduling, &capacity, definition.network_mode)?;
    let network = network::resolve(view, call, definition.value(), input.network_configuration.as_ref())?;
    let desired_count = match (desired_count(input.desired_count)?, scheduling) {
        (Some(count), SchedulingStrategy::Replica) => count,
        (None, SchedulingStrategy::Daemon) => 0,
        (None, SchedulingStrategy::Replica) => return Err(invalid("desiredCount can not be blank.")),
        (Some(_), SchedulingStrategy::Daemon) => return Err(super::daemon_count()),
    };
    let given = input.load_balancers.as_deref().unwrap_or_default();
    let load_balancers = load_balancers::parse(view, call, definition.value(), given)?;
    let configuration = Configuration::parse(input.deployment_configuration.as_ref(), scheduling)?;
    let grace = grace(input.health_check_grace_period_seconds, load_balancers.is_empty())?;
    let rebalancing = rebalancing(input, scheduling, configuration.maximum_percent)?;
    let mut document = document(call, input, &capacity);
    document.set("taskDefinition", definition.arn.as_str());
    document.set("healthCheckGracePeriodSeconds", grace.map(|seconds| Value::from(seconds as i64)));
    document.set("availabilityZoneRebalancing", rebalancing);
    let mut record = ServiceRecord {
        region: call.region.clone(),
        cluster: cluster.name.clone(),
        arn: arn("ecs", call.region.as_str(), &format!("service/{}/{name}", cluster.name)),
        name,
        status: ServiceStatus::Active,
        scheduling,
        controller: controller(input.deployment_controller.as_ref())?,
        desired_count,
        minimum_healthy_percent: configuration.minimum_healthy_percent,
        maximum_percent: configuration.maximum_percent,
        circuit_breaker: configuration.circuit_breaker,
        health_check_grace: Duration::from_secs(grace.unwrap_or(0)),
        load_balancers,
        deployments: vec![],
        placement_constraints: constraints(input.placement_constraints.as_deref())?,
        placement_strategy: strategies(input.placement_strategy.as_deref())?,
        steady: false,
        // Numbers go on, so that no event of the new service takes the place of one that is being removed.
        event_sequence: existing.map_or(0, |service| service.event_sequence),
        told: Default::default(),
        created_at: call.now,
        deleted_at: None,
        document,
    };
    deployment::deploy(view, &mut record, call, ids, definition.arn.clone(), &capacity, network)?;
    let mut shown = describe::service(view, &record, true);
    shown.events = Some(vec![]);
    let mut changes = Vec::from(clusters::rest_on(&cluster));
    changes.push(Change::check(definition.value().key(), definition.revision));
    changes.extend(former_events(view, existing));
    changes.push(match existing {
        Some(inactive) => Change::update(record, inactive.revision),
        None => Change::create(record),
    });
    Ok((CreateServiceResponse { service: Some(shown) }, changes))
}

/// What can be said of the request alone.
fn check_form(call: &CallContext, input: &CreateServiceRequest) -> Result<(), ApiError> {
    if !is_name(&input.service_name, 255) {
        return Err(invalid(
            "Invalid service name: it must be up to 255 letters, numbers, hyphens and underscores.",
        ));
    }
    check_tags(call, input.tags.as_deref())?;
    if input.client_token.as_ref().is_some_and(|token| token.len() > CLIENT_TOKEN_LENGTH_MAX) {
        return Err(invalid(format!(
            "clientToken must be at most {CLIENT_TOKEN_LENGTH_MAX} characters long."
        )));
    }
    refuse_unsupported(&[
        (
            "serviceConnectConfiguration",
            input.service_connect_configuration.as_ref().is_some_and(|each| each.enabled),
        ),
        ("serviceRegistries", is_set(&input.service_registries)),
        ("volumeConfigurations", is_set(&input.volume_configurations)),
        ("vpcLatticeConfigurations", is_set(&input.vpc_lattice_configurations)),
    ])
}

/// The service that the same request made before. A name is free again when its service is INACTIVE.
fn existing_service<'v>(
    input: &CreateServiceRequest,
    existing: Option<Versioned<'v, ServiceRecord>>,
) -> Result<Option<&'v ServiceRecord>, ApiError> {
    let Some(existing) = existing else { return Ok(None) };
    let token = existing.document.get("clientToken").and_then(Value::as_str);
    match existing.status {
        ServiceStatus::Inactive => Ok(None),
        ServiceStatus::Draining => Err(invalid("Unable to Start a service that is still Draining.")),
        ServiceStatus::Active if token.is_some() && token == input.client_token.as_deref() => {
            Ok(Some(existing.value()))
        }
        ServiceStatus::Active => Err(invalid("Creation of service was not idempotent.")),
    }
}

fn controller(given: Option<&DeploymentController>) -> Result<Controller, ApiError> {
    match given.map(|controller| controller.r#type.as_str()) {
        None | Some("ECS") => Ok(Controller::Ecs),
        Some("CODE_DEPLOY" | "EXTERNAL") => {
            Err(client("Gantry supports only the deployment controller ECS yet."))
        }
        Some(other) => Err(invalid(format!("Invalid deployment controller '{other}'."))),
    }
}

fn scheduling(given: Option<&str>) -> Result<SchedulingStrategy, ApiError> {
    match given {
        None => Ok(SchedulingStrategy::Replica),
        Some(text) => SchedulingStrategy::parse(text)
            .ok_or_else(|| invalid(format!("Invalid scheduling strategy '{text}'."))),
    }
}

fn check_capacity(
    input: &CreateServiceRequest,
    scheduling: SchedulingStrategy,
    capacity: &Capacity,
    network_mode: NetworkMode,
) -> Result<(), ApiError> {
    placement::check_launch_type(
        capacity.launch_type,
        &input.placement_constraints,
        &input.placement_strategy,
    )?;
    match capacity.launch_type {
        LaunchType::Fargate if scheduling == SchedulingStrategy::Daemon => {
            return Err(invalid("The daemon scheduling strategy is not supported for AWS Fargate services."));
        }
        LaunchType::Fargate => {
            platform_version(input.platform_version.as_deref())?;
        }
        LaunchType::Ec2 | LaunchType::External => {
            if input.platform_version.is_some() {
                return Err(invalid("The platform version must be null when specifying an EC2 launch type."));
            }
        }
    }
    if input.role.is_some() && network_mode == NetworkMode::Awsvpc {
        return Err(invalid(
            "You cannot specify an IAM role for services that require a service linked role.",
        ));
    }
    Ok(())
}

/// Tasks can be moved between zones only if one more than wanted may run.
fn rebalancing(
    input: &CreateServiceRequest,
    scheduling: SchedulingStrategy,
    maximum_percent: u32,
) -> Result<&'static str, ApiError> {
    let possible = scheduling == SchedulingStrategy::Replica && maximum_percent > 100;
    match (input.availability_zone_rebalancing.as_deref(), possible) {
        (Some("ENABLED"), false) => Err(invalid(
            "Availability Zone rebalancing requires the REPLICA scheduling strategy and a maximumPercent greater than 100.",
        )),
        (None | Some("ENABLED"), true) => Ok("ENABLED"),
        _ => Ok("DISABLED"),
    }
}

/// What Describe gives back as it was given.
fn document(call: &CallContext, input: &CreateServiceRequest, capacity: &Capacity) -> Value {
    let mut document = Value::map();
    if capacity.launch_type == LaunchType::Fargate {
        document.set("platformVersion", input.platform_version.as_deref().unwrap_or("LATEST"));
        document.set("platformFamily", "Linux");
    }
    let linked = is_set(&input.load_balancers).then(|| SERVICE_LINKED_ROLE.to_owned());
    document.set("createdBy", call.principal.arn.as_str());
    document.set("tags", tags_value(input.tags.as_deref()));
    document.set("roleArn", input.role.clone().or(linked));
    document.set("loadBalancers", input.load_balancers.clone().into_value());
    document.set("deploymentConfiguration", input.deployment_configuration.clone().into_value());
    document.set("deploymentController", input.deployment_controller.clone().into_value());
    document.set("capacityProviderStrategy", capacity.strategy.clone().into_value());
    document.set("enableECSManagedTags", input.enable_ecs_managed_tags);
    document.set("enableExecuteCommand", input.enable_execute_command);
    document.set("propagateTags", input.propagate_tags.clone());
    document.set("clientToken", input.client_token.clone());
    document
}

/// A new service does not tell what happened to its namesake.
fn former_events(view: &View, former: Option<Versioned<'_, ServiceRecord>>) -> Vec<Change> {
    let Some(former) = former.map(|former| former.value()) else { return vec![] };
    let events = view.events_of(&former.region, &former.cluster, &former.name);
    let events = events.take(usize::try_from(ServiceRecord::EVENTS_MAX).unwrap_or(usize::MAX));
    events.map(|event| Change::delete(event.value().key(), event.revision)).collect()
}
