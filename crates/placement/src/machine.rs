//! Lending the machine to a cluster as its one container instance.
//!
//! On AWS a cluster has the instances that somebody started for it. Here there is one machine, and nobody starts it: so a cluster
//! that asks for the launch type EC2 and has no instance is lent the machine.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use gantry_domain::container_instance::{
    ContainerInstance, ContainerInstanceStatus, InstanceInterface, InstanceOrigin,
};
use gantry_domain::elb::TargetType;
use gantry_domain::network::{InterfaceOwner, NetworkInterface, Subnet, Vpc, mac_address};
use gantry_domain::node::{Node, NodeState};
use gantry_domain::service::{Cluster, Service, ServiceStatus};
use gantry_domain::task_definition::LaunchType;
use gantry_domain::{Change, Versioned, View};
use gantry_types::{
    ClusterName, ContainerInstanceId, Ids, InstanceId, NetworkInterfaceId, Region, SubnetId, Timestamp,
    Value, VpcId, arn,
};

use crate::Addresses;
use crate::place::default_group;

/// Whether a cluster can be lent the machine.
#[derive(Debug, Clone, Copy)]
pub enum Lending<'v> {
    /// This one.
    Possible(&'v Node),
    /// The cluster is none or has instances already, its region has no subnet for one, or no machine is there.
    Impossible,
}

/// An instance has an architecture, a system and a type. There is no type of this machine's size, so its own name stands there.
const ATTRIBUTES: [(&str, Option<&str>); 9] = [
    ("ecs.os-type", Some("linux")),
    ("ecs.os-family", Some("LINUX")),
    ("ecs.cpu-architecture", Some("x86_64")),
    ("ecs.instance-type", Some("gantry.machine")),
    ("ecs.capability.task-eni", None),
    ("ecs.capability.container-health-check", None),
    ("ecs.capability.container-ordering", None),
    ("com.amazonaws.ecs.capability.logging-driver.awslogs", None),
    ("com.amazonaws.ecs.capability.docker-remote-api.1.18", None),
];

pub fn lending<'v>(view: &'v View, region: &Region, cluster: &ClusterName) -> Lending<'v> {
    let found = view.cluster(region, cluster).filter(|cluster| cluster.active);
    let vpc = found.and_then(|cluster| service_vpc(view, &cluster).or_else(|| default_vpc(view, region)));
    let has_place = vpc.is_some_and(|vpc| view.subnets_of_vpc(region, &vpc).next().is_some());
    let has_own = view.instances_of_cluster(region, cluster).next().is_some();
    let machine = view.scan::<Node>("").find(|node| node.state == NodeState::Active);
    match machine.filter(|_| has_place && !has_own) {
        Some(machine) => Lending::Possible(machine.value()),
        None => Lending::Impossible,
    }
}

/// The machine as the cluster's instance, with the changes that make it so and the address that they take; `None` if the region
/// has no subnet for it.
pub fn lend(
    view: &View,
    cluster: &Cluster,
    machine: &Node,
    addresses: &mut Addresses,
    now: Timestamp,
    ids: &mut Ids,
) -> Option<(Vec<Change>, (SubnetId, Ipv4Addr))> {
    let subnet = subnet(view, cluster, addresses)?;
    let address = addresses.choose(view, subnet.value(), ids)?;
    addresses.reserve(&subnet.id, address);
    let instance = InstanceId::new(format!("i-{}", ids.hex(17)));
    let interface = NetworkInterface {
        region: cluster.region.clone(),
        id: NetworkInterfaceId::new(format!("eni-{}", ids.hex(17))),
        vpc: subnet.vpc.clone(),
        subnet: subnet.id.clone(),
        availability_zone: subnet.availability_zone.clone(),
        address,
        mac: mac_address(address, ids.below(256) as u8),
        security_groups: default_group(view, subnet.value()).into_iter().collect(),
        owner: InterfaceOwner::Instance(instance.clone()),
        created_at: now,
        document: Value::map(),
    };
    let record = instance_record(cluster, machine, instance, &interface, now, ids);
    let taken = (subnet.id.clone(), address);
    Some((vec![Change::create(interface), Change::create(record)], taken))
}

fn instance_record(
    cluster: &Cluster,
    machine: &Node,
    instance: InstanceId,
    interface: &NetworkInterface,
    now: Timestamp,
    ids: &mut Ids,
) -> ContainerInstance {
    let id = ContainerInstanceId::new(ids.hex(32));
    let mut attributes: BTreeMap<String, Option<String>> =
        ATTRIBUTES.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect();
    for (name, value) in [
        (ContainerInstance::ZONE_ATTRIBUTE, interface.availability_zone.as_str()),
        ("ecs.vpc-id", interface.vpc.as_str()),
        ("ecs.subnet-id", interface.subnet.as_str()),
    ] {
        attributes.insert(name.to_owned(), Some(value.to_owned()));
    }
    ContainerInstance {
        region: cluster.region.clone(),
        cluster: cluster.name.clone(),
        arn: arn("ecs", cluster.region.as_str(), &format!("container-instance/{}/{id}", cluster.name)),
        id,
        instance,
        node: machine.id.clone(),
        origin: InstanceOrigin::Machine,
        status: ContainerInstanceStatus::Active,
        cpu: machine.cpu,
        memory: machine.memory,
        availability_zone: interface.availability_zone.clone(),
        interface: InstanceInterface {
            interface: interface.id.clone(),
            vpc: interface.vpc.clone(),
            subnet: interface.subnet.clone(),
            address: interface.address,
            mac: interface.mac.clone(),
            security_groups: interface.security_groups.clone(),
        },
        attributes,
        registered_at: now,
        version: 1,
        document: Value::map(),
    }
}

/// The subnet with the most addresses in the first zone of the VPC that the cluster's services are reached in.
fn subnet<'v>(view: &'v View, cluster: &Cluster, addresses: &Addresses) -> Option<Versioned<'v, Subnet>> {
    let vpc = service_vpc(view, cluster).or_else(|| default_vpc(view, &cluster.region))?;
    let subnets = view.subnets_of_vpc(&cluster.region, &vpc);
    let mut usable: Vec<_> =
        subnets.map(|subnet| (addresses.free(view, &subnet), subnet)).filter(|(free, _)| *free > 0).collect();
    usable.sort_by(|(a_free, a), (b_free, b)| {
        (&a.availability_zone, std::cmp::Reverse(a_free), &a.id).cmp(&(
            &b.availability_zone,
            std::cmp::Reverse(b_free),
            &b.id,
        ))
    });
    usable.into_iter().next().map(|(_, subnet)| subnet)
}

/// Where the load balancer of a service is that needs instances as targets.
fn service_vpc(view: &View, cluster: &Cluster) -> Option<VpcId> {
    let services = view.scan::<Service>(&format!("{}/{}/", cluster.region, cluster.name));
    let on_instances = services.filter(|service| {
        service.status == ServiceStatus::Active
            && service.primary().is_some_and(|primary| primary.launch_type == LaunchType::Ec2)
    });
    let groups = on_instances.flat_map(|service| &service.value().load_balancers);
    groups
        .filter_map(|each| view.target_group(&each.target_group))
        .find(|group| group.target_type == TargetType::Instance)
        .map(|group| group.vpc.clone())
}

fn default_vpc(view: &View, region: &Region) -> Option<VpcId> {
    let mut vpcs = view.scan::<Vpc>(&format!("{region}/"));
    vpcs.find(|vpc| vpc.is_default).map(|vpc| vpc.id.clone())
}
