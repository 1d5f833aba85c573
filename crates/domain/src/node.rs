//! Machines that run containers.

use gantry_types::{AvailabilityZone, CpuUnits, MemoryMib, NodeId, Timestamp, Value};

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Node {
    pub id: NodeId,
    pub cpu: CpuUnits,
    pub memory: MemoryMib,
    /// Zones that the node may run tasks of; empty means every zone, as for the machine that Gantry itself runs on.
    pub availability_zones: Vec<AvailabilityZone>,
    pub state: NodeState,
    /// Since when the node has been in its state.
    pub since: Timestamp,
    pub version: String,
    pub document: Value,
}

/// Whether a node can be given tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum NodeState {
    /// Connected, and it takes tasks.
    Active,
    /// The link is down; its tasks are believed to live on until the node is lost.
    Disconnected,
    /// Not heard of for longer than the limit: its tasks are lost.
    Lost,
    /// It keeps what it has and takes nothing new.
    Draining,
}
