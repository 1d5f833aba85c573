//! What RunTask changes of a task definition for its tasks.

use gantry_api::ApiError;
use gantry_api::ecs::{ContainerOverride, TaskOverride};
use gantry_domain::task_definition::{LaunchType, TaskDefinition};
use gantry_types::{CpuUnits, MemoryMib};

use crate::ecs::definition::{self, check_text};
use crate::ecs::names::{invalid, is_set, refuse_unsupported};

/// A container's overrides are at most so many bytes of JSON on AWS.
const BYTES_MAX: usize = 8192;

/// Checks the overrides, and gives the sizes that the task has with them.
pub(super) fn check(
    record: &TaskDefinition,
    launch_type: LaunchType,
    overrides: Option<&TaskOverride>,
) -> Result<(CpuUnits, MemoryMib), ApiError> {
    let mut sizes = (record.cpu_required(), record.memory_required());
    let Some(overrides) = overrides else { return Ok(sizes) };
    refuse_unsupported(&[
        ("overrides.inferenceAcceleratorOverrides", is_set(&overrides.inference_accelerator_overrides)),
        ("overrides.ephemeralStorage", overrides.ephemeral_storage.is_some()),
    ])?;
    let mut bytes = 0;
    for container in overrides.container_overrides.iter().flatten() {
        bytes += check_container(record, container)?;
    }
    if bytes > BYTES_MAX {
        return Err(invalid(format!("Container Overrides length must be at most {BYTES_MAX}")));
    }
    if let Some(cpu) = &overrides.cpu {
        sizes.0 = definition::cpu(cpu)?;
    }
    if let Some(memory) = &overrides.memory {
        sizes.1 = definition::memory(memory)?;
    }
    if launch_type == LaunchType::Fargate && (overrides.cpu.is_some() || overrides.memory.is_some()) {
        definition::check_fargate_size(Some(sizes.0), Some(sizes.1))?;
    }
    Ok(sizes)
}

/// One container's overrides: it exists, and they are sound. Gives their length.
fn check_container(record: &TaskDefinition, given: &ContainerOverride) -> Result<usize, ApiError> {
    let name = given.name.as_deref().unwrap_or("");
    if !record.containers.iter().any(|each| each.name.as_str() == name) {
        return Err(invalid(format!(
            "Override for container named {name} is not a container in the TaskDefinition."
        )));
    }
    refuse_unsupported(&[
        ("containerOverrides.environmentFiles", is_set(&given.environment_files)),
        ("containerOverrides.resourceRequirements", is_set(&given.resource_requirements)),
    ])?;
    let sizes = [
        ("cpu", given.cpu, 0),
        ("memory", given.memory, 4),
        ("memoryReservation", given.memory_reservation, 4),
    ];
    for (member, value, least) in sizes {
        if value.is_some_and(|value| value < least) {
            return Err(invalid(format!(
                "Invalid override for container named {name}: {member} must be at least {least}."
            )));
        }
    }
    let mut bytes = 0;
    for word in given.command.iter().flatten() {
        check_text(word, name)?;
        bytes += word.len();
    }
    for pair in given.environment.iter().flatten() {
        let (key, value) = (pair.name.as_deref().unwrap_or(""), pair.value.as_deref().unwrap_or(""));
        if key.is_empty() || key.contains('=') {
            return Err(invalid(format!(
                "Invalid override for container named {name}: an environment variable's name must not be empty or contain '='."
            )));
        }
        check_text(key, name)?;
        check_text(value, name)?;
        bytes += key.len() + value.len();
    }
    Ok(bytes)
}
