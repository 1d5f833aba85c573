//! One container.

use std::time::Duration;

use gantry_api::ApiError;
use gantry_api::ecs as api;
use gantry_domain::task_definition::{
    ContainerDefinition, ContainerHealthCheck, LogConfiguration, NetworkMode,
};
use gantry_types::{CpuUnits, MemoryMib};

use super::members::{self, check_text};
use super::sizes;
use crate::ecs::names::{client, is_name};

const FARGATE_TIMEOUT_SECONDS: std::ops::RangeInclusive<i32> = 2..=120;
const FARGATE_CAPABILITY: &str = "SYS_PTRACE";

/// Makes one container typed, and fills AWS's defaults into what Describe shows of it.
pub(super) fn parse(
    shown: &mut api::ContainerDefinition,
    network_mode: NetworkMode,
    fargate: bool,
    task_memory: Option<MemoryMib>,
) -> Result<ContainerDefinition, ApiError> {
    let name = shown.name.clone().filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| client("Container.name should not be null or empty."))?;
    if !is_name(&name, 255) {
        return Err(client(format!(
            "Container name '{name}' is invalid: up to 255 letters, numbers, hyphens and underscores."
        )));
    }
    let image = shown.image.clone().filter(|image| !image.is_empty());
    let image = image.ok_or_else(|| client("Container.image should not be null or empty."))?;
    let (memory, memory_reservation) = (mib(shown.memory, &name)?, mib(shown.memory_reservation, &name)?);
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
    check_texts(shown, &name)?;
    let stop_timeout = timeout(shown.stop_timeout, fargate, "stopTimeout", &name)?;
    let start_timeout = timeout(shown.start_timeout, fargate, "startTimeout", &name)?;
    if fargate && shown.privileged == Some(true) {
        return Err(client(format!(
            "Tasks using the Fargate launch type do not support privileged mode (container '{name}')."
        )));
    }
    let port_mappings = members::port_mappings(shown, network_mode)?;
    let cpu =
        u32::try_from(shown.cpu.unwrap_or(0)).ok().filter(|cpu| *cpu <= sizes::CPU_MAX).ok_or_else(|| {
            let most = sizes::CPU_MAX;
            client(format!("Invalid setting for container '{name}'. cpu must be between 0 and {most}."))
        })?;
    let linux = shown.linux_parameters.clone().unwrap_or_default();
    let capabilities = linux.capabilities.unwrap_or_default();
    let capabilities_add = capabilities.add.unwrap_or_default();
    if fargate && capabilities_add.iter().any(|each| each != FARGATE_CAPABILITY) {
        return Err(client(format!(
            "Tasks using the Fargate launch type can only add the {FARGATE_CAPABILITY} capability (container '{name}')."
        )));
    }
    let container = ContainerDefinition {
        essential: shown.essential.unwrap_or(true),
        cpu: CpuUnits(cpu),
        memory,
        memory_reservation,
        entry_point: shown.entry_point.clone().filter(|words| !words.is_empty()),
        command: shown.command.clone().filter(|words| !words.is_empty()),
        environment: members::pairs(shown.environment.as_deref().unwrap_or_default(), &name)?,
        working_directory: shown.working_directory.clone().filter(|text| !text.is_empty()),
        user: shown.user.clone().filter(|text| !text.is_empty()),
        hostname: shown.hostname.clone().filter(|text| !text.is_empty()),
        port_mappings,
        health_check: shown.health_check.as_ref().map(|check| health_check(check, &name)).transpose()?,
        stop_timeout,
        start_timeout,
        log: shown
            .log_configuration
            .as_ref()
            .map(|log| log_configuration(log, &name, fargate))
            .transpose()?,
        depends_on: members::dependencies(shown.depends_on.as_deref().unwrap_or_default())?,
        mount_points: members::mount_points(shown.mount_points.as_deref().unwrap_or_default(), &name)?,
        read_only_root: shown.readonly_root_filesystem.unwrap_or(false),
        privileged: shown.privileged.unwrap_or(false),
        init_process: linux.init_process_enabled.unwrap_or(false),
        capabilities_add,
        capabilities_drop: capabilities.drop.unwrap_or_default(),
        ulimits: members::ulimits(shown.ulimits.as_deref().unwrap_or_default(), &name)?,
        extra_hosts: members::hosts(shown.extra_hosts.as_deref().unwrap_or_default(), &name)?,
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

fn mib(given: Option<i32>, container: &str) -> Result<Option<MemoryMib>, ApiError> {
    match given {
        None => Ok(None),
        Some(mib) => match u32::try_from(mib) {
            Ok(mib) if (4..=sizes::MEMORY_MAX).contains(&mib) => Ok(Some(MemoryMib(mib))),
            _ => Err(client(format!(
                "Invalid setting for container '{container}'. The memory must be between 4 and {} MiB.",
                sizes::MEMORY_MAX
            ))),
        },
    }
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
    if crate::ecs::names::is_set(&log.secret_options) {
        return Err(client(format!("Gantry does not support secretOptions (container '{container}') yet.")));
    }
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

/// Seconds to wait for a start or a stop: 2 to 120 on Fargate, not negative anywhere.
fn timeout(
    given: Option<i32>,
    fargate: bool,
    member: &str,
    container: &str,
) -> Result<Option<Duration>, ApiError> {
    let Some(seconds) = given else { return Ok(None) };
    let allowed = if fargate { FARGATE_TIMEOUT_SECONDS } else { 0..=i32::MAX };
    if !allowed.contains(&seconds) {
        return Err(client(format!(
            "Invalid setting for container '{container}'. {member} must be between {} and {}.",
            allowed.start(),
            allowed.end()
        )));
    }
    Ok(u64::try_from(seconds).ok().map(Duration::from_secs))
}

/// Texts that reach the kernel can't hold its end mark.
fn check_texts(shown: &api::ContainerDefinition, container: &str) -> Result<(), ApiError> {
    let words = shown.command.iter().chain(&shown.entry_point).flatten();
    let single = [&shown.image, &shown.working_directory, &shown.user, &shown.hostname];
    let resolver = shown.dns_servers.iter().chain(&shown.dns_search_domains).flatten();
    let labels = shown.docker_labels.iter().flatten().flat_map(|(key, value)| [key, value]);
    for text in words.chain(single.into_iter().flatten()).chain(labels) {
        check_text(text, container)?;
    }
    for text in resolver {
        if text.is_empty() || text.chars().any(|each| each.is_whitespace() || each.is_control()) {
            return Err(client(format!(
                "Invalid setting for container '{container}'. '{text}' is neither a name nor an address."
            )));
        }
    }
    Ok(())
}

/// Whether Fargate's own rules let the container run there.
pub(super) fn runs_on_fargate(container: &ContainerDefinition) -> bool {
    let log = container.log.as_ref();
    !container.privileged
        && container.capabilities_add.iter().all(|each| each == FARGATE_CAPABILITY)
        && log.is_none_or(|log| log.driver == "awslogs" && log.options.contains_key("awslogs-stream-prefix"))
}
