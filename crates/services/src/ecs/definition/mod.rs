//! A registration's containers and sizes: checked, made typed, and filled in with AWS's defaults for Describe.

mod container;
mod members;
mod sizes;
mod together;
mod unsupported;

use gantry_api::ApiError;
use gantry_api::ecs::{self as api, RegisterTaskDefinitionRequest};
use gantry_domain::task_definition::{ContainerDefinition, LaunchType, NetworkMode, Volume};
use gantry_types::{CpuUnits, MemoryMib};

use super::names::{client, is_name};
pub(super) use members::check_text;
pub(super) use sizes::{check_fargate_size, cpu, memory};

/// The typed fields of a task definition, and what Describe shows of it.
pub(super) struct Parsed {
    pub(super) network_mode: NetworkMode,
    pub(super) requires_compatibilities: Vec<LaunchType>,
    pub(super) cpu: Option<CpuUnits>,
    pub(super) memory: Option<MemoryMib>,
    pub(super) containers: Vec<ContainerDefinition>,
    pub(super) volumes: Vec<Volume>,
    pub(super) shown: api::TaskDefinition,
}

const EPHEMERAL_STORAGE_GIB: std::ops::RangeInclusive<i32> = 21..=200;

impl Parsed {
    pub(super) fn parse(input: &RegisterTaskDefinitionRequest) -> Result<Self, ApiError> {
        unsupported::refuse(input)?;
        let requires_compatibilities =
            compatibilities(input.requires_compatibilities.as_deref().unwrap_or_default())?;
        let fargate = requires_compatibilities.contains(&LaunchType::Fargate);
        let network_mode = network_mode(input.network_mode.as_deref(), fargate)?;
        let cpu = input.cpu.as_deref().map(cpu).transpose()?;
        let memory = input.memory.as_deref().map(memory).transpose()?;
        if fargate {
            check_fargate_size(cpu, memory)?;
        }
        let volumes = volumes(input.volumes.as_deref().unwrap_or_default(), fargate)?;
        let mut shown_containers = input.container_definitions.clone();
        let mut containers = Vec::new();
        for shown in &mut shown_containers {
            containers.push(container::parse(shown, network_mode, fargate, memory)?);
        }
        together::check(&containers, &volumes, cpu, memory)?;
        let needs_role =
            containers.iter().filter_map(|each| each.log.as_ref()).any(|log| log.driver == "awslogs");
        if fargate && needs_role && input.execution_role_arn.is_none() {
            return Err(client(
                "Fargate requires task definition to have execution role ARN to support log driver awslogs.",
            ));
        }
        if let Some(storage) = &input.ephemeral_storage
            && !EPHEMERAL_STORAGE_GIB.contains(&storage.size_in_gi_b)
        {
            return Err(client(
                "Invalid setting for ephemeral storage: sizeInGiB must be between 21 and 200.",
            ));
        }
        // What Fargate could run is marked as such, whether the caller asked for it or not.
        let runs_on_fargate = fargate
            || (network_mode == NetworkMode::Awsvpc
                && check_fargate_size(cpu, memory).is_ok()
                && volumes.iter().all(|volume| volume.host_path.is_none())
                && containers.iter().all(container::runs_on_fargate)
                && (!needs_role || input.execution_role_arn.is_some()));
        let compatibilities = match network_mode {
            NetworkMode::Awsvpc if runs_on_fargate => vec!["EC2", "FARGATE"],
            NetworkMode::Awsvpc => vec!["EC2"],
            NetworkMode::Bridge | NetworkMode::Host | NetworkMode::None => vec!["EXTERNAL", "EC2"],
        };
        let shown = api::TaskDefinition {
            container_definitions: Some(shown_containers),
            cpu: cpu.map(|units| units.0.to_string()),
            memory: memory.map(|mib| mib.0.to_string()),
            network_mode: Some(network_mode.to_string()).filter(|_| input.network_mode.is_some() || fargate),
            requires_compatibilities: input.requires_compatibilities.clone(),
            compatibilities: Some(compatibilities.into_iter().map(str::to_owned).collect()),
            execution_role_arn: input.execution_role_arn.clone(),
            task_role_arn: input.task_role_arn.clone(),
            volumes: Some(input.volumes.clone().unwrap_or_default()),
            placement_constraints: Some(input.placement_constraints.clone().unwrap_or_default()),
            runtime_platform: input.runtime_platform.clone(),
            ephemeral_storage: input.ephemeral_storage.clone(),
            enable_fault_injection: input.enable_fault_injection,
            requires_attributes: Some(vec![]),
            ..api::TaskDefinition::default()
        };
        Ok(Self { network_mode, requires_compatibilities, cpu, memory, containers, volumes, shown })
    }
}

fn compatibilities(given: &[String]) -> Result<Vec<LaunchType>, ApiError> {
    let parse = |text: &String| {
        LaunchType::parse(text)
            .ok_or_else(|| client(format!("Invalid value '{text}' for requiresCompatibilities.")))
    };
    given.iter().map(parse).collect()
}

fn network_mode(given: Option<&str>, fargate: bool) -> Result<NetworkMode, ApiError> {
    let mode = match given {
        None => NetworkMode::Bridge,
        Some(text) => {
            NetworkMode::parse(text).ok_or_else(|| client(format!("Invalid networkMode '{text}'.")))?
        }
    };
    if fargate && mode != NetworkMode::Awsvpc {
        return Err(client("Fargate only supports network mode 'awsvpc'."));
    }
    Ok(mode)
}

fn volumes(given: &[api::Volume], fargate: bool) -> Result<Vec<Volume>, ApiError> {
    let parse = |volume: &api::Volume| {
        let name = volume.name.clone().unwrap_or_default();
        if !is_name(&name, 255) {
            return Err(client(format!(
                "Volume name '{name}' is invalid: up to 255 letters, numbers, hyphens and underscores."
            )));
        }
        let elsewhere = volume.efs_volume_configuration.is_some()
            || volume.fsx_windows_file_server_volume_configuration.is_some()
            || volume.s3files_volume_configuration.is_some()
            || volume.docker_volume_configuration.is_some()
            || volume.configured_at_launch == Some(true);
        if elsewhere {
            return Err(client(format!(
                "Gantry does not support volumes other than bind mounts yet (volume '{name}')."
            )));
        }
        let host_path = volume.host.as_ref().and_then(|host| host.source_path.clone());
        if fargate && host_path.is_some() {
            return Err(client("host.sourcePath should not be set for volumes in Fargate."));
        }
        if host_path.as_ref().is_some_and(|path| !path.starts_with('/') || path.contains('\0')) {
            return Err(client(format!("The sourcePath of volume '{name}' must be an absolute path.")));
        }
        Ok(Volume { name, host_path })
    };
    let volumes: Vec<Volume> = given.iter().map(parse).collect::<Result<_, _>>()?;
    for (index, volume) in volumes.iter().enumerate() {
        if volumes[..index].iter().any(|other| other.name == volume.name) {
            return Err(client(format!("Duplicate volume name '{}'.", volume.name)));
        }
    }
    Ok(volumes)
}
