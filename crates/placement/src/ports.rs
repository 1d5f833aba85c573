//! Choosing the ports of an instance that lead to a task's containers.

use std::collections::BTreeMap;

use gantry_domain::container_instance::ContainerInstance;
use gantry_domain::task::{NetworkBinding, Task};
use gantry_domain::task_definition::{ContainerDefinition, NetworkMode, PortMapping, TransportProtocol};
use gantry_types::ContainerInstanceId;

/// A port of an instance.
pub type Port = (TransportProtocol, u16);

/// Ports that are held, and by how many.
pub type UsedPorts = BTreeMap<Port, u32>;

/// Where dynamic ports come from: what Linux gives to those who ask for none, and the range that ECS documents.
const DYNAMIC_FIRST: u16 = 32_768;
const DYNAMIC_LAST: u16 = 60_999;
const DYNAMIC_COUNT: u32 = (DYNAMIC_LAST - DYNAMIC_FIRST) as u32 + 1;

/// Where the search for dynamic ports goes on in each instance, so that a port that was given back is used again as late as
/// possible: connections that still mean its last owner are gone by then.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ports {
    next: BTreeMap<ContainerInstanceId, u16>,
}

/// The ports that a task holds.
pub(crate) fn held(task: &Task) -> impl Iterator<Item = Port> {
    let bindings = task.containers.iter().flat_map(|container| &container.network_bindings);
    bindings.map(|binding| (binding.protocol, binding.host_port))
}

/// Whether a port may be given to a task of the instance.
fn is_free(port: Port, used: &UsedPorts) -> bool {
    let reserved = port.0 == TransportProtocol::Tcp && ContainerInstance::RESERVED_PORTS.contains(&port.1);
    !reserved && !used.contains_key(&port)
}

/// Whether the instance has the ports that the containers ask for by number, and enough for those that ask for any.
pub(crate) fn fit(mode: NetworkMode, containers: &[ContainerDefinition], used: &UsedPorts) -> bool {
    let mut asked = UsedPorts::new();
    let mut dynamic = 0;
    for mapping in mappings(mode, containers) {
        match mapping.host_port {
            0 => dynamic += 1,
            port if !is_free((mapping.protocol, port), used) => return false,
            port => *asked.entry((mapping.protocol, port)).or_default() += 1,
        }
    }
    let is_dynamic = |port: &&Port| (DYNAMIC_FIRST..=DYNAMIC_LAST).contains(&port.1);
    let taken = used.keys().chain(asked.keys()).filter(is_dynamic).count();
    dynamic == 0 || taken + dynamic <= DYNAMIC_COUNT as usize
}

impl Ports {
    /// Binds the mappings of all containers; nothing where [`fit`] would say no. The order is the mappings'.
    pub(crate) fn bind(
        &mut self,
        instance: &ContainerInstanceId,
        mode: NetworkMode,
        containers: &[ContainerDefinition],
        used: &UsedPorts,
    ) -> Option<Vec<Vec<NetworkBinding>>> {
        let mut used = used.clone();
        // What is asked for by number goes first: a dynamic port must not stand in its way.
        for mapping in mappings(mode, containers).filter(|mapping| mapping.host_port != 0) {
            if !is_free((mapping.protocol, mapping.host_port), &used) {
                return None;
            }
            used.insert((mapping.protocol, mapping.host_port), 1);
        }
        let mut all = Vec::new();
        for container in containers {
            let mut bindings = Vec::new();
            for mapping in mappings(mode, std::slice::from_ref(container)) {
                let host_port = match mapping.host_port {
                    0 => self.next_free(instance, mapping.protocol, &used)?,
                    port => port,
                };
                used.insert((mapping.protocol, host_port), 1);
                let PortMapping { container_port, protocol, .. } = *mapping;
                bindings.push(NetworkBinding { container_port, host_port, protocol });
            }
            all.push(bindings);
        }
        Some(all)
    }

    fn next_free(
        &mut self,
        instance: &ContainerInstanceId,
        protocol: TransportProtocol,
        used: &UsedPorts,
    ) -> Option<u16> {
        let first = self.next.get(instance).copied().unwrap_or(DYNAMIC_FIRST);
        let offset = u32::from(first.saturating_sub(DYNAMIC_FIRST));
        let port = |step: u32| DYNAMIC_FIRST + ((offset + step) % DYNAMIC_COUNT) as u16;
        let found = (0..DYNAMIC_COUNT).map(port).find(|port| is_free((protocol, *port), used))?;
        self.next.insert(instance.clone(), if found == DYNAMIC_LAST { DYNAMIC_FIRST } else { found + 1 });
        Some(found)
    }
}

/// Only `bridge` and `host` share an instance's ports.
fn mappings(mode: NetworkMode, containers: &[ContainerDefinition]) -> impl Iterator<Item = &PortMapping> {
    let shares = matches!(mode, NetworkMode::Bridge | NetworkMode::Host);
    containers.iter().filter(move |_| shares).flat_map(|container| &container.port_mappings)
}
