//! The lists inside a container: environment, ports, mounts, dependencies, limits, hosts.

use std::collections::BTreeMap;
use std::net::IpAddr;

use gantry_api::ApiError;
use gantry_api::ecs as api;
use gantry_domain::task_definition::{
    ContainerDependency, DependencyCondition, MountPoint, NetworkMode, PortMapping, TransportProtocol, Ulimit,
};

use crate::ecs::names::client;

/// A text that reaches the kernel can't hold its end mark.
pub(in crate::ecs) fn check_text(text: &str, container: &str) -> Result<(), ApiError> {
    if text.contains('\0') {
        return Err(client(format!(
            "Invalid setting for container '{container}'. A text must not contain the character U+0000."
        )));
    }
    Ok(())
}

pub(super) fn pairs(
    given: &[api::KeyValuePair],
    container: &str,
) -> Result<BTreeMap<String, String>, ApiError> {
    let pair = |pair: &api::KeyValuePair| {
        let name = pair.name.clone().unwrap_or_default();
        let value = pair.value.clone().unwrap_or_default();
        if name.is_empty() || name.contains('=') {
            return Err(client(format!(
                "Invalid setting for container '{container}'. An environment variable's name must not be empty or contain '='."
            )));
        }
        check_text(&name, container)?;
        check_text(&value, container)?;
        Ok((name, value))
    };
    given.iter().map(pair).collect()
}

pub(super) fn port_mappings(
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

pub(super) fn dependencies(given: &[api::ContainerDependency]) -> Result<Vec<ContainerDependency>, ApiError> {
    let parse = |dependency: &api::ContainerDependency| {
        let condition = DependencyCondition::parse(&dependency.condition)
            .ok_or_else(|| client(format!("Invalid dependsOn condition '{}'.", dependency.condition)))?;
        Ok(ContainerDependency { container: dependency.container_name.as_str().into(), condition })
    };
    given.iter().map(parse).collect()
}

pub(super) fn mount_points(given: &[api::MountPoint], container: &str) -> Result<Vec<MountPoint>, ApiError> {
    let mount = |mount: &api::MountPoint| {
        let container_path = mount.container_path.clone().unwrap_or_default();
        if !container_path.starts_with('/') {
            return Err(client(format!(
                "Invalid setting for container '{container}'. A mount point needs an absolute containerPath."
            )));
        }
        check_text(&container_path, container)?;
        Ok(MountPoint {
            source_volume: mount.source_volume.clone().unwrap_or_default(),
            container_path,
            read_only: mount.read_only.unwrap_or(false),
        })
    };
    given.iter().map(mount).collect()
}

pub(super) fn ulimits(given: &[api::Ulimit], container: &str) -> Result<Vec<Ulimit>, ApiError> {
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

pub(super) fn hosts(given: &[api::HostEntry], container: &str) -> Result<Vec<(String, String)>, ApiError> {
    let host = |host: &api::HostEntry| {
        let name = &host.hostname;
        let is_name = !name.is_empty() && !name.chars().any(|each| each.is_whitespace() || each.is_control());
        if !is_name || host.ip_address.parse::<IpAddr>().is_err() {
            return Err(client(format!(
                "Invalid setting for container '{container}'. extraHosts needs a name and an address, not '{name}' and '{}'.",
                host.ip_address
            )));
        }
        Ok((name.clone(), host.ip_address.clone()))
    };
    given.iter().map(host).collect()
}
