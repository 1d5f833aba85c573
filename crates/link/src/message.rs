//! The messages.

use gantry_domain::assignment::{StopOrder, TaskReport, TaskSpec, VpcSpec};
use gantry_domain::elb::{Listener, LoadBalancer, Rule, Target, TargetGroup, TargetHealth};
use gantry_domain::network::SecurityRule;
use gantry_types::{
    Arn, ClusterName, CpuUnits, MemoryMib, NodeId, Region, RegistrationId, TaskId, Timestamp, VpcId,
};
use serde::{Deserialize, Serialize};

/// The version of these messages. A side that meets a higher major number says so and waits to be upgraded.
pub const PROTOCOL: u32 = 1;

/// The first message of a child.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    pub protocol: u32,
    pub version: String,
    pub role: Role,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Role {
    Node { id: NodeId, cpu: CpuUnits, memory: MemoryMib },
    LoadBalancer { id: NodeId },
}

/// A task by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskName {
    pub region: Region,
    pub cluster: ClusterName,
    pub task: TaskId,
}

/// From `control` to a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToNode {
    /// Make or change a VPC.
    Vpc(Box<VpcSpec>),
    /// No task and no load balancer uses the VPC any more.
    RemoveVpc(VpcId),
    /// Run this task; a task that the node has already is left as it is.
    Run(Box<TaskSpec>),
    /// Stop this task: stop signals, then SIGKILL after each container's timeout.
    Stop(StopOrder),
    /// The task's end is on record: remove what is left of it.
    Forget(TaskName),
    /// All that the node shall have was sent; any other task is stopped and any other VPC removed.
    Synced { tasks: Vec<TaskName>, vpcs: Vec<VpcId> },
    /// Log records up to and with `sequence` are kept.
    LogsKept { source: LogSource, sequence: u64 },
    /// The link lives; sent every [`HEARTBEAT_INTERVAL_MS`].
    Heartbeat,
}

/// From a node to `control`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FromNode {
    Hello(Hello),
    /// All that the node knows of a task; sent on each change, and for every task after a `Hello`.
    Task(Box<TaskReport>),
    /// Every task of the node was reported: those that `control` believes it has and that were not, it does not have.
    Reported {
        tasks: Vec<TaskName>,
    },
    Logs(LogBatch),
    /// Sent every [`HEARTBEAT_INTERVAL_MS`].
    Heartbeat,
}

pub const HEARTBEAT_INTERVAL_MS: u64 = 1_000;
/// A link that was silent for so long is closed.
pub const LINK_SILENCE_MAX_MS: u64 = 5_000;

/// One container's output.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogSource {
    pub task: TaskId,
    pub container: String,
}

/// Lines of one container, in order. Sequences grow by container and are never used twice, so that a batch that is sent again
/// is kept once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogBatch {
    pub source: LogSource,
    pub region: Region,
    pub group: String,
    pub stream: String,
    /// The group is made if it does not exist (`awslogs-create-group`).
    pub create_group: bool,
    pub records: Vec<LogRecord>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogRecord {
    pub sequence: u64,
    /// When the line was written.
    pub at: Timestamp,
    /// Without its line end; bytes that are not UTF-8 were replaced by U+FFFD.
    pub message: String,
}

/// From `control` to a load balancer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToLb {
    LoadBalancer(Box<LoadBalancerConfig>),
    RemoveLoadBalancer(Arn),
    TargetGroup(Box<TargetGroupConfig>),
    RemoveTargetGroup(Arn),
    /// Everything was sent; any other load balancer or target group is gone.
    Synced {
        load_balancers: Vec<Arn>,
        target_groups: Vec<Arn>,
    },
    /// The link lives.
    Heartbeat,
}

/// A load balancer with all that its listeners do. Records carry no documents here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadBalancerConfig {
    pub load_balancer: LoadBalancer,
    pub listeners: Vec<ListenerConfig>,
    /// What the load balancer's groups let in: checked at accept for clients outside the VPC.
    pub ingress: Vec<SecurityRule>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListenerConfig {
    pub listener: Listener,
    /// Lowest priority first, without the default rule.
    pub rules: Vec<Rule>,
}

/// A target group with all its targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetGroupConfig {
    pub group: TargetGroup,
    /// A service will register a target here: requests are held when there is none.
    pub promised: bool,
    /// Some listener of some load balancer forwards here: else its targets are `unused`.
    pub in_use: bool,
    pub targets: Vec<Target>,
}

/// From a load balancer to `control`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FromLb {
    Hello(Hello),
    TargetHealth {
        target_group: Arn,
        registration: RegistrationId,
        health: TargetHealth,
    },
    /// No request is in flight on a draining target any more, and none will be sent to it.
    Drained {
        target_group: Arn,
        registration: RegistrationId,
    },
    /// Whether a listener's sockets are open; the error says why not.
    Listener {
        listener: Arn,
        error: Option<String>,
    },
    Heartbeat,
}
