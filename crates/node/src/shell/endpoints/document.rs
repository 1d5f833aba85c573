//! A task as it is told of itself, in the documents of AWS's task metadata.

use gantry_domain::assignment::{InterfaceSpec, TaskSpec};
use gantry_domain::task::HealthStatus;
use gantry_domain::task_definition::{ContainerDefinition, LaunchType, NetworkMode};
use gantry_types::{Timestamp, arn};
use serde_json::{Map, Value, json};

use super::route::{Tags, Version};
use crate::core::{ContainerPhase, ContainerState, NetworkPhase, TaskState};
use crate::logs::destination;
use crate::shell::layout::container_id;
use crate::shell::translate::internal_domain;

/// A task, and when the runtime started its containers.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) task: TaskState,
    pub(super) started: Vec<Option<Timestamp>>,
}

/// One entry of a task's list of containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Container(usize),
    /// What holds the network of a task in `awsvpc` mode on AWS. Here nothing has to; it is shown to those who look for it.
    Pause,
}

/// Beyond any container's.
const PAUSE_INDEX: usize = 999;
const PAUSE_NAME: &str = "~internal~ecs~pause";
const PAUSE_IMAGE: &str = "amazon/amazon-ecs-pause:0.1.0";

impl Part {
    /// What this id names of the task.
    pub(super) fn of(task: &TaskSpec, id: &str) -> Option<Self> {
        Self::all(task).find(|part| part.id(task) == id)
    }

    pub(super) fn all(task: &TaskSpec) -> impl Iterator<Item = Self> + use<> {
        let pause = task.interface.is_some().then_some(Self::Pause);
        pause.into_iter().chain((0..task.containers.len()).map(Self::Container))
    }

    pub(super) fn id(self, task: &TaskSpec) -> String {
        match self {
            Self::Container(index) => container_id(&task.task, index),
            Self::Pause => container_id(&task.task, PAUSE_INDEX),
        }
    }

    fn name(self, task: &TaskSpec) -> &str {
        match self {
            Self::Container(index) => task.containers[index].name.as_str(),
            Self::Pause => PAUSE_NAME,
        }
    }

    /// As Docker would call it.
    pub(super) fn docker_name(self, task: &TaskSpec) -> String {
        let name = self.name(task);
        match task.launch_type {
            LaunchType::Fargate => name.to_owned(),
            LaunchType::Ec2 | LaunchType::External => {
                // A tilde is in no name of Docker's.
                let plain = name.replace('~', "");
                let (family, revision) = (&task.family, task.revision);
                let hash: String = task.task.as_str().chars().rev().take(20).collect();
                format!("ecs-{family}-{revision}-{plain}-{hash}")
            }
        }
    }
}

pub(super) fn task(shown: &Shown, version: Version, tags: Tags) -> Value {
    let (task, spec) = (&shown.task, &shown.task.spec);
    let mut document = Document::new();
    document.set("Cluster", cluster(spec));
    document.set("TaskARN", spec.arn.as_str());
    document.set("Family", spec.family.as_str());
    document.set("Revision", spec.revision.to_string());
    document.set("DesiredStatus", if task.stopping { "STOPPED" } else { "RUNNING" });
    document.set("KnownStatus", task_status(task));
    let mut limits = Document::new();
    limits.set_if("CPU", spec.cpu.map(|cpu| f64::from(cpu.0) / 1024.0));
    limits.set_if("Memory", spec.memory.map(|memory| memory.0));
    if !limits.0.is_empty() {
        document.set("Limits", limits.0);
    }
    document.set_if("PullStartedAt", task.pull_started_at.map(Timestamp::iso8601));
    document.set_if("PullStoppedAt", task.pull_stopped_at.map(Timestamp::iso8601));
    document.set_if("ExecutionStoppedAt", task.execution_stopped_at.map(Timestamp::iso8601));
    document.set("AvailabilityZone", spec.availability_zone.as_str());
    if version == Version::V4 {
        document.set("LaunchType", spec.launch_type.as_str());
        document.set_if("ServiceName", spec.service.as_ref().map(|service| service.as_str()));
        document.set_if("VPCID", spec.uplink().map(|interface| interface.vpc.as_str()));
        document.set("FaultInjectionEnabled", false);
    }
    let containers: Vec<Value> = Part::all(spec).map(|part| container(shown, part, version)).collect();
    document.set("Containers", containers);
    if tags == Tags::Shown {
        document.set("TaskTags", json!(spec.shown.tags));
    }
    document.0.into()
}

pub(super) fn container(shown: &Shown, part: Part, version: Version) -> Value {
    let (task, spec) = (&shown.task, &shown.task.spec);
    let mut document = Document::new();
    document.set("DockerId", part.id(spec));
    document.set("Name", part.name(spec));
    document.set("DockerName", part.docker_name(spec));
    match part {
        Part::Container(index) => {
            let (definition, state) = (&spec.containers[index], &task.containers[index]);
            describe(&mut document, shown, index, definition, state, version);
        }
        Part::Pause => describe_pause(&mut document, shown),
    }
    let networks = network(spec, version);
    if !networks.is_empty() {
        document.set("Networks", vec![networks]);
    }
    document.0.into()
}

fn describe(
    document: &mut Document,
    shown: &Shown,
    index: usize,
    definition: &ContainerDefinition,
    state: &ContainerState,
    version: Version,
) {
    let spec = &shown.task.spec;
    document.set("Image", definition.image.as_str());
    document.set("ImageID", state.image_digest.as_deref().unwrap_or(""));
    let ports = ports(spec, definition);
    if !ports.is_empty() {
        document.set("Ports", ports);
    }
    document.set("Labels", labels(spec, Part::Container(index), definition));
    document.set("DesiredStatus", if shown.task.stopping { "STOPPED" } else { "RUNNING" });
    document.set("KnownStatus", container_status(state.phase));
    let exit = state.exit.as_ref();
    document.set_if("ExitCode", exit.and_then(|exit| exit.code));
    let mut limits = Document::new();
    limits.set("CPU", definition.cpu.0);
    limits.set_if("Memory", definition.memory.or(definition.memory_reservation).map(|memory| memory.0));
    document.set("Limits", limits.0);
    let started = shown.started.get(index).copied().flatten();
    document.set_if("CreatedAt", started.map(Timestamp::iso8601));
    document.set_if("StartedAt", started.map(Timestamp::iso8601));
    document.set_if("FinishedAt", exit.map(|exit| exit.at.iso8601()));
    document.set("Type", "NORMAL");
    let health = state.health.as_ref().map(|health| health.status);
    if let Some(health) = health.filter(|health| *health != HealthStatus::Unknown) {
        document.set("Health", json!({"status": health.as_str()}));
    }
    if version == Version::V4 {
        let id = container_id(&spec.task, index);
        document.set_if("LogDriver", definition.log.as_ref().map(|log| log.driver.as_str()));
        if let Some(log) = &definition.log {
            let mut options = log.options.clone();
            if let Some(destination) = destination(spec, definition, &id) {
                options.insert("awslogs-stream".to_owned(), destination.stream);
            }
            document.set("LogOptions", json!(options));
        }
        document
            .set_if("ContainerARN", spec.shown.container_arns.get(&definition.name).map(|arn| arn.as_str()));
        document.set("Snapshotter", "overlayfs");
    }
}

fn describe_pause(document: &mut Document, shown: &Shown) {
    let spec = &shown.task.spec;
    document.set("Image", PAUSE_IMAGE);
    document.set("ImageID", "");
    document.set("Labels", base_labels(spec, Part::Pause));
    let status = match shown.task.network {
        NetworkPhase::Waiting | NetworkPhase::SettingUp => "CREATED",
        NetworkPhase::Ready if shown.task.is_stopped() => "STOPPED",
        NetworkPhase::Ready => "RESOURCES_PROVISIONED",
        NetworkPhase::Failed => "STOPPED",
    };
    document.set("DesiredStatus", if shown.task.stopping { "STOPPED" } else { "RESOURCES_PROVISIONED" });
    document.set("KnownStatus", status);
    document.set("Limits", json!({"CPU": 0, "Memory": 0}));
    document.set("CreatedAt", shown.task.accepted_at.iso8601());
    document.set("StartedAt", shown.task.accepted_at.iso8601());
    document.set("Type", "CNI_PAUSE");
}

/// Fargate knows its clusters by ARN, an instance's agent by the name that it was given.
fn cluster(spec: &TaskSpec) -> String {
    match spec.launch_type {
        LaunchType::Fargate => {
            arn("ecs", spec.region.as_str(), &format!("cluster/{}", spec.cluster)).to_string()
        }
        LaunchType::Ec2 | LaunchType::External => spec.cluster.to_string(),
    }
}

fn task_status(task: &TaskState) -> &'static str {
    if task.is_stopped() {
        "STOPPED"
    } else if task.started_at.is_some() {
        "RUNNING"
    } else if task.containers.iter().any(|container| container.phase.is_alive()) {
        "CREATED"
    } else if task.pull_stopped_at.is_some() {
        "PULLED"
    } else {
        "NONE"
    }
}

fn container_status(phase: ContainerPhase) -> &'static str {
    match phase {
        ContainerPhase::Created | ContainerPhase::Pulling => "NONE",
        ContainerPhase::Pulled => "PULLED",
        ContainerPhase::Starting => "CREATED",
        ContainerPhase::Running | ContainerPhase::Stopping { .. } | ContainerPhase::Killed => "RUNNING",
        ContainerPhase::Stopped => "STOPPED",
    }
}

fn base_labels(spec: &TaskSpec, part: Part) -> Map<String, Value> {
    let labels = [
        ("com.amazonaws.ecs.cluster", cluster(spec)),
        ("com.amazonaws.ecs.container-name", part.name(spec).to_owned()),
        ("com.amazonaws.ecs.task-arn", spec.arn.to_string()),
        ("com.amazonaws.ecs.task-definition-family", spec.family.clone()),
        ("com.amazonaws.ecs.task-definition-version", spec.revision.to_string()),
    ];
    labels.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect()
}

fn labels(spec: &TaskSpec, part: Part, definition: &ContainerDefinition) -> Map<String, Value> {
    let own =
        definition.docker_labels.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str())));
    let mut labels: Map<String, Value> = own.collect();
    labels.extend(base_labels(spec, part));
    labels
}

/// In `awsvpc` mode a port is the container's own and nothing is mapped.
fn ports(spec: &TaskSpec, definition: &ContainerDefinition) -> Vec<Value> {
    if spec.interface.is_some() {
        return Vec::new();
    }
    let port = |mapping: &gantry_domain::task_definition::PortMapping| {
        json!({
            "ContainerPort": mapping.container_port,
            "Protocol": mapping.protocol.as_str(),
            "HostPort": mapping.host_port,
            "HostIp": "0.0.0.0",
        })
    };
    definition.port_mappings.iter().map(port).collect()
}

fn network(spec: &TaskSpec, version: Version) -> Map<String, Value> {
    let mut network = Document::new();
    match (&spec.interface, spec.network_mode) {
        (_, NetworkMode::None) => {}
        (Some(interface), mode) => {
            network.set("NetworkMode", mode.as_str());
            network.set("IPv4Addresses", vec![interface.address.to_string()]);
            if version == Version::V4 {
                describe_interface(&mut network, spec, interface);
            }
        }
        (None, mode) => {
            network.set("NetworkMode", mode.as_str());
            // The instance's, by which the task's mapped ports are reached.
            let address = spec.uplink().map(|interface| interface.address.to_string());
            network.set("IPv4Addresses", vec![address.unwrap_or_default()]);
        }
    }
    network.0
}

fn describe_interface(network: &mut Document, spec: &TaskSpec, interface: &InterfaceSpec) {
    let range = interface.subnet_cidr;
    // Two hosts may not have the address that follows the network's own: AWS's router has it in every subnet.
    let gateway = std::net::Ipv4Addr::from(u32::from(range.address()) + 1);
    network.set("AttachmentIndex", 0);
    network.set("MACAddress", interface.mac.as_str());
    network.set("IPv4SubnetCIDRBlock", range.to_string());
    network.set("DomainNameServers", vec![interface.dns_address.to_string()]);
    network.set("DomainNameSearchList", vec![internal_domain(&spec.region)]);
    network.set("PrivateDNSName", interface.private_dns_name.as_str());
    network.set("SubnetGatewayIpv4Address", format!("{gateway}/{}", range.prefix()));
}

/// A JSON object in the order in which AWS writes it.
struct Document(Map<String, Value>);

impl Document {
    fn new() -> Self {
        Self(Map::new())
    }
    fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }
    fn set_if(&mut self, name: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
