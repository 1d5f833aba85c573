//! What only shows when all containers are looked at together.

use std::collections::BTreeSet;

use gantry_api::ApiError;
use gantry_domain::task_definition::{ContainerDefinition, ContainerDependency, DependencyCondition, Volume};
use gantry_types::{CpuUnits, MemoryMib};

use crate::ecs::names::client;

const CONTAINERS_MAX: usize = 10;

pub(super) fn check(
    containers: &[ContainerDefinition],
    volumes: &[Volume],
    cpu: Option<CpuUnits>,
    memory: Option<MemoryMib>,
) -> Result<(), ApiError> {
    if containers.is_empty() {
        return Err(client("Container list cannot be empty."));
    }
    if containers.len() > CONTAINERS_MAX {
        return Err(client(format!("A task definition has at most {CONTAINERS_MAX} containers.")));
    }
    if !containers.iter().any(|container| container.essential) {
        return Err(client("Task definition does not have an essential container."));
    }
    let mut names = BTreeSet::new();
    let mut ports = BTreeSet::new();
    for container in containers {
        if !names.insert(&container.name) {
            return Err(client(format!("Duplicate container name '{}'.", container.name)));
        }
        for mapping in &container.port_mappings {
            if mapping.host_port != 0 && !ports.insert((mapping.host_port, mapping.protocol)) {
                return Err(client(format!("Host port {} is mapped more than once.", mapping.host_port)));
            }
        }
        for mount in &container.mount_points {
            if !volumes.iter().any(|volume| volume.name == mount.source_volume) {
                return Err(client(format!("Unknown volume '{}'.", mount.source_volume)));
            }
        }
        for dependency in &container.depends_on {
            check_dependency(containers, dependency)?;
        }
    }
    check_acyclic(containers)?;
    let cpu_sum: u64 = containers.iter().map(|container| u64::from(container.cpu.0)).sum();
    if cpu.is_some_and(|cpu| cpu_sum > u64::from(cpu.0)) {
        return Err(client("The total of the containers' cpu is larger than the task's."));
    }
    if let Some(memory) = memory
        && let Some(large) = containers.iter().find(|container| container.memory > Some(memory))
    {
        return Err(client(format!(
            "Invalid setting for container '{}'. The container's memory must not exceed the task's.",
            large.name
        )));
    }
    Ok(())
}

fn check_dependency(
    containers: &[ContainerDefinition],
    dependency: &ContainerDependency,
) -> Result<(), ApiError> {
    let Some(other) = containers.iter().find(|each| each.name == dependency.container) else {
        // The plus sign is AWS's.
        return Err(client(format!(
            "Cannot depend on container + '{}' because it does not exist",
            dependency.container
        )));
    };
    match dependency.condition {
        DependencyCondition::Complete | DependencyCondition::Success if other.essential => Err(client(
            "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container",
        )),
        DependencyCondition::Healthy if other.health_check.is_none() => Err(client(format!(
            "A dependency with the condition HEALTHY needs a health check in container '{}'.",
            other.name
        ))),
        _ => Ok(()),
    }
}

fn check_acyclic(containers: &[ContainerDefinition]) -> Result<(), ApiError> {
    let mut done: BTreeSet<&str> = BTreeSet::new();
    // Each round finishes every container whose dependencies are finished; a round that finishes none has found a cycle.
    loop {
        let ready: Vec<&str> = containers
            .iter()
            .filter(|each| !done.contains(each.name.as_str()))
            .filter(|each| each.depends_on.iter().all(|on| done.contains(on.container.as_str())))
            .map(|each| each.name.as_str())
            .collect();
        if done.len() == containers.len() {
            return Ok(());
        }
        if ready.is_empty() {
            return Err(client("Container dependencies should not have a cycle"));
        }
        done.extend(ready);
    }
}
