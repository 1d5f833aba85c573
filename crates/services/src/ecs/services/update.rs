//! UpdateService.

use std::time::Duration;

use gantry_api::ecs::{LoadBalancer, UpdateServiceRequest, UpdateServiceResponse, errors};
use gantry_api::{ApiError, CallContext, FromValue, IntoValue};
use gantry_domain::service::{
    AwsvpcConfiguration, Deployment as DeploymentRecord, SchedulingStrategy, Service as ServiceRecord,
};
use gantry_domain::task_definition::{LaunchType, NetworkMode, TaskDefinition as DefinitionRecord};
use gantry_domain::{Change, Stored as _, Versioned, View};
use gantry_types::{Ids, Value};

use super::deployment::{self, Configuration};
use super::{active, desired_count, grace, load_balancers};
use crate::Decision;
use crate::ecs::names::{client, cluster, invalid, is_set, refuse_unsupported};
use crate::ecs::placement::{self, constraints, strategies};
use crate::ecs::providers::{Capacity, capacity};
use crate::ecs::tasks::{platform_version, runnable};
use crate::ecs::{describe, network};

pub(in crate::ecs) fn update(
    view: &View,
    call: &CallContext,
    input: &UpdateServiceRequest,
    ids: &mut Ids,
) -> Decision<UpdateServiceResponse> {
    check_form(input)?;
    let found = active(view, call, input.cluster.as_deref(), &input.service)?;
    let mut record = found.value().clone();
    let Some(primary) = found.value().primary() else {
        return Err(errors::service_not_active_exception("Service was not ACTIVE."));
    };
    let capacity = new_capacity(view, call, input, primary)?;
    let definition = new_definition(view, call, input, primary, &capacity)?;
    let network = new_network(view, call, input, primary, definition.value())?;
    let mut deploys = input.force_new_deployment == Some(true)
        || definition.arn != primary.task_definition
        || network != primary.network
        || is_set(&input.capacity_provider_strategy) && capacity != capacity_of(primary);
    set_count(&mut record, input)?;
    set_configuration(&mut record, input)?;
    deploys |= set_load_balancers(view, call, &mut record, input, definition.value())?;
    set_placement(&mut record, input, capacity.launch_type)?;
    deploys |= set_platform(&mut record, input, capacity.launch_type)?;
    if let Some(given) = input.health_check_grace_period_seconds {
        let seconds = grace(Some(given), record.load_balancers.is_empty())?;
        record.health_check_grace = Duration::from_secs(seconds.unwrap_or(0));
        let shown = seconds.map(|seconds| Value::from(seconds as i64));
        record.document.set("healthCheckGracePeriodSeconds", shown);
    }
    if is_set(&input.capacity_provider_strategy) {
        record.document.set("capacityProviderStrategy", capacity.strategy.clone().into_value());
    }
    for (member, value) in [
        ("enableExecuteCommand", Value::from(input.enable_execute_command)),
        ("enableECSManagedTags", Value::from(input.enable_ecs_managed_tags)),
        ("propagateTags", Value::from(input.propagate_tags.clone())),
        ("availabilityZoneRebalancing", Value::from(input.availability_zone_rebalancing.clone())),
    ] {
        if value != Value::Null {
            record.document.set(member, value);
        }
    }
    record.document.set("taskDefinition", definition.arn.as_str());
    if deploys {
        deployment::deploy(view, &mut record, call, ids, definition.arn.clone(), &capacity, network)?;
    } else if let Some(primary) = record.deployments.first_mut()
        && primary.desired_count != record.desired_count
    {
        primary.desired_count = record.desired_count;
        primary.updated_at = call.now;
    }
    let output = UpdateServiceResponse { service: Some(describe::service(view, &record, false)) };
    let mut changes = vec![Change::update(record, found.revision)];
    if deploys {
        changes.push(Change::check(definition.value().key(), definition.revision));
    }
    Ok((output, changes))
}

/// What can be said of the request alone.
fn check_form(input: &UpdateServiceRequest) -> Result<(), ApiError> {
    let other_controller = input.deployment_controller.as_ref().is_some_and(|each| each.r#type != "ECS");
    refuse_unsupported(&[
        (
            "serviceConnectConfiguration",
            input.service_connect_configuration.as_ref().is_some_and(|each| each.enabled),
        ),
        ("serviceRegistries", is_set(&input.service_registries)),
        ("volumeConfigurations", is_set(&input.volume_configurations)),
        ("vpcLatticeConfigurations", is_set(&input.vpc_lattice_configurations)),
        ("a deploymentController other than ECS", other_controller),
    ])
}

/// What the service's tasks run on now.
fn capacity_of(primary: &DeploymentRecord) -> Capacity {
    let strategy = primary.document.get("capacityProviderStrategy");
    let provider = primary.document.get("capacityProviderName").and_then(Value::as_str);
    Capacity {
        launch_type: primary.launch_type,
        provider: provider.map(str::to_owned),
        strategy: strategy.and_then(|strategy| FromValue::from_value(strategy).ok()),
    }
}

fn new_capacity(
    view: &View,
    call: &CallContext,
    input: &UpdateServiceRequest,
    primary: &DeploymentRecord,
) -> Result<Capacity, ApiError> {
    let present = capacity_of(primary);
    if !is_set(&input.capacity_provider_strategy) {
        return Ok(present);
    }
    let cluster = cluster(view, call, input.cluster.as_deref())?;
    let wanted = capacity(cluster.value(), None, input.capacity_provider_strategy.as_deref())?;
    if wanted != present && input.force_new_deployment != Some(true) {
        return Err(invalid(
            "When switching from launch type to capacity provider strategy on an existing service, or making a change to a capacity provider strategy on a service that is already using one, you must force a new deployment.",
        ));
    }
    Ok(wanted)
}

/// The given task definition, or the one that is deployed: that one may be INACTIVE by now.
fn new_definition<'v>(
    view: &'v View,
    call: &CallContext,
    input: &UpdateServiceRequest,
    primary: &DeploymentRecord,
    capacity: &Capacity,
) -> Result<Versioned<'v, DefinitionRecord>, ApiError> {
    match input.task_definition.as_deref() {
        Some(given) => runnable(view, call, given, capacity.launch_type),
        None => view
            .task_definition(&primary.task_definition)
            .ok_or_else(|| client("Unable to describe task definition.")),
    }
}

fn new_network(
    view: &View,
    call: &CallContext,
    input: &UpdateServiceRequest,
    primary: &DeploymentRecord,
    definition: &DefinitionRecord,
) -> Result<Option<AwsvpcConfiguration>, ApiError> {
    match (&input.network_configuration, definition.network_mode) {
        (None, NetworkMode::Awsvpc) if primary.network.is_some() => Ok(primary.network.clone()),
        (given, _) => network::resolve(view, call, definition, given.as_ref()),
    }
}

fn set_count(record: &mut ServiceRecord, input: &UpdateServiceRequest) -> Result<(), ApiError> {
    match (desired_count(input.desired_count)?, record.scheduling) {
        (Some(_), SchedulingStrategy::Daemon) => Err(super::daemon_count()),
        (Some(count), SchedulingStrategy::Replica) => {
            record.desired_count = count;
            Ok(())
        }
        (None, _) => Ok(()),
    }
}

fn set_configuration(record: &mut ServiceRecord, input: &UpdateServiceRequest) -> Result<(), ApiError> {
    let Some(given) = &input.deployment_configuration else { return Ok(()) };
    let merged = deployment::merged(record, given);
    let configuration = Configuration::parse(Some(&merged), record.scheduling)?;
    record.minimum_healthy_percent = configuration.minimum_healthy_percent;
    record.maximum_percent = configuration.maximum_percent;
    record.circuit_breaker = configuration.circuit_breaker;
    record.document.set("deploymentConfiguration", merged.into_value());
    Ok(())
}

/// Whether the load balancers became others.
fn set_load_balancers(
    view: &View,
    call: &CallContext,
    record: &mut ServiceRecord,
    input: &UpdateServiceRequest,
    definition: &DefinitionRecord,
) -> Result<bool, ApiError> {
    let Some(given) = &input.load_balancers else {
        load_balancers::check_definition(view, definition, &record.load_balancers)?;
        return Ok(false);
    };
    let wanted = load_balancers::parse(view, call, definition, given)?;
    if wanted == record.load_balancers {
        return Ok(false);
    }
    if wanted.is_empty() {
        record.health_check_grace = Duration::ZERO;
        record.document.set("healthCheckGracePeriodSeconds", Value::Null);
    }
    record.load_balancers = wanted;
    record.document.set("loadBalancers", Vec::<LoadBalancer>::clone(given).into_value());
    Ok(true)
}

fn set_placement(
    record: &mut ServiceRecord,
    input: &UpdateServiceRequest,
    launch_type: LaunchType,
) -> Result<(), ApiError> {
    placement::check_launch_type(launch_type, &input.placement_constraints, &input.placement_strategy)?;
    if input.placement_constraints.is_some() {
        record.placement_constraints = constraints(input.placement_constraints.as_deref())?;
    }
    if input.placement_strategy.is_some() {
        record.placement_strategy = strategies(input.placement_strategy.as_deref())?;
    }
    Ok(())
}

/// Whether the tasks run on another version of Fargate than before.
fn set_platform(
    record: &mut ServiceRecord,
    input: &UpdateServiceRequest,
    launch_type: LaunchType,
) -> Result<bool, ApiError> {
    match (&input.platform_version, launch_type) {
        (None, _) => Ok(false),
        (Some(given), LaunchType::Fargate) => {
            let before = record.document.get("platformVersion").and_then(Value::as_str);
            let changed = platform_version(before)? != platform_version(Some(given))?;
            record.document.set("platformVersion", given.as_str());
            Ok(changed)
        }
        (Some(_), LaunchType::Ec2 | LaunchType::External) => {
            Err(invalid("The platform version must be null when specifying an EC2 launch type."))
        }
    }
}
