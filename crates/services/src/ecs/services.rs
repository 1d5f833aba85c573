//! Services: creating, updating, deleting, describing.

use std::time::Duration;

use gantry_api::ecs::*;
use gantry_api::{ApiError, CallContext, IntoValue};
use gantry_domain::elb;
use gantry_domain::service::{
    AwsvpcConfiguration, CircuitBreaker, Deployment as DeploymentRecord, DeploymentController as Controller,
    DeploymentStatus, RolloutState, SchedulingStrategy, Service as ServiceRecord, ServiceLoadBalancer,
    ServiceStatus,
};
use gantry_domain::task_definition::{LaunchType, TaskDefinition as DefinitionRecord};
use gantry_domain::{Change, Key, Versioned, View};
use gantry_types::{Arn, DeploymentId, Ids, ServiceName, Value, arn};

use super::clusters::missing;
use super::describe;
use super::names::*;
use super::network;
use super::tags::{check_tags, tags_value};
use super::tasks::{Capacity, capacity, constraints, runnable, strategies};
use crate::Decision;
use crate::page::page;

const DESCRIBE_MAX: usize = 10;
const DESIRED_COUNT_MAX: u32 = 5000;
const LOAD_BALANCERS_MAX: usize = 5;
const GRACE_SECONDS_MAX: i32 = 2_147_483_647;

pub(super) fn create(
    view: &View,
    call: &CallContext,
    input: &CreateServiceRequest,
    ids: &mut Ids,
) -> Decision<CreateServiceResponse> {
    if !is_name(&input.service_name, 255) {
        return Err(invalid(
            "Invalid service name: it must be up to 255 letters, numbers, hyphens and underscores.",
        ));
    }
    check_tags(input.tags.as_deref())?;
    refuse_unsupported(
        input.service_connect_configuration.is_some(),
        input.service_registries.as_ref().is_some_and(|list| !list.is_empty()),
        input.volume_configurations.as_ref().is_some_and(|list| !list.is_empty()),
        input.vpc_lattice_configurations.as_ref().is_some_and(|list| !list.is_empty()),
    )?;
    let cluster = cluster(view, call, input.cluster.as_deref())?;
    let name = ServiceName::new(&input.service_name);
    let existing = view.service(&call.region, &cluster.name, &name);
    if existing.is_some_and(|service| service.status != ServiceStatus::Inactive) {
        return Err(invalid("Creation of service was not idempotent."));
    }
    let controller = controller(input.deployment_controller.as_ref())?;
    let scheduling = scheduling(input.scheduling_strategy.as_deref())?;
    let capacity =
        capacity(cluster.value(), input.launch_type.as_deref(), input.capacity_provider_strategy.as_deref())?;
    let given =
        input.task_definition.as_deref().ok_or_else(|| invalid("TaskDefinition can not be blank."))?;
    let definition = runnable(view, call, given, capacity.launch_type)?;
    let network = network::resolve(view, call, definition.value(), input.network_configuration.as_ref())?;
    if scheduling == SchedulingStrategy::Daemon && capacity.launch_type == LaunchType::Fargate {
        return Err(invalid("The daemon scheduling strategy is not supported for AWS Fargate services."));
    }
    let desired_count = desired_count(input.desired_count)?
        .ok_or_else(|| invalid("desiredCount can not be blank."))
        .or_else(|error| if scheduling == SchedulingStrategy::Daemon { Ok(0) } else { Err(error) })?;
    let load_balancers =
        load_balancers(view, definition.value(), input.load_balancers.as_deref().unwrap_or_default())?;
    let configuration = Configuration::parse(input.deployment_configuration.as_ref(), scheduling)?;
    let grace = grace(input.health_check_grace_period_seconds, load_balancers.is_empty())?;
    let mut document = Value::map();
    let platform = platform_version(&capacity, input.platform_version.as_deref());
    document.set("platformVersion", platform.clone());
    document.set("platformFamily", platform.as_ref().map(|_| "Linux"));
    document.set("taskDefinition", definition.arn.as_str());
    document.set("createdBy", call.principal.arn.as_str());
    document.set("tags", tags_value(input.tags.as_deref()));
    document.set("roleArn", input.role.clone());
    document.set("loadBalancers", input.load_balancers.clone().into_value());
    document.set("deploymentConfiguration", input.deployment_configuration.clone().into_value());
    document.set("deploymentController", input.deployment_controller.clone().into_value());
    document.set(
        "capacityProviderStrategy",
        input.capacity_provider_strategy.clone().filter(|items| !items.is_empty()).into_value(),
    );
    document.set("healthCheckGracePeriodSeconds", grace.map(|seconds| Value::from(seconds as i64)));
    document.set("enableECSManagedTags", input.enable_ecs_managed_tags);
    document.set("enableExecuteCommand", input.enable_execute_command);
    document.set("propagateTags", input.propagate_tags.clone());
    document.set("availabilityZoneRebalancing", input.availability_zone_rebalancing.clone());
    let mut record = ServiceRecord {
        region: call.region.clone(),
        cluster: cluster.name.clone(),
        arn: arn("ecs", call.region.as_str(), &format!("service/{}/{name}", cluster.name)),
        name,
        status: ServiceStatus::Active,
        scheduling,
        controller,
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
        event_sequence: existing.map_or(0, |service| service.event_sequence),
        told: Default::default(),
        created_at: call.now,
        deleted_at: None,
        document,
    };
    deploy(&mut record, call, ids, definition.arn.clone(), &capacity, network);
    let output = CreateServiceResponse { service: Some(describe::service(view, &record, true)) };
    let mut changes = vec![
        Change::check(Key::cluster(&call.region, &cluster.name), cluster.revision),
        Change::check(
            Key::task_definition(&call.region, &definition.family, definition.value().revision),
            definition.revision,
        ),
    ];
    changes.push(match existing {
        Some(inactive) => Change::update(record, inactive.revision),
        None => Change::create(record),
    });
    Ok((output, changes))
}

/// What would be accepted and then not done is refused, by name.
fn refuse_unsupported(connect: bool, registries: bool, volumes: bool, lattice: bool) -> Result<(), ApiError> {
    let used = [
        ("serviceConnectConfiguration", connect),
        ("serviceRegistries", registries),
        ("volumeConfigurations", volumes),
        ("vpcLatticeConfigurations", lattice),
    ];
    match used.into_iter().find(|(_, used)| *used) {
        Some((what, _)) => Err(client(format!("Gantry does not support {what} yet."))),
        None => Ok(()),
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

fn desired_count(given: Option<i32>) -> Result<Option<u32>, ApiError> {
    match given.map(u32::try_from) {
        None => Ok(None),
        Some(Ok(count)) if count <= DESIRED_COUNT_MAX => Ok(Some(count)),
        Some(Ok(_)) => Err(invalid(format!("desiredCount must be at most {DESIRED_COUNT_MAX}."))),
        Some(Err(_)) => Err(invalid("desiredCount can not be negative.")),
    }
}

/// The grace period in seconds; it needs something that checks health from outside.
fn grace(given: Option<i32>, without_load_balancer: bool) -> Result<Option<u64>, ApiError> {
    match given {
        None => Ok(if without_load_balancer { None } else { Some(0) }),
        Some(seconds) if (0..=GRACE_SECONDS_MAX).contains(&seconds) => {
            if without_load_balancer && seconds > 0 {
                return Err(invalid(
                    "Health check grace period is only valid for services configured to use load balancers",
                ));
            }
            Ok(u64::try_from(seconds).ok())
        }
        Some(_) => Err(invalid("healthCheckGracePeriodSeconds must be between 0 and 2147483647.")),
    }
}

fn platform_version(capacity: &Capacity, given: Option<&str>) -> Option<String> {
    match capacity.launch_type {
        LaunchType::Fargate => Some(given.unwrap_or("LATEST").to_owned()),
        LaunchType::Ec2 | LaunchType::External => None,
    }
}

fn load_balancers(
    view: &View,
    definition: &DefinitionRecord,
    given: &[LoadBalancer],
) -> Result<Vec<ServiceLoadBalancer>, ApiError> {
    if given.len() > LOAD_BALANCERS_MAX {
        return Err(invalid(format!("load balancers can have at most {LOAD_BALANCERS_MAX} items.")));
    }
    given.iter().map(|each| load_balancer(view, definition, each)).collect()
}

fn load_balancer(
    view: &View,
    definition: &DefinitionRecord,
    given: &LoadBalancer,
) -> Result<ServiceLoadBalancer, ApiError> {
    let Some(text) = &given.target_group_arn else {
        return Err(client("Gantry does not support classic load balancers; name a target group."));
    };
    let not_found = || {
        invalid(format!(
            "Unable to assume role and validate the specified targetGroupArn {text}: target group not found."
        ))
    };
    let target_group: Arn = text.parse().map_err(|_| not_found())?;
    let group = view.target_group(&target_group).ok_or_else(not_found)?;
    if !is_attached(view, &target_group) {
        return Err(invalid(format!(
            "The target group with targetGroupArn {text} does not have an associated load balancer."
        )));
    }
    if definition.network_mode == gantry_domain::task_definition::NetworkMode::Awsvpc
        && group.target_type != elb::TargetType::Ip
    {
        return Err(invalid(format!(
            "The provided target group {text} has target type {}, which is incompatible with the awsvpc network mode specified in the task definition.",
            group.target_type
        )));
    }
    let name = given.container_name.as_deref().unwrap_or("");
    let Some(container) = definition.containers.iter().find(|each| each.name.as_str() == name) else {
        return Err(invalid(format!("The container {name} does not exist in the task definition.")));
    };
    let port = given.container_port.and_then(|port| u16::try_from(port).ok()).unwrap_or(0);
    if !container.port_mappings.iter().any(|mapping| mapping.container_port == port) {
        return Err(invalid(format!("The container {name} did not have a container port {port} defined.")));
    }
    Ok(ServiceLoadBalancer { target_group, container_name: name.into(), container_port: port })
}

/// Whether some listener or rule forwards to the group.
fn is_attached(view: &View, target_group: &Arn) -> bool {
    let forwards = |actions: &[elb::RuleAction]| {
        actions.iter().any(|action| match action {
            elb::RuleAction::Forward(forward) => {
                forward.target_groups.iter().any(|each| each.target_group == *target_group)
            }
            elb::RuleAction::Redirect(_) | elb::RuleAction::FixedResponse(_) => false,
        })
    };
    view.scan::<elb::Listener>("").any(|listener| forwards(&listener.default_actions))
        || view.scan::<elb::Rule>("").any(|rule| forwards(&rule.actions))
}

/// How a service's deployments go.
struct Configuration {
    minimum_healthy_percent: u32,
    maximum_percent: u32,
    circuit_breaker: CircuitBreaker,
}

impl Configuration {
    fn parse(
        given: Option<&DeploymentConfiguration>,
        scheduling: SchedulingStrategy,
    ) -> Result<Self, ApiError> {
        let defaults = match scheduling {
            SchedulingStrategy::Replica => (100, 200),
            SchedulingStrategy::Daemon => (0, 100),
        };
        let given = given.cloned().unwrap_or_default();
        if given.strategy.as_deref().is_some_and(|strategy| strategy != "ROLLING") {
            return Err(client("Gantry supports only the deployment strategy ROLLING yet."));
        }
        if given.alarms.as_ref().is_some_and(|alarms| alarms.enable) {
            return Err(client("Gantry does not support deployment alarms yet."));
        }
        let percent = |value: Option<i32>, default: u32| {
            value.map_or(Ok(default), |value| {
                u32::try_from(value).map_err(|_| invalid("Deployment percentages can not be negative."))
            })
        };
        let minimum_healthy_percent = percent(given.minimum_healthy_percent, defaults.0)?;
        let maximum_percent = percent(given.maximum_percent, defaults.1)?;
        if maximum_percent <= minimum_healthy_percent.min(maximum_percent) && maximum_percent < 100 {
            return Err(invalid(
                "maximumPercent must be at least 100 and greater than minimumHealthyPercent.",
            ));
        }
        if minimum_healthy_percent >= maximum_percent && scheduling == SchedulingStrategy::Replica {
            return Err(invalid(
                "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.",
            ));
        }
        let breaker = given.deployment_circuit_breaker;
        Ok(Self {
            minimum_healthy_percent,
            maximum_percent,
            circuit_breaker: CircuitBreaker {
                enable: breaker.as_ref().is_some_and(|breaker| breaker.enable),
                rollback: breaker.as_ref().is_some_and(|breaker| breaker.rollback),
            },
        })
    }
}

/// Puts a new PRIMARY deployment in front of the others.
fn deploy(
    record: &mut ServiceRecord,
    call: &CallContext,
    ids: &mut Ids,
    task_definition: Arn,
    capacity: &Capacity,
    network: Option<AwsvpcConfiguration>,
) {
    let id = DeploymentId::new(format!("ecs-svc/{}", ids.digits(19)));
    let mut document = Value::map();
    for member in ["platformVersion", "platformFamily", "capacityProviderStrategy"] {
        document.set(member, record.document.get(member).cloned());
    }
    document.set("capacityProviderName", capacity.provider.clone());
    for older in &mut record.deployments {
        older.status = DeploymentStatus::Active;
        older.desired_count = 0;
    }
    let deployment = DeploymentRecord {
        rollout_state_reason: format!("ECS deployment {id} in progress."),
        id,
        status: DeploymentStatus::Primary,
        task_definition,
        launch_type: capacity.launch_type,
        network,
        desired_count: record.desired_count,
        rollout_state: RolloutState::InProgress,
        failed_tasks: 0,
        start_failures: 0,
        start_after: None,
        created_at: call.now,
        updated_at: call.now,
        document,
    };
    record.deployments.insert(0, deployment);
    record.steady = false;
}

fn active<'v>(
    view: &'v View,
    call: &CallContext,
    cluster_given: Option<&str>,
    given: &str,
) -> Result<Versioned<'v, ServiceRecord>, ApiError> {
    let cluster = cluster(view, call, cluster_given)?;
    let found = service(view, call, &cluster.name, given)
        .ok_or_else(|| errors::service_not_found_exception("Service not found."))?;
    if found.status == ServiceStatus::Active {
        Ok(found)
    } else {
        Err(errors::service_not_active_exception("Service was not ACTIVE."))
    }
}

pub(super) fn update(
    view: &View,
    call: &CallContext,
    input: &UpdateServiceRequest,
    ids: &mut Ids,
) -> Decision<UpdateServiceResponse> {
    refuse_unsupported(
        input.service_connect_configuration.is_some(),
        input.service_registries.as_ref().is_some_and(|list| !list.is_empty()),
        input.volume_configurations.as_ref().is_some_and(|list| !list.is_empty()),
        input.vpc_lattice_configurations.as_ref().is_some_and(|list| !list.is_empty()),
    )?;
    let found = active(view, call, input.cluster.as_deref(), &input.service)?;
    let cluster = cluster(view, call, input.cluster.as_deref())?;
    let mut record = found.value().clone();
    let Some(primary) = record.primary().cloned() else {
        return Err(errors::service_not_active_exception("Service was not ACTIVE."));
    };
    let strategy = input.capacity_provider_strategy.as_deref();
    let capacity = match strategy.filter(|items| !items.is_empty()) {
        Some(_) => capacity(cluster.value(), None, strategy)?,
        None => Capacity {
            launch_type: primary.launch_type,
            provider: primary.document.get("capacityProviderName").and_then(Value::as_str).map(str::to_owned),
        },
    };
    let definition = match input.task_definition.as_deref() {
        Some(given) => runnable(view, call, given, capacity.launch_type)?,
        None => view
            .task_definition(&primary.task_definition)
            .ok_or_else(|| client("Unable to describe task definition."))?,
    };
    let network = match &input.network_configuration {
        Some(given) => network::resolve(view, call, definition.value(), Some(given))?,
        None => primary.network.clone(),
    };
    let mut changes = Vec::new();
    let mut deploys = input.force_new_deployment == Some(true)
        || definition.arn != primary.task_definition
        || network != primary.network
        || strategy.is_some();
    if definition.arn != primary.task_definition {
        changes.push(Change::check(
            Key::task_definition(&call.region, &definition.family, definition.value().revision),
            definition.revision,
        ));
    }
    if let Some(count) = desired_count(input.desired_count)? {
        if record.scheduling == SchedulingStrategy::Daemon {
            return Err(invalid(
                "The daemon scheduling strategy does not support a desired count for services. Remove the desired count value and try again",
            ));
        }
        record.desired_count = count;
    }
    if let Some(given) = input.deployment_configuration.as_ref() {
        let configuration = Configuration::parse(Some(&merged(found.value(), given)), record.scheduling)?;
        record.minimum_healthy_percent = configuration.minimum_healthy_percent;
        record.maximum_percent = configuration.maximum_percent;
        record.circuit_breaker = configuration.circuit_breaker;
        record.document.set("deploymentConfiguration", merged(found.value(), given).into_value());
    }
    if let Some(given) = &input.load_balancers {
        record.load_balancers = load_balancers(view, definition.value(), given)?;
        record.document.set("loadBalancers", given.clone().into_value());
        deploys = true;
    } else if definition.arn != primary.task_definition {
        check_ports(definition.value(), &record.load_balancers)?;
    }
    if input.health_check_grace_period_seconds.is_some() {
        let seconds = grace(input.health_check_grace_period_seconds, record.load_balancers.is_empty())?;
        record.health_check_grace = Duration::from_secs(seconds.unwrap_or(0));
        record
            .document
            .set("healthCheckGracePeriodSeconds", seconds.map(|seconds| Value::from(seconds as i64)));
    }
    if input.placement_constraints.is_some() {
        record.placement_constraints = constraints(input.placement_constraints.as_deref())?;
    }
    if input.placement_strategy.is_some() {
        record.placement_strategy = strategies(input.placement_strategy.as_deref())?;
    }
    if let Some(version) = &input.platform_version {
        deploys |= record.document.get("platformVersion").and_then(Value::as_str) != Some(version);
        record.document.set("platformVersion", version.as_str());
    }
    if strategy.is_some() {
        record.document.set(
            "capacityProviderStrategy",
            input.capacity_provider_strategy.clone().filter(|items| !items.is_empty()).into_value(),
        );
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
        deploy(&mut record, call, ids, definition.arn.clone(), &capacity, network);
    } else if let Some(primary) = record.deployments.first_mut() {
        primary.desired_count = record.desired_count;
        primary.updated_at = call.now;
    }
    let output = UpdateServiceResponse { service: Some(describe::service(view, &record, false)) };
    changes.push(Change::update(record, found.revision));
    Ok((output, changes))
}

/// Members that an update leaves out keep their value.
fn merged(record: &ServiceRecord, given: &DeploymentConfiguration) -> DeploymentConfiguration {
    let whole = |number: u32| i32::try_from(number).ok();
    DeploymentConfiguration {
        minimum_healthy_percent: given.minimum_healthy_percent.or(whole(record.minimum_healthy_percent)),
        maximum_percent: given.maximum_percent.or(whole(record.maximum_percent)),
        deployment_circuit_breaker: given.deployment_circuit_breaker.clone().or_else(|| {
            Some(DeploymentCircuitBreaker {
                enable: record.circuit_breaker.enable,
                rollback: record.circuit_breaker.rollback,
                ..DeploymentCircuitBreaker::default()
            })
        }),
        ..given.clone()
    }
}

/// A new task definition must still have the containers and ports that the load balancers forward to.
fn check_ports(
    definition: &DefinitionRecord,
    load_balancers: &[ServiceLoadBalancer],
) -> Result<(), ApiError> {
    for each in load_balancers {
        let (name, port) = (&each.container_name, each.container_port);
        let container = definition.containers.iter().find(|container| container.name == *name);
        let Some(container) = container else {
            return Err(invalid(format!("The container {name} does not exist in the task definition.")));
        };
        if !container.port_mappings.iter().any(|mapping| mapping.container_port == port) {
            return Err(invalid(format!(
                "The container {name} did not have a container port {port} defined."
            )));
        }
    }
    Ok(())
}

pub(super) fn delete(
    view: &View,
    call: &CallContext,
    input: &DeleteServiceRequest,
    _ids: &mut Ids,
) -> Decision<DeleteServiceResponse> {
    let found = active(view, call, input.cluster.as_deref(), &input.service)?;
    let forced = input.force == Some(true) || found.scheduling == SchedulingStrategy::Daemon;
    if found.desired_count > 0 && !forced {
        return Err(invalid("The service cannot be stopped while it is scaled above 0."));
    }
    let mut record = found.value().clone();
    record.status = ServiceStatus::Draining;
    record.desired_count = 0;
    record.deleted_at = Some(call.now);
    if let Some(primary) = record.deployments.first_mut() {
        primary.desired_count = 0;
        primary.updated_at = call.now;
    }
    let output = DeleteServiceResponse { service: Some(describe::service(view, &record, false)) };
    Ok((output, vec![Change::update(record, found.revision)]))
}

pub(super) fn describe(
    view: &View,
    call: &CallContext,
    input: &DescribeServicesRequest,
) -> Result<DescribeServicesResponse, ApiError> {
    if input.services.is_empty() {
        return Err(invalid("Services cannot be empty."));
    }
    if input.services.len() > DESCRIBE_MAX {
        return Err(invalid("Services cannot have more than 10 elements."));
    }
    let cluster = cluster(view, call, input.cluster.as_deref())?;
    let with_tags = input.include.as_deref().unwrap_or_default().iter().any(|each| each == "TAGS");
    let (mut services, mut failures) = (Vec::new(), Vec::new());
    for given in &input.services {
        match service(view, call, &cluster.name, given) {
            Some(service) => services.push(describe::service(view, service.value(), with_tags)),
            None => {
                let resource = format!("service/{}/{}", cluster.name, short(given));
                failures.push(missing(arn("ecs", call.region.as_str(), &resource).as_str()));
            }
        }
    }
    Ok(DescribeServicesResponse { services: Some(services), failures: Some(failures) })
}

pub(super) fn list(
    view: &View,
    call: &CallContext,
    input: &ListServicesRequest,
) -> Result<ListServicesResponse, ApiError> {
    let cluster = cluster(view, call, input.cluster.as_deref())?;
    let wanted = |service: &ServiceRecord| {
        let launch_type = service.primary().map(|primary| primary.launch_type.as_str());
        service.status != ServiceStatus::Inactive
            && input.launch_type.as_deref().is_none_or(|text| launch_type == Some(text))
            && input.scheduling_strategy.as_deref().is_none_or(|text| service.scheduling.as_str() == text)
    };
    let services = view
        .scan::<ServiceRecord>(&format!("{}/{}/", call.region, cluster.name))
        .map(|service| service.value())
        .filter(|service| wanted(service));
    let size = page_size(input.max_results, 10, 100)?;
    let page =
        page(services, |service| service.name.to_string(), input.next_token.as_deref(), size, invalid_token)?;
    let arns = page.items.into_iter().map(|service| service.arn.to_string()).collect();
    Ok(ListServicesResponse { service_arns: Some(arns), next_token: page.next })
}
