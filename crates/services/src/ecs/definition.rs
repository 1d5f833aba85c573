//! A registration's containers and sizes: checked, made typed, and filled in with AWS's defaults for Describe.

use std::collections::BTreeSet;
use std::time::Duration;

use gantry_api::ApiError;
use gantry_api::ecs::{self as api, RegisterTaskDefinitionRequest};
use gantry_domain::task_definition::*;
use gantry_types::{CpuUnits, MemoryMib};

use super::names::client;

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

const CONTAINERS_MAX: usize = 10;
const STOP_TIMEOUT_FARGATE_MAX_SECONDS: i32 = 120;

impl Parsed {
    pub(super) fn parse(input: &RegisterTaskDefinitionRequest) -> Result<Self, ApiError> {
        refuse_unsupported(input)?;
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
            containers.push(container(shown, network_mode, fargate, memory)?);
        }
        check_together(&containers, &volumes, cpu, memory)?;
        if fargate && input.execution_role_arn.is_none() {
            let driver = containers.iter().find_map(|each| each.log.as_ref()).map(|log| log.driver.as_str());
            if driver == Some("awslogs") {
                return Err(client(
                    "Fargate requires task definition to have execution role ARN to support log driver awslogs.",
                ));
            }
        }
        let shown = api::TaskDefinition {
            container_definitions: Some(shown_containers),
            cpu: cpu.map(|units| units.0.to_string()),
            memory: memory.map(|mib| mib.0.to_string()),
            network_mode: Some(network_mode.to_string()).filter(|_| input.network_mode.is_some() || fargate),
            requires_compatibilities: input.requires_compatibilities.clone(),
            compatibilities: Some(
                if fargate || (network_mode == NetworkMode::Awsvpc && cpu.is_some() && memory.is_some()) {
                    vec!["EC2".to_owned(), "FARGATE".to_owned()]
                } else {
                    vec!["EC2".to_owned()]
                },
            ),
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

/// What would be accepted and then not done is refused, by name.
fn refuse_unsupported(input: &RegisterTaskDefinitionRequest) -> Result<(), ApiError> {
    let refuse = |what: &str| Err(client(format!("Gantry does not support {what} yet.")));
    let is_set = |list: Option<usize>| list.is_some_and(|length| length > 0);
    if input.proxy_configuration.is_some() {
        return refuse("proxyConfiguration");
    }
    if is_set(input.inference_accelerators.as_ref().map(Vec::len)) {
        return refuse("inferenceAccelerators");
    }
    if let Some(platform) = &input.runtime_platform {
        if platform.cpu_architecture.as_deref().is_some_and(|each| each != "X86_64") {
            return refuse("a cpuArchitecture other than X86_64");
        }
        if platform.operating_system_family.as_deref().is_some_and(|each| each != "LINUX") {
            return refuse("an operatingSystemFamily other than LINUX");
        }
    }
    for container in &input.container_definitions {
        let unsupported = [
            ("secrets", is_set(container.secrets.as_ref().map(Vec::len))),
            ("environmentFiles", is_set(container.environment_files.as_ref().map(Vec::len))),
            ("firelensConfiguration", container.firelens_configuration.is_some()),
            ("resourceRequirements", is_set(container.resource_requirements.as_ref().map(Vec::len))),
            ("volumesFrom", is_set(container.volumes_from.as_ref().map(Vec::len))),
            ("links", is_set(container.links.as_ref().map(Vec::len))),
            ("credentialSpecs", is_set(container.credential_specs.as_ref().map(Vec::len))),
            ("systemControls", is_set(container.system_controls.as_ref().map(Vec::len))),
            ("pseudoTerminal", container.pseudo_terminal == Some(true)),
            ("restartPolicy", container.restart_policy.as_ref().is_some_and(|policy| policy.enabled)),
            ("repositoryCredentials", container.repository_credentials.is_some()),
        ];
        if let Some((what, _)) = unsupported.into_iter().find(|(_, used)| *used) {
            return refuse(&format!("{what} (container '{}')", container.name.as_deref().unwrap_or("")));
        }
    }
    Ok(())
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

/// CPU units: `256`, `.25 vCPU`, `1 vCPU`.
pub(super) fn cpu(text: &str) -> Result<CpuUnits, ApiError> {
    quantity(text, "vcpu", 1024.0, 128, 196_608)
        .map(CpuUnits)
        .ok_or_else(|| client(format!("Invalid 'cpu' setting for task: '{text}'.")))
}

/// Mebibytes: `512`, `0.5GB`, `1 GB`.
pub(super) fn memory(text: &str) -> Result<MemoryMib, ApiError> {
    quantity(text, "gb", 1024.0, 4, 4_000_000)
        .map(MemoryMib)
        .ok_or_else(|| client(format!("Invalid 'memory' setting for task: '{text}'.")))
}

fn quantity(text: &str, unit: &str, per_unit: f64, least: u32, most: u32) -> Option<u32> {
    let lower = text.trim().to_ascii_lowercase();
    let number = match lower.strip_suffix(unit) {
        Some(units) => {
            let number: f64 = units.trim().parse().ok()?;
            let whole = (number * per_unit).round();
            if !(0.0..=f64::from(most)).contains(&whole) {
                return None;
            }
            whole as u32
        }
        None => lower.parse().ok()?,
    };
    (least..=most).contains(&number).then_some(number)
}

/// Fargate's sizes: for each CPU the memory from, to and in steps of.
const FARGATE_SIZES: [(u32, u32, u32, u32); 7] = [
    (256, 512, 2048, 512),
    (512, 1024, 4096, 1024),
    (1024, 2048, 8192, 1024),
    (2048, 4096, 16384, 1024),
    (4096, 8192, 30720, 1024),
    (8192, 16384, 61440, 4096),
    (16384, 32768, 122_880, 8192),
];

fn check_fargate_size(cpu: Option<CpuUnits>, memory: Option<MemoryMib>) -> Result<(), ApiError> {
    let Some(cpu) = cpu else {
        return Err(client("Fargate requires that 'cpu' be defined at the task level."));
    };
    let Some(memory) = memory else {
        return Err(client("Fargate requires that 'memory' be defined at the task level."));
    };
    let fits = FARGATE_SIZES.iter().any(|&(units, least, most, step)| {
        let steps = memory.0.checked_sub(least).is_some_and(|above| above % step == 0);
        // 256 units know 0.5, 1 and 2 GB, not 1.5.
        units == cpu.0 && steps && memory.0 <= most && (units, memory.0) != (256, 1536)
    });
    if fits {
        Ok(())
    } else {
        Err(client(format!(
            "No Fargate configuration exists for given values: {} CPU, {} memory.",
            cpu.0, memory.0
        )))
    }
}

fn volumes(given: &[api::Volume], fargate: bool) -> Result<Vec<Volume>, ApiError> {
    let parse = |volume: &api::Volume| {
        let name = volume.name.clone().unwrap_or_default();
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
        Ok(Volume { name, host_path })
    };
    given.iter().map(parse).collect()
}

fn seconds(given: Option<i32>) -> Option<Duration> {
    given.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs)
}

fn mib(given: Option<i32>) -> Result<Option<MemoryMib>, ApiError> {
    match given {
        None => Ok(None),
        Some(mib) if mib >= 4 => Ok(u32::try_from(mib).ok().map(MemoryMib)),
        Some(_) => Err(client("Invalid setting for container. The memory must be at least 4 MiB.")),
    }
}

/// Makes one container typed, and fills AWS's defaults into what Describe shows of it.
fn container(
    shown: &mut api::ContainerDefinition,
    network_mode: NetworkMode,
    fargate: bool,
    task_memory: Option<MemoryMib>,
) -> Result<ContainerDefinition, ApiError> {
    let name = shown.name.clone().filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| client("Container.name should not be null or empty."))?;
    if !super::names::is_name(&name, 255) {
        return Err(client(format!(
            "Container name '{name}' is invalid: up to 255 letters, numbers, hyphens and underscores."
        )));
    }
    let image = shown.image.clone().filter(|image| !image.is_empty());
    let image = image.ok_or_else(|| client("Container.image should not be null or empty."))?;
    let (memory, memory_reservation) = (mib(shown.memory)?, mib(shown.memory_reservation)?);
    if task_memory.is_none() && memory.is_none() && memory_reservation.is_none() {
        return Err(client(format!(
            "Invalid setting for container '{name}'. At least one of 'memory' or 'memoryReservation' must be specified."
        )));
    }
    if memory.is_some() && memory_reservation > memory {
        return Err(client(format!(
            "Invalid setting for container '{name}'. 'memoryReservation' must be less than or equal to 'memory'."
        )));
    }
    if fargate && shown.stop_timeout.is_some_and(|timeout| timeout > STOP_TIMEOUT_FARGATE_MAX_SECONDS) {
        return Err(client(format!(
            "Invalid setting for container '{name}'. stopTimeout must be at most 120 on Fargate."
        )));
    }
    if fargate && shown.privileged == Some(true) {
        return Err(client(format!(
            "Tasks using the Fargate launch type do not support privileged mode (container '{name}')."
        )));
    }
    let port_mappings = port_mappings(shown, network_mode)?;
    let cpu = shown.cpu.unwrap_or(0);
    let cpu = u32::try_from(cpu)
        .map_err(|_| client(format!("Invalid setting for container '{name}'. cpu must not be negative.")))?;
    let linux = shown.linux_parameters.clone().unwrap_or_default();
    let capabilities = linux.capabilities.unwrap_or_default();
    let container = ContainerDefinition {
        essential: shown.essential.unwrap_or(true),
        cpu: CpuUnits(cpu),
        memory,
        memory_reservation,
        entry_point: shown.entry_point.clone().filter(|words| !words.is_empty()),
        command: shown.command.clone().filter(|words| !words.is_empty()),
        environment: pairs(shown.environment.as_deref().unwrap_or_default()),
        working_directory: shown.working_directory.clone().filter(|text| !text.is_empty()),
        user: shown.user.clone().filter(|text| !text.is_empty()),
        hostname: shown.hostname.clone().filter(|text| !text.is_empty()),
        port_mappings,
        health_check: shown.health_check.as_ref().map(|check| health_check(check, &name)).transpose()?,
        stop_timeout: seconds(shown.stop_timeout),
        start_timeout: seconds(shown.start_timeout),
        log: shown
            .log_configuration
            .as_ref()
            .map(|log| log_configuration(log, &name, fargate))
            .transpose()?,
        depends_on: dependencies(shown.depends_on.as_deref().unwrap_or_default())?,
        mount_points: mount_points(shown.mount_points.as_deref().unwrap_or_default()),
        read_only_root: shown.readonly_root_filesystem.unwrap_or(false),
        privileged: shown.privileged.unwrap_or(false),
        init_process: linux.init_process_enabled.unwrap_or(false),
        capabilities_add: capabilities.add.unwrap_or_default(),
        capabilities_drop: capabilities.drop.unwrap_or_default(),
        ulimits: ulimits(shown.ulimits.as_deref().unwrap_or_default(), &name)?,
        extra_hosts: hosts(shown.extra_hosts.as_deref().unwrap_or_default()),
        dns_servers: shown.dns_servers.clone().unwrap_or_default(),
        dns_search_domains: shown.dns_search_domains.clone().unwrap_or_default(),
        docker_labels: shown.docker_labels.clone().unwrap_or_default(),
        name: name.into(),
        image,
    };
    fill_defaults(shown);
    Ok(container)
}

/// AWS gives these members back whether they were set or not; clients compare them.
fn fill_defaults(shown: &mut api::ContainerDefinition) {
    shown.cpu.get_or_insert(0);
    shown.essential.get_or_insert(true);
    shown.environment.get_or_insert_default();
    shown.mount_points.get_or_insert_default();
    shown.volumes_from.get_or_insert_default();
    shown.system_controls.get_or_insert_default();
    shown.port_mappings.get_or_insert_default();
    if let Some(check) = &mut shown.health_check {
        check.interval.get_or_insert(30);
        check.timeout.get_or_insert(5);
        check.retries.get_or_insert(3);
    }
}

fn pairs(given: &[api::KeyValuePair]) -> std::collections::BTreeMap<String, String> {
    let pair = |pair: &api::KeyValuePair| Some((pair.name.clone()?, pair.value.clone().unwrap_or_default()));
    given.iter().filter_map(pair).collect()
}

fn port_mappings(
    shown: &mut api::ContainerDefinition,
    network_mode: NetworkMode,
) -> Result<Vec<PortMapping>, ApiError> {
    let name = shown.name.clone().unwrap_or_default();
    let mut mappings = Vec::new();
    for mapping in shown.port_mappings.iter_mut().flatten() {
        let port = |given: i32| {
            u16::try_from(given)
                .map_err(|_| client(format!("Invalid port {given} in container '{name}': 0 to 65535.")))
        };
        if mapping.container_port_range.is_some() {
            return Err(client(format!(
                "Gantry does not support containerPortRange yet (container '{name}')."
            )));
        }
        let container_port = port(mapping.container_port.unwrap_or(0))?;
        if container_port == 0 {
            return Err(client(format!("Container port must be between 1 and 65535 (container '{name}').")));
        }
        let host_port = match (mapping.host_port.map(port).transpose()?, network_mode) {
            (None | Some(0), NetworkMode::Awsvpc | NetworkMode::Host) => container_port,
            (Some(host), NetworkMode::Awsvpc | NetworkMode::Host) if host != container_port => {
                return Err(client(format!(
                    "When networkMode={network_mode}, the host ports and container ports in port mappings must match."
                )));
            }
            (host, _) => host.unwrap_or(0),
        };
        let protocol = mapping.protocol.as_deref().unwrap_or("tcp");
        let protocol = TransportProtocol::parse(protocol)
            .ok_or_else(|| client(format!("Invalid protocol '{protocol}' in container '{name}'.")))?;
        mapping.protocol = Some(protocol.to_string());
        mapping.host_port = Some(i32::from(host_port));
        mappings.push(PortMapping { name: mapping.name.clone(), container_port, host_port, protocol });
    }
    Ok(mappings)
}

fn health_check(check: &api::HealthCheck, container: &str) -> Result<ContainerHealthCheck, ApiError> {
    let bad = |what: &str| client(format!("Invalid healthCheck of container '{container}': {what}"));
    match check.command.first().map(String::as_str) {
        Some("CMD") if check.command.len() > 1 => {}
        Some("CMD-SHELL") if check.command.len() == 2 => {}
        _ => {
            return Err(bad(
                "the command must begin with CMD and have arguments, or be CMD-SHELL and one line.",
            ));
        }
    }
    let within = |name: &str, given: Option<i32>, default: u32, least: u32, most: u32| {
        let value = given.map_or(Some(default), |given| u32::try_from(given).ok());
        value
            .filter(|value| (least..=most).contains(value))
            .ok_or_else(|| bad(&format!("{name} must be between {least} and {most}.")))
    };
    let duration = |seconds: u32| Duration::from_secs(u64::from(seconds));
    Ok(ContainerHealthCheck {
        command: check.command.clone(),
        interval: duration(within("interval", check.interval, 30, 5, 300)?),
        timeout: duration(within("timeout", check.timeout, 5, 2, 60)?),
        retries: within("retries", check.retries, 3, 1, 10)?,
        start_period: duration(within("startPeriod", check.start_period, 0, 0, 300)?),
    })
}

fn log_configuration(
    log: &api::LogConfiguration,
    container: &str,
    fargate: bool,
) -> Result<LogConfiguration, ApiError> {
    let options = log.options.clone().unwrap_or_default();
    match log.log_driver.as_str() {
        "awslogs" => {
            let mut required = vec!["awslogs-group", "awslogs-region"];
            if fargate {
                required.push("awslogs-stream-prefix");
            }
            if let Some(missing) = required.into_iter().find(|name| !options.contains_key(*name)) {
                return Err(client(format!(
                    "Log driver awslogs requires option '{missing}' (container '{container}')."
                )));
            }
        }
        "none" if !fargate => {}
        driver => {
            return Err(client(format!(
                "Gantry does not support the log driver '{driver}' yet (container '{container}'); use awslogs."
            )));
        }
    }
    Ok(LogConfiguration { driver: log.log_driver.clone(), options })
}

fn dependencies(given: &[api::ContainerDependency]) -> Result<Vec<ContainerDependency>, ApiError> {
    let parse = |dependency: &api::ContainerDependency| {
        let condition = DependencyCondition::parse(&dependency.condition)
            .ok_or_else(|| client(format!("Invalid dependsOn condition '{}'.", dependency.condition)))?;
        Ok(ContainerDependency { container: dependency.container_name.as_str().into(), condition })
    };
    given.iter().map(parse).collect()
}

fn mount_points(given: &[api::MountPoint]) -> Vec<MountPoint> {
    let mount = |mount: &api::MountPoint| MountPoint {
        source_volume: mount.source_volume.clone().unwrap_or_default(),
        container_path: mount.container_path.clone().unwrap_or_default(),
        read_only: mount.read_only.unwrap_or(false),
    };
    given.iter().map(mount).collect()
}

fn ulimits(given: &[api::Ulimit], container: &str) -> Result<Vec<Ulimit>, ApiError> {
    // -1 is "unlimited".
    let limit = |value: i32| if value < 0 { u64::MAX } else { u64::from(value.unsigned_abs()) };
    let parse = |ulimit: &api::Ulimit| {
        let (soft, hard) = (limit(ulimit.soft_limit), limit(ulimit.hard_limit));
        if soft > hard {
            return Err(client(format!(
                "The soft limit of '{}' exceeds its hard limit (container '{container}').",
                ulimit.name
            )));
        }
        Ok(Ulimit { name: ulimit.name.clone(), soft, hard })
    };
    given.iter().map(parse).collect()
}

fn hosts(given: &[api::HostEntry]) -> Vec<(String, String)> {
    given.iter().map(|host| (host.hostname.clone(), host.ip_address.clone())).collect()
}

/// What only shows when all containers are looked at together.
fn check_together(
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
            check_dependency(containers, container, dependency)?;
        }
    }
    check_acyclic(containers)?;
    let cpu_sum: u32 = containers.iter().map(|container| container.cpu.0).sum();
    if cpu.is_some_and(|cpu| cpu_sum > cpu.0) {
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
    container: &ContainerDefinition,
    dependency: &ContainerDependency,
) -> Result<(), ApiError> {
    let Some(other) = containers.iter().find(|each| each.name == dependency.container) else {
        return Err(client(format!(
            "Container '{}' depends on container '{}', which does not exist.",
            container.name, dependency.container
        )));
    };
    match dependency.condition {
        DependencyCondition::Complete | DependencyCondition::Success if other.essential => {
            Err(client(format!(
                "A dependency with the condition {} cannot target the essential container '{}'.",
                dependency.condition, other.name
            )))
        }
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
            return Err(client("There is a cycle in the containers' dependencies."));
        }
        done.extend(ready);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_aws_reads_them() {
        for (text, units) in [("256", 256), (".25 vCPU", 256), ("1 vCPU", 1024), ("2vcpu", 2048)] {
            assert_eq!(cpu(text).unwrap(), CpuUnits(units), "{text}");
        }
        for (text, mib) in [("512", 512), ("0.5GB", 512), ("1 GB", 1024)] {
            assert_eq!(memory(text).unwrap(), MemoryMib(mib), "{text}");
        }
        for bad in ["", "x", "-1", "0.25", "1e99 vCPU", "NaN GB", "inf vCPU"] {
            assert!(cpu(bad).is_err() && memory(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn fargate_has_its_sizes() {
        let check = |cpu, mib| check_fargate_size(Some(CpuUnits(cpu)), Some(MemoryMib(mib))).is_ok();
        assert!(check(256, 512) && check(256, 1024) && check(256, 2048) && check(1024, 8192));
        assert!(!check(256, 1536) && !check(256, 4096) && !check(300, 512) && !check(8192, 17_408));
    }
}
