//! Container instances: what a cluster's EC2 tasks are placed on.
//!
//! An instance is a network interface in a VPC and a share of a machine. Several may stand on one machine, each with its own
//! address and ports.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use gantry_types::{
    Arn, AvailabilityZone, ClusterName, ContainerInstanceId, CpuUnits, InstanceId, MemoryMib,
    NetworkInterfaceId, NodeId, Region, SecurityGroupId, SubnetId, Timestamp, Value, VpcId,
};

use crate::aws_enum::aws_enum;

aws_enum! {
    ContainerInstanceStatus { Active = "ACTIVE", Draining = "DRAINING", }
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ContainerInstance {
    pub region: Region,
    pub cluster: ClusterName,
    pub id: ContainerInstanceId,
    pub arn: Arn,
    pub instance: InstanceId,
    /// The machine that runs its tasks; the agent's connection is that node's.
    pub node: NodeId,
    pub origin: InstanceOrigin,
    pub status: ContainerInstanceStatus,
    /// What it was registered with; strict, whatever else its machine runs.
    pub cpu: CpuUnits,
    pub memory: MemoryMib,
    pub availability_zone: AvailabilityZone,
    pub interface: InstanceInterface,
    /// Those that the instance has by itself, and those of PutAttributes.
    pub attributes: BTreeMap<String, Option<String>>,
    pub registered_at: Timestamp,
    /// Grows with each change of the record.
    pub version: u64,
    /// Tags and whatever else Describe gives back.
    pub document: Value,
}

/// Why an instance is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum InstanceOrigin {
    /// The machine itself, lent to a cluster that asked for EC2 and had no instance.
    Machine,
}

/// The interface by which an instance is in its VPC.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct InstanceInterface {
    pub interface: NetworkInterfaceId,
    pub vpc: VpcId,
    pub subnet: SubnetId,
    pub address: Ipv4Addr,
    pub mac: String,
    pub security_groups: Vec<SecurityGroupId>,
}

impl ContainerInstance {
    /// The attribute that strategies spread over and constraints ask for most.
    pub const ZONE_ATTRIBUTE: &str = "ecs.availability-zone";
    /// TCP ports that the instance keeps for itself, as on AWS: SSH, Docker and the agent.
    pub const RESERVED_PORTS: [u16; 5] = [22, 2375, 2376, 51678, 51679];
}
