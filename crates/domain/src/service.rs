//! Clusters, services and their deployments.

use std::collections::BTreeMap;
use std::time::Duration;

use gantry_types::{
    Arn, ClusterName, ContainerName, DeploymentId, Region, SecurityGroupId, ServiceName, SubnetId, TaskId,
    Timestamp, Value,
};

use crate::aws_enum::aws_enum;
use crate::task_definition::LaunchType;

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Cluster {
    pub region: Region,
    pub name: ClusterName,
    pub arn: Arn,
    /// A deleted cluster stays describable as INACTIVE.
    pub active: bool,
    pub document: Value,
}

aws_enum! {
    ServiceStatus { Active = "ACTIVE", Draining = "DRAINING", Inactive = "INACTIVE", }
}
aws_enum! {
    SchedulingStrategy { Replica = "REPLICA", Daemon = "DAEMON", }
}
aws_enum! {
    DeploymentController { Ecs = "ECS", CodeDeploy = "CODE_DEPLOY", External = "EXTERNAL", }
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Service {
    pub region: Region,
    pub cluster: ClusterName,
    pub name: ServiceName,
    pub arn: Arn,
    pub status: ServiceStatus,
    pub scheduling: SchedulingStrategy,
    pub controller: DeploymentController,
    pub desired_count: u32,
    pub minimum_healthy_percent: u32,
    pub maximum_percent: u32,
    pub circuit_breaker: CircuitBreaker,
    pub health_check_grace: Duration,
    pub load_balancers: Vec<ServiceLoadBalancer>,
    /// Newest first; the first one is PRIMARY.
    pub deployments: Vec<Deployment>,
    pub placement_constraints: Vec<PlacementConstraint>,
    pub placement_strategy: Vec<PlacementStrategy>,
    /// `has reached a steady state` was the last thing said about it.
    pub steady: bool,
    /// The number of the newest event.
    pub event_sequence: u64,
    /// Texts that are not repeated until resolved or for six hours, and when each was last said.
    pub told: BTreeMap<String, Timestamp>,
    pub created_at: Timestamp,
    /// When DeleteService was accepted.
    pub deleted_at: Option<Timestamp>,
    /// Members that no decision reads, as the API gives them.
    pub document: Value,
}

impl Service {
    /// How many events DescribeServices gives back, and are kept.
    pub const EVENTS_MAX: u64 = 100;

    /// The deployment that all tasks shall belong to.
    pub fn primary(&self) -> Option<&Deployment> {
        self.deployments.first()
    }
    /// At least so many tasks stay healthy.
    pub fn minimum_healthy(&self) -> u32 {
        let tasks = (u64::from(self.desired_count) * u64::from(self.minimum_healthy_percent)).div_ceil(100);
        u32::try_from(tasks).unwrap_or(u32::MAX)
    }
    /// RUNNING and PENDING tasks never exceed this.
    pub fn maximum(&self) -> u32 {
        let tasks = u64::from(self.desired_count) * u64::from(self.maximum_percent) / 100;
        u32::try_from(tasks).unwrap_or(u32::MAX)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct CircuitBreaker {
    pub enable: bool,
    pub rollback: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ServiceLoadBalancer {
    pub target_group: Arn,
    pub container_name: ContainerName,
    pub container_port: u16,
}

aws_enum! {
    DeploymentStatus { Primary = "PRIMARY", Active = "ACTIVE", Inactive = "INACTIVE", }
}
aws_enum! {
    RolloutState { InProgress = "IN_PROGRESS", Completed = "COMPLETED", Failed = "FAILED", }
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Deployment {
    pub id: DeploymentId,
    pub status: DeploymentStatus,
    pub task_definition: Arn,
    pub launch_type: LaunchType,
    pub network: Option<AwsvpcConfiguration>,
    /// How many tasks the deployment shall have in the end.
    pub desired_count: u32,
    pub rollout_state: RolloutState,
    pub rollout_state_reason: String,
    /// Consecutive tasks that failed, as DescribeServices shows them and the circuit breaker counts them.
    pub failed_tasks: u32,
    /// Tasks in a row that never reached RUNNING; drives the back-off.
    pub start_failures: u32,
    /// No task is started before this.
    pub start_after: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub document: Value,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AwsvpcConfiguration {
    pub subnets: Vec<SubnetId>,
    pub security_groups: Vec<SecurityGroupId>,
    pub assign_public_ip: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum PlacementConstraint {
    DistinctInstance,
    MemberOf(String),
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum PlacementStrategy {
    /// The attribute to spread over.
    Spread(String),
    /// `cpu` or `memory`.
    Binpack(String),
    Random,
}

/// One of a service's last events. Each is a record of its own: telling one does not rewrite a hundred.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ServiceEvent {
    pub region: Region,
    pub cluster: ClusterName,
    pub service: ServiceName,
    pub sequence: u64,
    /// A UUID.
    pub id: String,
    pub created_at: Timestamp,
    /// The whole text, beginning with `(service NAME) `.
    pub message: String,
}

/// A task by its place in the store: what an index holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskRef {
    pub region: Region,
    pub cluster: ClusterName,
    pub id: TaskId,
}
