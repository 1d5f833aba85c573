//! The world's networks.

use std::net::Ipv4Addr;

use gantry_domain::Change;
use gantry_domain::elb::LoadBalancerSubnet;
use gantry_domain::network::{Cidr, SecurityGroup, Subnet, Vpc};
use gantry_domain::service::AwsvpcConfiguration;
use gantry_types::{Timestamp, Value, VpcId};

use crate::records::region;

/// A VPC with its subnets. All have the same addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Site {
    /// Most services live with the load balancer.
    Front,
    /// One service has a VPC of its own.
    Apart,
    /// It is there only while somebody visits it.
    Visited,
}

impl Site {
    pub(crate) fn vpc(self) -> VpcId {
        match self {
            Self::Front => "vpc-1".into(),
            Self::Apart => "vpc-2".into(),
            Self::Visited => "vpc-3".into(),
        }
    }

    pub(crate) fn security_group(self) -> &'static str {
        match self {
            Self::Front => "sg-1",
            Self::Apart => "sg-2",
            Self::Visited => "sg-3",
        }
    }

    /// Each subnet with its zone and the third number of its addresses.
    fn subnets(self) -> &'static [(&'static str, &'static str, u8)] {
        match self {
            Self::Front => &[("subnet-a", "us-east-1a", 0), ("subnet-b", "us-east-1b", 16)],
            Self::Apart => &[("subnet-c", "us-east-1a", 0)],
            Self::Visited => &[("subnet-d", "us-east-1a", 0)],
        }
    }

    /// What a task in this network says of it.
    pub(crate) fn configuration(self) -> AwsvpcConfiguration {
        AwsvpcConfiguration {
            subnets: self.subnets().iter().map(|(id, _, _)| (*id).into()).collect(),
            security_groups: vec![self.security_group().into()],
            assign_public_ip: true,
        }
    }

    /// The addresses that a load balancer has here.
    pub(crate) fn balancer_subnets(self) -> Vec<LoadBalancerSubnet> {
        let own = |(id, zone, third): &(&str, &str, u8)| LoadBalancerSubnet {
            subnet: (*id).into(),
            availability_zone: (*zone).into(),
            address: Ipv4Addr::new(172, 31, *third, 4),
        };
        self.subnets().iter().map(own).collect()
    }

    pub(crate) fn records(self, subnet_prefix: u8, now: Timestamp) -> Vec<Change> {
        let subnet = |(id, zone, third): &(&str, &str, u8)| Subnet {
            region: region(),
            id: (*id).into(),
            vpc: self.vpc(),
            cidr: Cidr::new(Ipv4Addr::new(172, 31, *third, 0), subnet_prefix).expect("a range"),
            availability_zone: (*zone).into(),
            is_default: true,
            map_public_ip: true,
            document: Value::map(),
        };
        let vpc = Vpc {
            region: region(),
            id: self.vpc(),
            cidr: Cidr::parse("172.31.0.0/16").expect("a range"),
            is_default: self == Self::Front,
            created_at: now,
            document: Value::map(),
        };
        let security_group = SecurityGroup {
            region: region(),
            id: self.security_group().into(),
            name: "default".to_owned(),
            description: "default".to_owned(),
            vpc: self.vpc(),
            ingress: vec![],
            egress: vec![],
            document: Value::map(),
        };
        let mut changes = vec![Change::create(vpc), Change::create(security_group)];
        changes.extend(self.subnets().iter().map(subnet).map(Change::create));
        changes
    }
}
