//! What nodes are told of the VPCs.

use std::collections::BTreeMap;

use gantry_domain::View;
use gantry_domain::assignment::{MemberSpec, SecurityGroupSpec, VpcSpec};
use gantry_domain::elb::LoadBalancer;
use gantry_domain::network::{InterfaceOwner, NetworkInterface, SecurityGroup, Vpc};
use gantry_types::VpcId;

/// Every VPC that a task, an instance or a load balancer has an address in.
pub(crate) fn vpc_specs(view: &View) -> BTreeMap<VpcId, VpcSpec> {
    let mut specs: BTreeMap<VpcId, VpcSpec> = BTreeMap::new();
    for interface in view.scan::<NetworkInterface>("") {
        let is_instance = match interface.owner {
            InterfaceOwner::Task(_) => false,
            InterfaceOwner::Instance(_) => true,
            InterfaceOwner::LoadBalancer(_) | InterfaceOwner::User => continue,
        };
        if let Some(spec) = spec_of(view, &mut specs, &interface.region, &interface.vpc) {
            spec.members.push(MemberSpec {
                address: interface.address,
                interface: Some(interface.id.clone()),
                groups: interface.security_groups.clone(),
                is_instance,
            });
        }
    }
    for balancer in view.scan::<LoadBalancer>("") {
        let Some(spec) = spec_of(view, &mut specs, &balancer.region, &balancer.vpc) else { continue };
        let addresses: Vec<_> = balancer.subnets.iter().map(|subnet| subnet.address).collect();
        spec.members.extend(addresses.iter().map(|address| MemberSpec {
            address: *address,
            interface: None,
            groups: balancer.security_groups.clone(),
            is_instance: false,
        }));
        spec.local_addresses.extend(&addresses);
        spec.names.insert(balancer.dns_name.to_ascii_lowercase(), addresses);
    }
    for group in view.scan::<SecurityGroup>("") {
        if let Some(spec) = specs.get_mut(&group.vpc) {
            let rules = SecurityGroupSpec { ingress: group.ingress.clone(), egress: group.egress.clone() };
            spec.groups.insert(group.id.clone(), rules);
        }
    }
    specs
}

fn spec_of<'s>(
    view: &View,
    specs: &'s mut BTreeMap<VpcId, VpcSpec>,
    region: &gantry_types::Region,
    id: &VpcId,
) -> Option<&'s mut VpcSpec> {
    if !specs.contains_key(id) {
        let vpc: &Vpc = view.vpc(region, id)?.value();
        let spec = VpcSpec {
            region: region.clone(),
            vpc: id.clone(),
            cidr: vpc.cidr,
            dns_address: vpc.dns_address(),
            local_addresses: Vec::new(),
            groups: BTreeMap::new(),
            members: Vec::new(),
            names: BTreeMap::new(),
        };
        specs.insert(id.clone(), spec);
    }
    specs.get_mut(id)
}
