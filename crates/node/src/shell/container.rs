//! What a container is to be: its image, its definition and its task put together, as Docker and ECS put them together.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use gantry_domain::assignment::TaskSpec;
use gantry_domain::task_definition::{ContainerDefinition, NetworkMode};
use gantry_images::ImageConfig;
use gantry_runtime::{
    CapabilityChanges, ContainerId, ContainerSpec, Mount, MountAccess, Network, OutputTarget, RootAccess,
    Ulimit,
};
use gantry_types::CpuUnits;

use super::endpoints;
use super::layout::Layout;
use super::limits::OUTPUT_BYTES_MAX;

/// What ECS gives a container that asks for no processor time: the least weight that the kernel takes.
const CPU_SHARES_MIN: CpuUnits = CpuUnits(2);

/// Where a task's container is found on this machine.
pub(super) struct Place<'a> {
    pub(super) id: ContainerId,
    pub(super) index: usize,
    pub(super) layout: &'a Layout,
    /// The task's network namespace.
    pub(super) namespace: PathBuf,
}

/// `Err` is a sentence for the container's reason.
pub(super) fn container_spec(
    task: &TaskSpec,
    definition: &ContainerDefinition,
    image: &ImageConfig,
    layers: Vec<PathBuf>,
    place: Place<'_>,
) -> Result<ContainerSpec, String> {
    let command = command(definition, image);
    if command.is_empty() {
        return Err(format!(
            "no command specified: neither the image {} nor the container definition has an entry point or command",
            definition.image
        ));
    }
    let Place { id, index, layout, namespace } = place;
    let access = if definition.read_only_root { MountAccess::ReadOnly } else { MountAccess::ReadWrite };
    let mut mounts = network_files(&layout.files(&task.task, index), access);
    mounts.extend(volumes(task, definition, layout)?);
    Ok(ContainerSpec {
        task: task.task.clone(),
        layers,
        command,
        environment: environment(definition, image, &endpoints::offered(task, index)),
        working_directory: working_directory(definition, image),
        user: definition.user.clone().unwrap_or_else(|| image.user.clone()),
        hostname: hostname(task, definition, index),
        network: Network::Namespace(namespace),
        mounts,
        tmpfs: Vec::new(),
        shared_memory_bytes: None,
        root_access: if definition.read_only_root { RootAccess::ReadOnly } else { RootAccess::ReadWrite },
        capabilities: capabilities(definition),
        no_new_privileges: false,
        ulimits: definition
            .ulimits
            .iter()
            .map(|limit| Ulimit { name: limit.name.clone(), soft: limit.soft, hard: limit.hard })
            .collect(),
        system_controls: Vec::new(),
        cpu_shares: Some(definition.cpu.max(CPU_SHARES_MIN)),
        cpu_quota: None,
        memory_limit_bytes: definition.memory.map(|memory| memory.bytes()),
        memory_reservation_bytes: definition.memory_reservation.map(|memory| memory.bytes()),
        pids_limit: None,
        init_process: definition.init_process,
        output: OutputTarget { path: layout.spool(id.as_str()), bytes_max: OUTPUT_BYTES_MAX },
        id,
    })
}

/// A definition's entry point replaces the image's and takes the image's command with it; a definition's command replaces the
/// image's command alone. An empty list is none.
fn command(definition: &ContainerDefinition, image: &ImageConfig) -> Vec<String> {
    let given = |words: &Option<Vec<String>>| words.clone().filter(|words| !words.is_empty());
    let (entry_point, inherited) = match given(&definition.entry_point) {
        Some(entry_point) => (entry_point, Vec::new()),
        None => (image.entrypoint.clone(), image.cmd.clone()),
    };
    let arguments = given(&definition.command).unwrap_or(inherited);
    entry_point.into_iter().chain(arguments).collect()
}

/// The image's variables in their order, those that ECS offers instead of or behind them, and those of the task over all. What
/// every container has (`PATH`, `HOME`, `HOSTNAME`) the runtime adds where it is missing.
fn environment(
    definition: &ContainerDefinition,
    image: &ImageConfig,
    offered: &[(String, String)],
) -> Vec<(String, String)> {
    let mut environment: Vec<(String, String)> = Vec::new();
    let own = image.env.iter().map(|line| line.split_once('=').unwrap_or((line, "")));
    let given = definition.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let offered = offered.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in own.chain(offered).chain(given).filter(|(name, _)| !name.is_empty()) {
        match environment.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => value.clone_into(known),
            None => environment.push((name.to_owned(), value.to_owned())),
        }
    }
    environment
}

fn working_directory(definition: &ContainerDefinition, image: &ImageConfig) -> PathBuf {
    let given = definition.working_directory.as_deref().filter(|path| !path.is_empty());
    let path = Path::new(given.unwrap_or(&image.working_dir));
    // Relative ones are meant from the root.
    Path::new("/").join(path)
}

/// A container is called as the interface that it sees; in a namespace of its own as Docker calls it, after its id.
pub(super) fn hostname(task: &TaskSpec, definition: &ContainerDefinition, index: usize) -> String {
    let default = || match task.network_mode {
        NetworkMode::Awsvpc | NetworkMode::Host => {
            task.uplink().map(|interface| interface.private_dns_name.clone()).unwrap_or_default()
        }
        NetworkMode::Bridge | NetworkMode::None => {
            // Of a task's containers the ends of their ids differ.
            let (task, number) = (task.task.as_str(), format!("{index:03}"));
            format!("{}{number}", task.get(..9).unwrap_or(task))
        }
    };
    definition.hostname.clone().unwrap_or_else(default)
}

fn capabilities(definition: &ContainerDefinition) -> CapabilityChanges {
    let mut add = definition.capabilities_add.clone();
    if definition.privileged {
        add.push("ALL".to_owned());
    }
    CapabilityChanges { add, drop: definition.capabilities_drop.clone() }
}

/// The files by which a container finds its network, in place of the image's.
pub(super) const NETWORK_FILES: [&str; 3] = ["hosts", "hostname", "resolv.conf"];

fn network_files(directory: &Path, access: MountAccess) -> Vec<Mount> {
    let mount =
        |name: &str| Mount { source: directory.join(name), target: Path::new("/etc").join(name), access };
    NETWORK_FILES.into_iter().map(mount).collect()
}

fn volumes(task: &TaskSpec, definition: &ContainerDefinition, layout: &Layout) -> Result<Vec<Mount>, String> {
    let mount = |point: &gantry_domain::task_definition::MountPoint| {
        let index = task.volumes.iter().position(|volume| volume.name == point.source_volume);
        let index = index.ok_or_else(|| format!("the task has no volume {}", point.source_volume))?;
        let source = match &task.volumes[index].host_path {
            Some(path) => PathBuf::from(path),
            None => layout.volume(&task.task, index),
        };
        let access = if point.read_only { MountAccess::ReadOnly } else { MountAccess::ReadWrite };
        Ok(Mount { source, target: PathBuf::from(&point.container_path), access })
    };
    definition.mount_points.iter().map(mount).collect()
}

/// `/etc/hosts`: the container itself, by its address and name, and whoever the definition names.
pub(super) fn hosts_file(definition: &ContainerDefinition, own: Option<(Ipv4Addr, &str)>) -> String {
    let mut text = "127.0.0.1 localhost\n".to_owned();
    if let Some((address, name)) = own.filter(|(_, name)| !name.is_empty()) {
        text.push_str(&format!("{address} {name}\n"));
    }
    for (name, address) in &definition.extra_hosts {
        text.push_str(&format!("{address} {name}\n"));
    }
    text
}

/// `/etc/resolv.conf`: the VPC's DNS and its domain, unless the definition names others. Without network there is neither.
pub(super) fn resolv_conf(
    definition: &ContainerDefinition,
    dns_address: Option<&str>,
    domain: &str,
) -> String {
    let or = |given: &[String], default: Option<&str>| match given {
        [] => default.map(str::to_owned).into_iter().collect(),
        given => given.to_vec(),
    };
    let mut text = String::new();
    for server in or(&definition.dns_servers, dns_address) {
        text.push_str(&format!("nameserver {server}\n"));
    }
    let domains = or(&definition.dns_search_domains, dns_address.map(|_| domain));
    if !domains.is_empty() {
        text.push_str(&format!("search {}\n", domains.join(" ")));
    }
    text
}

#[cfg(test)]
#[path = "container_tests.rs"]
mod tests;
