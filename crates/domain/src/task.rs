//! Tasks: what was decided about them and what their node said.

use std::net::Ipv4Addr;

use gantry_types::{
    Arn, AvailabilityZone, ClusterName, ContainerInstanceId, ContainerName, CpuUnits, DeploymentId,
    MemoryMib, NetworkInterfaceId, NodeId, Region, RegistrationId, SecurityGroupId, ServiceName, SubnetId,
    TaskId, Timestamp, Value, VpcId,
};

use crate::aws_enum::aws_enum;
use crate::service::{AwsvpcConfiguration, PlacementConstraint, PlacementStrategy};
use crate::task_definition::{LaunchType, TransportProtocol};

aws_enum! {
    /// A task's life, in its order.
    TaskStatus {
        Provisioning = "PROVISIONING",
        Pending = "PENDING",
        Activating = "ACTIVATING",
        Running = "RUNNING",
        Deactivating = "DEACTIVATING",
        Stopping = "STOPPING",
        Deprovisioning = "DEPROVISIONING",
        Stopped = "STOPPED",
    }
}
aws_enum! {
    DesiredStatus { Running = "RUNNING", Stopped = "STOPPED", }
}
aws_enum! {
    StopCode {
        TaskFailedToStart = "TaskFailedToStart",
        EssentialContainerExited = "EssentialContainerExited",
        UserInitiated = "UserInitiated",
        ServiceSchedulerInitiated = "ServiceSchedulerInitiated",
        SpotInterruption = "SpotInterruption",
        TerminationNotice = "TerminationNotice",
        InfrastructureHealth = "InfrastructureHealth",
    }
}
aws_enum! {
    HealthStatus { Healthy = "HEALTHY", Unhealthy = "UNHEALTHY", Unknown = "UNKNOWN", }
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Task {
    pub region: Region,
    pub cluster: ClusterName,
    pub id: TaskId,
    pub arn: Arn,
    pub task_definition: Arn,
    /// `service:NAME` or `family:NAME`, or what RunTask gave.
    pub group: String,
    /// A service's tasks carry their deployment's id here.
    pub started_by: Option<String>,
    pub service: Option<ServiceName>,
    pub deployment: Option<DeploymentId>,
    pub launch_type: LaunchType,
    pub cpu: CpuUnits,
    pub memory: MemoryMib,
    /// What placement has to honour; given with the task, never changed.
    pub wish: PlacementWish,
    /// Chosen by placement; a task without a node waits for one.
    pub node: Option<NodeId>,
    /// Chosen with the node for a task of the launch type EC2.
    #[serde(default)]
    pub container_instance: Option<ContainerInstanceId>,
    /// Empty until the task is placed.
    pub availability_zone: AvailabilityZone,
    pub attachment: Option<Attachment>,
    pub desired_status: DesiredStatus,
    pub last_status: TaskStatus,
    pub health: HealthStatus,
    pub stop_code: Option<StopCode>,
    pub stopped_reason: Option<String>,
    pub containers: Vec<Container>,
    /// The registrations that the task's service made for it.
    pub registrations: Vec<Registration>,
    /// A stopped task's end was counted by its service: as a failed start or not, exactly once.
    pub accounted: bool,
    pub times: TaskTimes,
    /// Grows with each change that DescribeTasks shows.
    pub version: u64,
    /// Overrides, tags and whatever else Describe gives back.
    pub document: Value,
}

/// What the task's creator said about where it may run.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct PlacementWish {
    /// Required in `awsvpc` mode, absent in the others.
    pub network: Option<AwsvpcConfiguration>,
    pub constraints: Vec<PlacementConstraint>,
    pub strategy: Vec<PlacementStrategy>,
    /// The one instance that StartTask named.
    #[serde(default)]
    pub instance: Option<ContainerInstanceId>,
}

/// The task's network interface in `awsvpc` mode.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Attachment {
    /// The attachment's own id, a UUID.
    pub id: String,
    pub interface: NetworkInterfaceId,
    pub vpc: VpcId,
    pub subnet: SubnetId,
    pub address: Ipv4Addr,
    pub mac: String,
    pub security_groups: Vec<SecurityGroupId>,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Registration {
    pub target_group: Arn,
    pub registration: RegistrationId,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct TaskTimes {
    pub created_at: Timestamp,
    pub connectivity_at: Option<Timestamp>,
    pub pull_started_at: Option<Timestamp>,
    pub pull_stopped_at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    /// When its service first counted it as healthy.
    pub healthy_at: Option<Timestamp>,
    /// Since when the task is to be stopped.
    pub stopping_at: Option<Timestamp>,
    pub execution_stopped_at: Option<Timestamp>,
    pub stopped_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Container {
    pub name: ContainerName,
    pub arn: Arn,
    pub image: String,
    pub image_digest: Option<String>,
    pub runtime_id: Option<String>,
    pub last_status: ContainerStatus,
    pub exit_code: Option<i32>,
    /// Why it ended, for example `OutOfMemoryError: Container killed due to memory usage`.
    pub reason: Option<String>,
    pub health: HealthStatus,
    /// The ports of its instance that lead to it, in `bridge` and `host` mode; chosen by placement.
    #[serde(default)]
    pub network_bindings: Vec<NetworkBinding>,
}

/// A port of an instance that leads to a container's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct NetworkBinding {
    pub container_port: u16,
    pub host_port: u16,
    pub protocol: TransportProtocol,
}

aws_enum! {
    ContainerStatus { Pending = "PENDING", Running = "RUNNING", Stopped = "STOPPED", }
}

impl Task {
    /// Neither stopped nor on its way there.
    pub fn is_wanted(&self) -> bool {
        self.desired_status == DesiredStatus::Running && self.last_status != TaskStatus::Stopped
    }
    pub fn is_stopped(&self) -> bool {
        self.last_status == TaskStatus::Stopped
    }
    /// Whether the task ever got to RUNNING.
    pub fn has_started(&self) -> bool {
        self.times.started_at.is_some()
    }
}
