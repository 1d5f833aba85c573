//! Task definitions: what a task's containers are.

use std::collections::BTreeMap;
use std::time::Duration;

use gantry_types::{Arn, ContainerName, CpuUnits, Family, MemoryMib, Region, Timestamp, Value};

use crate::aws_enum::aws_enum;

/// The highest revision that a family ever had.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct FamilyCounter {
    pub region: Region,
    pub family: Family,
    pub last_revision: u32,
}

aws_enum! {
    TaskDefinitionStatus { Active = "ACTIVE", Inactive = "INACTIVE", DeleteInProgress = "DELETE_IN_PROGRESS", }
}
aws_enum! {
    NetworkMode { Awsvpc = "awsvpc", Bridge = "bridge", Host = "host", None = "none", }
}
aws_enum! {
    LaunchType { Fargate = "FARGATE", Ec2 = "EC2", External = "EXTERNAL", }
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TaskDefinition {
    pub region: Region,
    pub arn: Arn,
    pub family: Family,
    pub revision: u32,
    pub status: TaskDefinitionStatus,
    pub network_mode: NetworkMode,
    pub requires_compatibilities: Vec<LaunchType>,
    pub cpu: Option<CpuUnits>,
    pub memory: Option<MemoryMib>,
    pub containers: Vec<ContainerDefinition>,
    pub volumes: Vec<Volume>,
    pub task_role: Option<String>,
    pub execution_role: Option<String>,
    pub registered_at: Timestamp,
    /// What DescribeTaskDefinition gives back, with AWS's defaults filled in.
    pub document: Value,
}

impl TaskDefinition {
    /// What a task takes of a node: the task's own amounts, else its containers' sums.
    pub fn cpu_required(&self) -> CpuUnits {
        self.cpu.unwrap_or_else(|| CpuUnits(self.containers.iter().map(|c| c.cpu.0).sum()))
    }
    pub fn memory_required(&self) -> MemoryMib {
        let each = |c: &ContainerDefinition| c.memory_reservation.or(c.memory).unwrap_or_default().0;
        self.memory.unwrap_or_else(|| MemoryMib(self.containers.iter().map(each).sum()))
    }
}

/// A volume of the task: a host path, or (`None`) a directory that lives as long as the task.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Volume {
    pub name: String,
    pub host_path: Option<String>,
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ContainerDefinition {
    pub name: ContainerName,
    pub image: String,
    pub essential: bool,
    pub cpu: CpuUnits,
    /// The hard limit.
    pub memory: Option<MemoryMib>,
    /// The soft limit.
    pub memory_reservation: Option<MemoryMib>,
    /// `None`: the image's own.
    pub entry_point: Option<Vec<String>>,
    pub command: Option<Vec<String>>,
    pub environment: BTreeMap<String, String>,
    pub working_directory: Option<String>,
    pub user: Option<String>,
    pub hostname: Option<String>,
    pub port_mappings: Vec<PortMapping>,
    pub health_check: Option<ContainerHealthCheck>,
    pub stop_timeout: Option<Duration>,
    pub start_timeout: Option<Duration>,
    pub log: Option<LogConfiguration>,
    pub depends_on: Vec<ContainerDependency>,
    pub mount_points: Vec<MountPoint>,
    pub read_only_root: bool,
    pub privileged: bool,
    pub init_process: bool,
    pub capabilities_add: Vec<String>,
    pub capabilities_drop: Vec<String>,
    pub ulimits: Vec<Ulimit>,
    pub extra_hosts: Vec<(String, String)>,
    pub dns_servers: Vec<String>,
    pub dns_search_domains: Vec<String>,
    pub docker_labels: BTreeMap<String, String>,
}

aws_enum! {
    TransportProtocol { Tcp = "tcp", Udp = "udp", }
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PortMapping {
    pub name: Option<String>,
    pub container_port: u16,
    /// In `awsvpc` mode the container's port; 0 is a dynamic port in `bridge` mode.
    pub host_port: u16,
    pub protocol: TransportProtocol,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ContainerHealthCheck {
    /// `CMD` and arguments, or `CMD-SHELL` and one line.
    pub command: Vec<String>,
    pub interval: Duration,
    pub timeout: Duration,
    pub retries: u32,
    pub start_period: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LogConfiguration {
    pub driver: String,
    pub options: BTreeMap<String, String>,
}

aws_enum! {
    DependencyCondition { Start = "START", Complete = "COMPLETE", Success = "SUCCESS", Healthy = "HEALTHY", }
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ContainerDependency {
    pub container: ContainerName,
    pub condition: DependencyCondition,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct MountPoint {
    pub source_volume: String,
    pub container_path: String,
    pub read_only: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ulimit {
    pub name: String,
    pub soft: u64,
    pub hard: u64,
}
