//! Why a task has no place, in AWS's words.

use gantry_domain::task_definition::LaunchType;
use gantry_types::{ContainerInstanceId, SubnetId};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no machine at all, or the cluster has no instance.
    NoInstances,
    /// The cluster is about to be lent the machine as its instance.
    InstanceJoining,
    /// Every machine that FARGATE would use is away.
    MachineDisconnected,
    /// Every instance that would do is away.
    AgentDisconnected(ContainerInstanceId),
    InsufficientCpu(ContainerInstanceId),
    InsufficientMemory(ContainerInstanceId),
    /// A port that the task asks for by number is held or reserved, or no dynamic one is left.
    PortsInUse(ContainerInstanceId),
    /// A `memberOf` or `distinctInstance` constraint excludes the node.
    Constraint {
        closest: ContainerInstanceId,
        constraint: &'static str,
    },
    /// No node runs tasks in any zone of the task's subnets.
    NoZone,
    /// The subnets that the task may use have no address left, or do not exist.
    NoAddress(Vec<SubnetId>),
}

impl Refusal {
    /// Behind "no container instance met all of its requirements. " in a service's event.
    pub fn event_reason(&self) -> String {
        match self {
            Self::NoInstances | Self::InstanceJoining | Self::MachineDisconnected => {
                "Reason: No Container Instances were found in your cluster.".to_owned()
            }
            Self::AgentDisconnected(node) => closest(node, "doesn't have the agent connected."),
            Self::InsufficientCpu(node) => closest(node, "has insufficient CPU units available."),
            Self::InsufficientMemory(node) => closest(node, "has insufficient memory available."),
            Self::PortsInUse(node) => closest(node, "is already using a port required by your task."),
            Self::Constraint { closest: node, constraint } => closest(
                node,
                &format!("encountered error \"{constraint} placement constraint unsatisfied.\""),
            ),
            Self::NoZone => {
                "Reason: No Container Instances were found in the Availability Zones of the subnets."
                    .to_owned()
            }
            Self::NoAddress(subnets) => {
                let subnets: Vec<&str> = subnets.iter().map(SubnetId::as_str).collect();
                format!("Reason: RESOURCE:ENI. No address is left in {}.", subnets.join(", "))
            }
        }
    }

    /// As RunTask's `failures` and a stopped task's reason name it.
    pub fn failure(&self) -> &'static str {
        match self {
            Self::NoInstances | Self::InstanceJoining => "EMPTY CAPACITY PROVIDER",
            Self::MachineDisconnected | Self::AgentDisconnected(_) => "AGENT",
            Self::InsufficientCpu(_) => "RESOURCE:CPU",
            Self::InsufficientMemory(_) => "RESOURCE:MEMORY",
            Self::PortsInUse(_) => "RESOURCE:PORTS",
            Self::Constraint { .. } => "ATTRIBUTE",
            Self::NoZone => "LOCATION",
            Self::NoAddress(_) => "RESOURCE:ENI",
        }
    }

    /// The instance that would almost have done.
    pub fn closest(&self) -> Option<&ContainerInstanceId> {
        match self {
            Self::AgentDisconnected(closest)
            | Self::InsufficientCpu(closest)
            | Self::InsufficientMemory(closest)
            | Self::PortsInUse(closest)
            | Self::Constraint { closest, .. } => Some(closest),
            Self::NoInstances
            | Self::InstanceJoining
            | Self::MachineDisconnected
            | Self::NoZone
            | Self::NoAddress(_) => None,
        }
    }

    /// Nothing is wrong with what was asked: FARGATE promises capacity, so its tasks wait for a machine that is away. Of the others
    /// only those wait whose instance is on its way.
    pub fn is_passing(&self, launch_type: LaunchType) -> bool {
        match self {
            Self::InstanceJoining | Self::MachineDisconnected => true,
            Self::NoInstances => launch_type == LaunchType::Fargate,
            Self::AgentDisconnected(_)
            | Self::InsufficientCpu(_)
            | Self::InsufficientMemory(_)
            | Self::PortsInUse(_)
            | Self::Constraint { .. }
            | Self::NoZone
            | Self::NoAddress(_) => false,
        }
    }
}

fn closest(node: &ContainerInstanceId, what: &str) -> String {
    format!("The closest matching (container-instance {node}) {what}")
}
