//! Why a task has no place, in AWS's words.

use gantry_types::{NodeId, SubnetId};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no node at all.
    NoInstances,
    /// Every node that would do is away.
    AgentDisconnected(NodeId),
    InsufficientCpu(NodeId),
    InsufficientMemory(NodeId),
    /// A `memberOf` or `distinctInstance` constraint excludes the node.
    Constraint {
        closest: NodeId,
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
            Self::NoInstances => "Reason: No Container Instances were found in your cluster.".to_owned(),
            Self::AgentDisconnected(node) => closest(node, "doesn't have the agent connected."),
            Self::InsufficientCpu(node) => closest(node, "has insufficient CPU units available."),
            Self::InsufficientMemory(node) => closest(node, "has insufficient memory available."),
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
            Self::NoInstances => "EMPTY CAPACITY PROVIDER",
            Self::AgentDisconnected(_) => "AGENT",
            Self::InsufficientCpu(_) => "RESOURCE:CPU",
            Self::InsufficientMemory(_) => "RESOURCE:MEMORY",
            Self::Constraint { .. } => "ATTRIBUTE",
            Self::NoZone => "LOCATION",
            Self::NoAddress(_) => "RESOURCE:ENI",
        }
    }

    /// A node that comes back makes the task placeable; nothing is wrong with what was asked.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::NoInstances | Self::AgentDisconnected(_) => true,
            Self::InsufficientCpu(_)
            | Self::InsufficientMemory(_)
            | Self::Constraint { .. }
            | Self::NoZone
            | Self::NoAddress(_) => false,
        }
    }
}

fn closest(node: &NodeId, what: &str) -> String {
    format!("The closest matching (container-instance {node}) {what}")
}
