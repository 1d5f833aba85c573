//! The network modes: which namespace a container runs in, and what is made for it beside the interface of its task or instance.

use std::net::Ipv4Addr;

use gantry_domain::assignment::TaskSpec;
use gantry_domain::task_definition::{NetworkMode, TransportProtocol};
use gantry_network::{BridgeConfig, NetworkError, PortForward, PortProtocol, Vpcs};

use super::layout::container_id;

/// The file of the namespace that a container runs in, below the directory of namespaces.
pub(super) fn namespace(spec: &TaskSpec, index: usize) -> Result<String, String> {
    match spec.network_mode {
        NetworkMode::Awsvpc | NetworkMode::Host => {
            let uplink = spec.uplink().ok_or("the task has no network interface")?;
            Ok(uplink.interface.to_string())
        }
        NetworkMode::Bridge | NetworkMode::None => Ok(format!("ctr-{}", container_id(&spec.task, index))),
    }
}

/// Whether each container has a namespace of its own.
pub(super) fn has_own_namespaces(spec: &TaskSpec) -> bool {
    match spec.network_mode {
        NetworkMode::Bridge | NetworkMode::None => true,
        NetworkMode::Awsvpc | NetworkMode::Host => false,
    }
}

/// Makes the namespaces of the containers that have their own; the interface of their instance exists. Gives their addresses.
pub(super) fn connect(vpcs: &Vpcs, spec: &TaskSpec) -> Result<Vec<(String, Ipv4Addr)>, String> {
    let words = |error: NetworkError| error.to_string();
    let mut addresses = Vec::new();
    for (index, definition) in spec.containers.iter().enumerate() {
        let container = container_id(&spec.task, index);
        match (spec.network_mode, spec.uplink()) {
            (NetworkMode::Awsvpc | NetworkMode::Host, _) => {}
            (NetworkMode::None, _) => {
                vpcs.isolate_container(&container).map_err(words)?;
            }
            (NetworkMode::Bridge, None) => return Err("the task has no container instance".to_owned()),
            (NetworkMode::Bridge, Some(uplink)) => {
                let ports = definition.port_mappings.iter().filter(|mapping| mapping.host_port != 0);
                let config = BridgeConfig {
                    container: container.clone(),
                    instance: uplink.interface.clone(),
                    instance_address: uplink.address,
                    ports: ports
                        .map(|mapping| PortForward {
                            protocol: match mapping.protocol {
                                TransportProtocol::Tcp => PortProtocol::Tcp,
                                TransportProtocol::Udp => PortProtocol::Udp,
                            },
                            host_port: mapping.host_port,
                            container_port: mapping.container_port,
                        })
                        .collect(),
                };
                let address = vpcs.bridge_container(&config).map_err(words)?;
                addresses.push((container, address));
            }
        }
    }
    Ok(addresses)
}

/// Closes the ports that lead to the task's containers.
pub(super) fn close_ports(vpcs: &Vpcs, spec: &TaskSpec) -> Result<(), NetworkError> {
    match (spec.network_mode, spec.uplink()) {
        (NetworkMode::Bridge, Some(uplink)) => (0..spec.containers.len())
            .try_for_each(|index| vpcs.close_ports(&container_id(&spec.task, index), &uplink.interface)),
        (NetworkMode::Awsvpc | NetworkMode::Bridge | NetworkMode::Host | NetworkMode::None, _) => Ok(()),
    }
}

/// Takes away what [`connect`] made.
pub(super) fn disconnect(vpcs: &Vpcs, spec: &TaskSpec) -> Result<(), NetworkError> {
    if !has_own_namespaces(spec) {
        return Ok(());
    }
    let instance = spec.uplink().map(|uplink| &uplink.interface);
    (0..spec.containers.len())
        .try_for_each(|index| vpcs.remove_container(&container_id(&spec.task, index), instance))
}
