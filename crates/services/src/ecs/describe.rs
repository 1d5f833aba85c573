//! Records as Describe shows them.

use gantry_api::FromValue;
use gantry_api::ecs::{
    Attachment, Attribute, Container, ContainerOverride, Deployment, DeploymentCircuitBreaker,
    DeploymentConfiguration, EphemeralStorage, KeyValuePair, NetworkBinding, NetworkInterface,
    PlacementConstraint, PlacementStrategy, Service, ServiceEvent, Task, TaskOverride,
};
use gantry_domain::View;
use gantry_domain::service::{
    Deployment as DeploymentRecord, PlacementConstraint as Constraint, PlacementStrategy as Strategy,
    SchedulingStrategy, Service as ServiceRecord,
};
use gantry_domain::task::{
    Container as ContainerRecord, ContainerStatus, DesiredStatus, Task as TaskRecord, TaskStatus,
};
use gantry_domain::task_definition::{LaunchType, TaskDefinition};
use gantry_types::{Value, arn};

use super::tags::tags_of;
use super::{definitions, network};

const STORAGE_GIB_DEFAULT: i32 = 20;

fn member<T: FromValue>(document: &Value, name: &str) -> Option<T> {
    document.get(name).and_then(|value| T::from_value(value).ok())
}

pub(super) fn task(view: &View, record: &TaskRecord, with_tags: bool) -> Task {
    let document = &record.document;
    let definition = view.task_definition(&record.task_definition);
    let containers = record.containers.iter().map(|container| {
        let sizes = definition
            .and_then(|found| found.value().containers.iter().find(|each| each.name == container.name));
        let interface = record.attachment.as_ref().map(|attachment| NetworkInterface {
            attachment_id: Some(attachment.id.clone()),
            private_ipv4_address: Some(attachment.address.to_string()),
            ipv6_address: None,
        });
        Container {
            container_arn: Some(container.arn.to_string()),
            task_arn: Some(record.arn.to_string()),
            name: Some(container.name.to_string()),
            image: Some(container.image.clone()),
            image_digest: container.image_digest.clone(),
            runtime_id: container.runtime_id.clone(),
            last_status: Some(container_status(record, container.last_status).to_owned()),
            exit_code: container.exit_code,
            reason: container.reason.clone(),
            network_bindings: Some(network_bindings(container)),
            network_interfaces: Some(interface.into_iter().collect()),
            health_status: Some(container.health.to_string()),
            managed_agents: None,
            cpu: Some(sizes.map_or(0, |each| each.cpu.0).to_string()),
            memory: sizes.and_then(|each| each.memory).map(|mib| mib.0.to_string()),
            memory_reservation: sizes.and_then(|each| each.memory_reservation).map(|mib| mib.0.to_string()),
            gpu_ids: None,
        }
    });
    let overrides: TaskOverride = member(document, "overrides").unwrap_or_default();
    Task {
        task_arn: Some(record.arn.to_string()),
        cluster_arn: Some(
            arn("ecs", record.region.as_str(), &format!("cluster/{}", record.cluster)).to_string(),
        ),
        task_definition_arn: Some(record.task_definition.to_string()),
        attachments: Some(attachment(record).into_iter().collect()),
        attributes: Some(vec![Attribute {
            name: "ecs.cpu-architecture".to_owned(),
            value: Some("x86_64".to_owned()),
            ..Attribute::default()
        }]),
        availability_zone: Some(record.availability_zone.to_string()).filter(|zone| !zone.is_empty()),
        capacity_provider_name: member(document, "capacityProviderName"),
        container_instance_arn: record.container_instance.as_ref().map(|id| {
            let name = format!("container-instance/{}/{id}", record.cluster);
            arn("ecs", record.region.as_str(), &name).to_string()
        }),
        connectivity: record.times.connectivity_at.map(|_| "CONNECTED".to_owned()),
        connectivity_at: record.times.connectivity_at,
        containers: Some(containers.collect()),
        cpu: Some(record.cpu.0.to_string()),
        memory: Some(record.memory.0.to_string()),
        created_at: Some(record.times.created_at),
        desired_status: Some(record.desired_status.to_string()),
        last_status: Some(record.last_status.to_string()),
        enable_execute_command: Some(member(document, "enableExecuteCommand").unwrap_or(false)),
        execution_stopped_at: record.times.execution_stopped_at,
        group: Some(record.group.clone()),
        health_status: Some(record.health.to_string()),
        launch_type: Some(record.launch_type.to_string()),
        overrides: Some(TaskOverride {
            container_overrides: Some(overrides.container_overrides.clone().unwrap_or_else(|| {
                record
                    .containers
                    .iter()
                    .map(|each| ContainerOverride {
                        name: Some(each.name.to_string()),
                        ..ContainerOverride::default()
                    })
                    .collect()
            })),
            ..overrides
        }),
        platform_family: member(document, "platformFamily"),
        platform_version: member(document, "platformVersion"),
        pull_started_at: record.times.pull_started_at,
        pull_stopped_at: record.times.pull_stopped_at,
        started_at: record.times.started_at,
        started_by: record.started_by.clone(),
        stop_code: record.stop_code.map(|code| code.to_string()),
        stopped_at: record.times.stopped_at,
        stopped_reason: record.stopped_reason.clone(),
        stopping_at: record.times.stopping_at,
        tags: Some(if with_tags { tags_of(document) } else { vec![] }),
        version: i64::try_from(record.version).ok(),
        ephemeral_storage: (record.launch_type == LaunchType::Fargate)
            .then(|| storage(definition.map(|found| found.value()))),
        ..Task::default()
    }
}

/// The ports that lead to a container, once it has started.
fn network_bindings(container: &ContainerRecord) -> Vec<NetworkBinding> {
    let bindings = container.network_bindings.iter().filter(|_| container.runtime_id.is_some());
    let binding = |each: &gantry_domain::task::NetworkBinding| NetworkBinding {
        bind_ip: Some("0.0.0.0".to_owned()),
        container_port: Some(i32::from(each.container_port)),
        host_port: Some(i32::from(each.host_port)),
        protocol: Some(each.protocol.to_string()),
        ..NetworkBinding::default()
    };
    bindings.map(binding).collect()
}

/// Fargate gives every task 20 GiB, or what its definition asks for.
fn storage(definition: Option<&TaskDefinition>) -> EphemeralStorage {
    let shown = definition.and_then(|definition| definitions::shown(definition).ok());
    shown
        .and_then(|shown| shown.ephemeral_storage)
        .unwrap_or(EphemeralStorage { size_in_gi_b: STORAGE_GIB_DEFAULT })
}

/// A container that never ran shows where its task is on the way.
fn container_status(task: &TaskRecord, status: ContainerStatus) -> &'static str {
    match (status, task.last_status) {
        (ContainerStatus::Pending, TaskStatus::Stopped) => ContainerStatus::Stopped.as_str(),
        _ => status.as_str(),
    }
}

fn attachment(record: &TaskRecord) -> Option<Attachment> {
    let attachment = record.attachment.as_ref()?;
    let detail = |name: &str, value: String| KeyValuePair { name: Some(name.to_owned()), value: Some(value) };
    let status = match record.last_status {
        TaskStatus::Provisioning => "PRECREATED",
        TaskStatus::Pending => "ATTACHING",
        TaskStatus::Activating | TaskStatus::Running | TaskStatus::Deactivating | TaskStatus::Stopping => {
            "ATTACHED"
        }
        TaskStatus::Deprovisioning => "DETACHING",
        TaskStatus::Stopped => "DELETED",
    };
    let private_name = crate::ec2::private_dns_name(&record.region, attachment.address);
    Some(Attachment {
        id: Some(attachment.id.clone()),
        r#type: Some("ElasticNetworkInterface".to_owned()),
        status: Some(status.to_owned()),
        details: Some(vec![
            detail("subnetId", attachment.subnet.to_string()),
            detail("networkInterfaceId", attachment.interface.to_string()),
            detail("macAddress", attachment.mac.clone()),
            detail("privateDnsName", private_name),
            detail("privateIPv4Address", attachment.address.to_string()),
        ]),
    })
}

/// How many of the tasks run, and how many are on their way.
fn counts<'t>(tasks: impl Iterator<Item = &'t TaskRecord>) -> (i32, i32) {
    let (mut running, mut pending) = (0, 0);
    for task in tasks {
        match task.last_status {
            TaskStatus::Running => running += 1,
            TaskStatus::Provisioning | TaskStatus::Pending | TaskStatus::Activating
                if task.desired_status == DesiredStatus::Running =>
            {
                pending += 1;
            }
            _ => {}
        }
    }
    (running, pending)
}

fn whole(number: u32) -> Option<i32> {
    i32::try_from(number).ok()
}

pub(super) fn service(view: &View, record: &ServiceRecord, with_tags: bool) -> Service {
    let tasks: Vec<&TaskRecord> = view
        .tasks_of_service(&record.region, &record.cluster, &record.name)
        .map(|task| task.value())
        .collect();
    let (running, pending) = counts(tasks.iter().copied());
    let document = &record.document;
    let mut events: Vec<ServiceEvent> = view
        .events_of(&record.region, &record.cluster, &record.name)
        .map(|event| ServiceEvent {
            id: Some(event.id.clone()),
            created_at: Some(event.created_at),
            message: Some(event.message.clone()),
        })
        .collect();
    events.reverse();
    let deployments = record.deployments.iter().map(|each| deployment(each, &tasks)).collect();
    let primary = record.primary();
    Service {
        service_arn: Some(record.arn.to_string()),
        service_name: Some(record.name.to_string()),
        cluster_arn: Some(
            arn("ecs", record.region.as_str(), &format!("cluster/{}", record.cluster)).to_string(),
        ),
        status: Some(record.status.to_string()),
        desired_count: whole(record.desired_count),
        running_count: Some(running),
        pending_count: Some(pending),
        launch_type: primary
            .map(|each| each.launch_type.to_string())
            .filter(|_| document.get("capacityProviderStrategy").is_none()),
        capacity_provider_strategy: member(document, "capacityProviderStrategy"),
        platform_version: member(document, "platformVersion"),
        platform_family: member(document, "platformFamily"),
        task_definition: primary
            .map(|each| each.task_definition.to_string())
            .or_else(|| member(document, "taskDefinition")),
        deployment_configuration: Some(deployment_configuration(record)),
        deployment_controller: member(document, "deploymentController"),
        deployments: Some(deployments),
        events: Some(events),
        created_at: Some(record.created_at),
        created_by: member(document, "createdBy"),
        load_balancers: Some(member(document, "loadBalancers").unwrap_or_default()),
        service_registries: Some(vec![]),
        role_arn: member(document, "roleArn"),
        placement_constraints: Some(record.placement_constraints.iter().map(constraint).collect()),
        placement_strategy: Some(record.placement_strategy.iter().map(strategy).collect()),
        network_configuration: primary.and_then(|each| each.network.as_ref()).map(network::shown),
        health_check_grace_period_seconds: member(document, "healthCheckGracePeriodSeconds"),
        scheduling_strategy: Some(record.scheduling.to_string()),
        enable_ecs_managed_tags: Some(member(document, "enableECSManagedTags").unwrap_or(false)),
        enable_execute_command: Some(member(document, "enableExecuteCommand").unwrap_or(false)),
        propagate_tags: Some(member(document, "propagateTags").unwrap_or_else(|| "NONE".to_owned())),
        availability_zone_rebalancing: Some(
            member(document, "availabilityZoneRebalancing").unwrap_or_else(|| "ENABLED".to_owned()),
        ),
        tags: if with_tags { Some(tags_of(document)) } else { None },
        ..Service::default()
    }
}

fn deployment_configuration(record: &ServiceRecord) -> DeploymentConfiguration {
    let given: DeploymentConfiguration =
        member(&record.document, "deploymentConfiguration").unwrap_or_default();
    DeploymentConfiguration {
        maximum_percent: whole(record.maximum_percent),
        minimum_healthy_percent: whole(record.minimum_healthy_percent),
        deployment_circuit_breaker: Some(DeploymentCircuitBreaker {
            enable: record.circuit_breaker.enable,
            rollback: record.circuit_breaker.rollback,
        })
        .filter(|_| record.scheduling == SchedulingStrategy::Replica),
        strategy: Some(given.strategy.clone().unwrap_or_else(|| "ROLLING".to_owned())),
        bake_time_in_minutes: Some(given.bake_time_in_minutes.unwrap_or(0)),
        ..given
    }
}

fn deployment(record: &DeploymentRecord, tasks: &[&TaskRecord]) -> Deployment {
    let (running, pending) =
        counts(tasks.iter().copied().filter(|task| task.deployment.as_ref() == Some(&record.id)));
    let document = &record.document;
    Deployment {
        id: Some(record.id.to_string()),
        status: Some(record.status.to_string()),
        task_definition: Some(record.task_definition.to_string()),
        desired_count: whole(record.desired_count),
        running_count: Some(running),
        pending_count: Some(pending),
        failed_tasks: whole(record.failed_tasks),
        created_at: Some(record.created_at),
        updated_at: Some(record.updated_at),
        launch_type: Some(record.launch_type.to_string())
            .filter(|_| document.get("capacityProviderStrategy").is_none()),
        capacity_provider_strategy: member(document, "capacityProviderStrategy"),
        platform_version: member(document, "platformVersion"),
        platform_family: member(document, "platformFamily"),
        network_configuration: record.network.as_ref().map(network::shown),
        rollout_state: Some(record.rollout_state.to_string()),
        rollout_state_reason: Some(record.rollout_state_reason.clone()),
        ..Deployment::default()
    }
}

fn constraint(each: &Constraint) -> PlacementConstraint {
    match each {
        Constraint::DistinctInstance => {
            PlacementConstraint { r#type: Some("distinctInstance".to_owned()), expression: None }
        }
        Constraint::MemberOf(expression) => {
            PlacementConstraint { r#type: Some("memberOf".to_owned()), expression: Some(expression.clone()) }
        }
    }
}

fn strategy(each: &Strategy) -> PlacementStrategy {
    let (kind, field) = match each {
        Strategy::Spread(field) => ("spread", Some(field.clone())),
        Strategy::Binpack(field) => ("binpack", Some(field.to_ascii_uppercase())),
        Strategy::Random => ("random", None),
    };
    PlacementStrategy { r#type: Some(kind.to_owned()), field }
}
