//! What a node is told to run, and what it says of it. Both are whole states, sent again as often as needed: receiving one
//! twice, or an old one after a newer one was acted on, changes nothing.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use gantry_types::{
    Arn, AvailabilityZone, ClusterName, ContainerName, CpuUnits, InstanceId, MemoryMib, NetworkInterfaceId,
    Region, SecurityGroupId, ServiceName, SubnetId, TaskId, Timestamp, VpcId,
};

use crate::network::{Cidr, SecurityRule};
use crate::task::{ContainerStatus, HealthStatus, StopCode};
use crate::task_definition::{ContainerDefinition, LaunchType, NetworkMode, Volume};
use crate::task_session::{TaskKey, TaskSubject};

/// Everything that a node needs to run one task, overrides applied.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TaskSpec {
    pub region: Region,
    pub cluster: ClusterName,
    pub task: TaskId,
    pub arn: Arn,
    pub task_definition: Arn,
    pub family: String,
    pub revision: u32,
    pub service: Option<ServiceName>,
    pub launch_type: LaunchType,
    pub availability_zone: AvailabilityZone,
    pub network_mode: NetworkMode,
    /// Present in `awsvpc` mode.
    pub interface: Option<InterfaceSpec>,
    /// The container instance that the task was placed on; present in every task of the launch type EC2.
    #[serde(default)]
    pub instance: Option<InstanceSpec>,
    /// The task's own limits; `None` leaves only the containers' own.
    pub cpu: Option<CpuUnits>,
    pub memory: Option<MemoryMib>,
    /// In `bridge` and `host` mode the host ports of their mappings are those that placement chose.
    pub containers: Vec<ContainerDefinition>,
    pub volumes: Vec<Volume>,
    /// What its containers call AWS's APIs as.
    #[serde(default)]
    pub role: Option<Arn>,
    /// Makes the role's credentials; added when the task is sent to its node.
    #[serde(default)]
    pub key: Option<TaskKey>,
    #[serde(default)]
    pub shown: TaskShown,
}

/// What a task is told of itself and nothing here rests on.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct TaskShown {
    pub container_arns: BTreeMap<ContainerName, Arn>,
    pub tags: BTreeMap<String, String>,
}

/// A container instance, as its tasks see it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct InstanceSpec {
    /// The container instance's.
    pub arn: Arn,
    pub instance: InstanceId,
    /// Shared by all tasks of the instance that are not in `awsvpc` mode.
    pub interface: InterfaceSpec,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct InterfaceSpec {
    pub interface: NetworkInterfaceId,
    pub vpc: VpcId,
    pub subnet: SubnetId,
    pub subnet_cidr: Cidr,
    pub address: Ipv4Addr,
    pub mac: String,
    pub dns_address: Ipv4Addr,
    pub private_dns_name: String,
}

/// A VPC as a node and a load balancer must have it: whole state, replaced as one.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct VpcSpec {
    pub region: Region,
    pub vpc: VpcId,
    pub cidr: Cidr,
    pub dns_address: Ipv4Addr,
    /// Load balancers' addresses, on the VPC's own loopback.
    pub local_addresses: Vec<Ipv4Addr>,
    pub groups: BTreeMap<SecurityGroupId, SecurityGroupSpec>,
    /// Every address that is in a group.
    pub members: Vec<MemberSpec>,
    /// Names that the VPC's DNS answers by itself.
    pub names: BTreeMap<String, Vec<Ipv4Addr>>,
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SecurityGroupSpec {
    pub ingress: Vec<SecurityRule>,
    pub egress: Vec<SecurityRule>,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct MemberSpec {
    pub address: Ipv4Addr,
    /// `None` for an address on the VPC's loopback.
    pub interface: Option<NetworkInterfaceId>,
    pub groups: Vec<SecurityGroupId>,
    /// The interface is an instance's: it outlives the tasks that use it.
    #[serde(default)]
    pub is_instance: bool,
}

/// Where a task is in its life on the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum TaskPhase {
    /// Accepted; the network, the images or the containers are being made.
    Preparing,
    /// Every container that has to run has started.
    Running,
    /// Told to stop, or an essential container ended: the others are being stopped.
    Stopping,
    /// Nothing of it runs any more.
    Stopped,
}

/// All that a node knows of one task.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TaskReport {
    pub region: Region,
    pub cluster: ClusterName,
    pub task: TaskId,
    pub phase: TaskPhase,
    pub health: HealthStatus,
    pub containers: Vec<ContainerReport>,
    /// Why the task is not running: said once it is [`TaskPhase::Stopping`], if it was not told to stop.
    pub stop: Option<StopCause>,
    pub pull_started_at: Option<Timestamp>,
    pub pull_stopped_at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub execution_stopped_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StopCause {
    pub code: StopCode,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ContainerReport {
    pub name: ContainerName,
    pub status: ContainerStatus,
    pub runtime_id: Option<String>,
    pub image_digest: Option<String>,
    pub exit_code: Option<i32>,
    pub reason: Option<String>,
    pub health: HealthStatus,
}

/// How a node shall stop a task.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StopOrder {
    pub region: Region,
    pub cluster: ClusterName,
    pub task: TaskId,
}

impl TaskSpec {
    /// The interface through which the task is in its VPC: its own, or its instance's. Without network there is none.
    pub fn uplink(&self) -> Option<&InterfaceSpec> {
        match self.network_mode {
            NetworkMode::Awsvpc => self.interface.as_ref(),
            NetworkMode::Bridge | NetworkMode::Host => self.instance.as_ref().map(|each| &each.interface),
            NetworkMode::None => None,
        }
    }
    /// The default between the stop signal and SIGKILL.
    pub const STOP_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

    /// Whose credentials the task is given.
    pub fn subject(&self) -> Option<TaskSubject> {
        Some(TaskSubject {
            role: self.role.clone()?,
            region: self.region.clone(),
            cluster: self.cluster.clone(),
            task: self.task.clone(),
        })
    }
}
