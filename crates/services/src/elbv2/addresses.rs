//! Where a load balancer stands: its subnets, groups, interfaces, and its address outside.

use std::net::Ipv4Addr;

use gantry_api::elbv2::{SubnetMapping, errors};
use gantry_api::{ApiError, CallContext};
use gantry_domain::elb::{LoadBalancer as BalancerRecord, LoadBalancerSubnet};
use gantry_domain::network::{
    InterfaceOwner, NetworkInterface as InterfaceRecord, SecurityGroup as GroupRecord,
    Subnet as SubnetRecord, mac_address,
};
use gantry_domain::{Change, Key, Versioned, View};
use gantry_types::{Arn, Ids, NetworkInterfaceId, SecurityGroupId, Value, VpcId};

use super::names::validation;
use crate::Settings;
use crate::ties::touch;

const SECURITY_GROUPS_MAX: usize = 5;

pub(super) type Subnets<'v> = (VpcId, Vec<Versioned<'v, SubnetRecord>>);

/// At least two subnets, in different zones of one VPC.
pub(super) fn subnets<'v>(
    view: &'v View,
    call: &CallContext,
    given: Option<&[String]>,
    mappings: Option<&[SubnetMapping]>,
) -> Result<Subnets<'v>, ApiError> {
    let (given, mappings) = (given.unwrap_or_default(), mappings.unwrap_or_default());
    if !given.is_empty() && !mappings.is_empty() {
        return Err(validation("Subnets and subnet mappings cannot be specified at the same time"));
    }
    let own_address = |each: &SubnetMapping| {
        each.allocation_id.is_some() || each.private_i_pv4_address.is_some() || each.i_pv6_address.is_some()
    };
    if mappings.iter().any(own_address) {
        return Err(errors::invalid_configuration_request_exception(
            "An application load balancer cannot be given addresses of one's own",
        ));
    }
    let mapped = mappings.iter().filter_map(|each| each.subnet_id.as_ref());
    let names: Vec<&String> = given.iter().chain(mapped).collect();
    if names.is_empty() {
        return Err(validation("At least two subnets in two different Availability Zones must be specified"));
    }
    let mut found: Vec<Versioned<'_, SubnetRecord>> = Vec::new();
    for name in names {
        let subnet = view.subnet(&call.region, &name.as_str().into()).ok_or_else(|| {
            errors::subnet_not_found_exception(format!("The subnet ID '{name}' does not exist"))
        })?;
        if found.iter().any(|other| other.vpc != subnet.vpc) {
            return Err(errors::invalid_configuration_request_exception(
                "The subnets must belong to the same VPC",
            ));
        }
        if found.iter().any(|other| other.availability_zone == subnet.availability_zone) {
            return Err(errors::invalid_configuration_request_exception(
                "A load balancer cannot be attached to multiple subnets in the same Availability Zone",
            ));
        }
        found.push(subnet);
    }
    if found.len() < 2 {
        return Err(validation("At least two subnets in two different Availability Zones must be specified"));
    }
    Ok((found[0].vpc.clone(), found))
}

/// The groups with these ids, each once, all in the VPC; its default group where none is named.
pub(super) fn security_groups<'v>(
    view: &'v View,
    call: &CallContext,
    vpc: &VpcId,
    given: &[String],
) -> Result<Vec<Versioned<'v, GroupRecord>>, ApiError> {
    if given.is_empty() {
        let default = view.security_groups_of_vpc(&call.region, vpc).find(|group| group.name == "default");
        return Ok(default.into_iter().collect());
    }
    let mut found: Vec<Versioned<'v, GroupRecord>> = Vec::new();
    let find = |id: &String| {
        let found = view.get::<GroupRecord>(&Key::security_group(&call.region, &id.as_str().into()));
        match found {
            None => Err(errors::invalid_security_group_exception(format!(
                "The security group '{id}' does not exist"
            ))),
            Some(group) if group.vpc != *vpc => Err(errors::invalid_configuration_request_exception(
                format!("One or more security groups are invalid: '{id}' is in another VPC"),
            )),
            Some(group) => Ok(group),
        }
    };
    for id in given {
        let group = find(id)?;
        if !found.iter().any(|other| other.value().id == group.value().id) {
            found.push(group);
        }
    }
    if found.len() > SECURITY_GROUPS_MAX {
        return Err(errors::invalid_configuration_request_exception(format!(
            "A load balancer has at most {SECURITY_GROUPS_MAX} security groups"
        )));
    }
    Ok(found)
}

/// An interface in each subnet. Addresses are taken from the subnet's end, tasks take theirs from its beginning.
pub(super) fn interfaces(
    view: &View,
    call: &CallContext,
    arn: &Arn,
    subnets: &[Versioned<'_, SubnetRecord>],
    groups: &[SecurityGroupId],
    ids: &mut Ids,
) -> Result<(Vec<LoadBalancerSubnet>, Vec<Change>), ApiError> {
    let (mut own, mut changes) = (Vec::new(), Vec::new());
    for subnet in subnets {
        let mut slots = (0..subnet.capacity()).rev().filter_map(|slot| subnet.address(slot));
        let address = slots.find(|address| !view.is_address_used(&subnet.id, *address)).ok_or_else(|| {
            errors::invalid_subnet_exception(format!("Not enough IP space available in {}", subnet.id))
        })?;
        own.push(LoadBalancerSubnet {
            subnet: subnet.id.clone(),
            availability_zone: subnet.availability_zone.clone(),
            address,
        });
        // Two choices of one address, made at the same time, conflict, and so does a deletion of the subnet.
        changes.push(touch(subnet));
        changes.push(Change::create(InterfaceRecord {
            region: call.region.clone(),
            id: NetworkInterfaceId::new(format!("eni-{}", ids.hex(17))),
            vpc: subnet.vpc.clone(),
            subnet: subnet.id.clone(),
            availability_zone: subnet.availability_zone.clone(),
            address,
            mac: mac_address(address, 0xe1),
            security_groups: groups.to_vec(),
            owner: InterfaceOwner::LoadBalancer(arn.clone()),
            created_at: call.now,
            document: Value::map(),
        }));
    }
    Ok((own, changes))
}

/// The first address of the range that no load balancer has.
pub(super) fn outside_address(view: &View, settings: &Settings) -> Result<Ipv4Addr, ApiError> {
    let used: std::collections::BTreeSet<Ipv4Addr> =
        view.scan::<BalancerRecord>("").filter_map(|each| each.outside_address).collect();
    let range = settings.load_balancer_range;
    let mut addresses = (1..range.len().saturating_sub(1)).map_while(|offset| range.nth(offset));
    addresses.find(|address| !used.contains(address)).ok_or_else(|| {
        errors::too_many_load_balancers_exception(format!(
            "Every address of {range} is taken by a load balancer"
        ))
    })
}

/// The interfaces that a load balancer has.
pub(super) fn owned<'v>(view: &'v View, record: &BalancerRecord) -> Vec<Versioned<'v, InterfaceRecord>> {
    let is_own = |interface: &InterfaceRecord| matches!(&interface.owner, InterfaceOwner::LoadBalancer(arn) if *arn == record.arn);
    view.scan::<InterfaceRecord>(&format!("{}/", record.region)).filter(|each| is_own(each)).collect()
}
