//! Load balancers.

use std::net::Ipv4Addr;

use gantry_api::elbv2::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::elb::{
    Listener as ListenerRecord, LoadBalancer as BalancerRecord, LoadBalancerState as State,
    LoadBalancerSubnet, Scheme,
};
use gantry_domain::network::{
    InterfaceOwner, NetworkInterface as InterfaceRecord, SecurityGroup as GroupRecord,
    Subnet as SubnetRecord, mac_address,
};
use gantry_domain::{Change, Key, Stored, Versioned, View};
use gantry_types::{Arn, Ids, NetworkInterfaceId, SecurityGroupId, SubnetId, Value, VpcId, arn};

use super::catalogue::BALANCERS_MAX;
use super::names::{balancer, check_name, invalid_marker, page_size, validation};
use super::tags;
use crate::page::page;
use crate::{Decision, Settings};

/// The zone that AWS's own records of load balancers are in, per region; here there is one.
const HOSTED_ZONE: &str = "Z35SXDOTRQ7X7K";

pub(super) fn create(
    view: &View,
    call: &CallContext,
    input: &CreateLoadBalancerInput,
    ids: &mut Ids,
    settings: &Settings,
) -> Decision<CreateLoadBalancerOutput> {
    check_name(&input.name, "Load balancer")?;
    if input.name.starts_with("internal-") {
        return Err(validation(format!("Load balancer name '{}' cannot begin with 'internal-'", input.name)));
    }
    match input.r#type.as_deref() {
        None | Some("application") => {}
        Some("network" | "gateway") => {
            return Err(errors::invalid_configuration_request_exception(
                "Gantry supports only load balancers of the type application yet",
            ));
        }
        Some(other) => return Err(validation(format!("Invalid load balancer type '{other}'"))),
    }
    check_address_type(input.ip_address_type.as_deref())?;
    let scheme = match input.scheme.as_deref() {
        None => Scheme::InternetFacing,
        Some(text) => Scheme::parse(text)
            .ok_or_else(|| errors::invalid_scheme_exception(format!("Invalid scheme '{text}'")))?,
    };
    let (vpc, subnets) = subnets(view, call, input.subnets.as_deref(), input.subnet_mappings.as_deref())?;
    let groups = security_groups(view, call, &vpc, input.security_groups.as_deref())?;
    let region = &call.region;
    let mut own = view.scan::<BalancerRecord>("").filter(|each| each.region == *region);
    if let Some(existing) = own.find(|each| each.name == input.name) {
        return same_or_duplicate(existing.value(), scheme, &subnets, &groups);
    }
    if view.scan::<BalancerRecord>("").filter(|each| each.region == *region).count() >= BALANCERS_MAX {
        return Err(errors::too_many_load_balancers_exception(
            "The maximum number of load balancers has been reached",
        ));
    }
    let arn = arn(
        "elasticloadbalancing",
        region.as_str(),
        &format!("loadbalancer/app/{}/{}", input.name, ids.hex(16)),
    );
    let internal = if scheme == Scheme::Internal { "internal-" } else { "" };
    let dns_name =
        format!("{internal}{}-{}.{region}.elb.{}", input.name, ids.digits(10), settings.dns_suffix);
    let outside_address = match scheme {
        Scheme::InternetFacing => Some(outside_address(view, settings)?),
        Scheme::Internal => None,
    };
    let (subnets, mut changes) = interfaces(view, call, &arn, &subnets, &groups, ids)?;
    let record = BalancerRecord {
        region: region.clone(),
        arn,
        name: input.name.clone(),
        dns_name: dns_name.to_lowercase(),
        scheme,
        vpc,
        subnets,
        outside_address,
        security_groups: groups,
        state: State::Provisioning,
        state_reason: None,
        attributes: Default::default(),
        created_at: call.now,
        document: tags::document(input.tags.as_deref())?,
    };
    let output = CreateLoadBalancerOutput { load_balancers: Some(vec![shown(&record)]) };
    // Two load balancers of one name, or with one outside address, made at the same time, meet here.
    let name = gantry_domain::object::Object {
        class: format!("elbv2/name/{region}"),
        name: input.name.clone(),
        document: Value::from(record.arn.as_str()),
    };
    changes.push(Change::create(name));
    if let Some(address) = outside_address {
        changes.push(Change::create(gantry_domain::object::Object {
            class: "elbv2/outside-address".to_owned(),
            name: address.to_string(),
            document: Value::from(record.arn.as_str()),
        }));
    }
    changes.push(Change::create(record));
    Ok((output, changes))
}

/// The same name with the same settings gives what there is; with others it is a duplicate.
fn same_or_duplicate(
    existing: &BalancerRecord,
    scheme: Scheme,
    subnets: &[Versioned<'_, SubnetRecord>],
    groups: &[SecurityGroupId],
) -> Decision<CreateLoadBalancerOutput> {
    let mut own: Vec<&SubnetId> = existing.subnets.iter().map(|each| &each.subnet).collect();
    let mut given: Vec<&SubnetId> = subnets.iter().map(|each| &each.value().id).collect();
    own.sort();
    given.sort();
    if existing.scheme == scheme && own == given && existing.security_groups == groups {
        return Ok((CreateLoadBalancerOutput { load_balancers: Some(vec![shown(existing)]) }, vec![]));
    }
    Err(errors::duplicate_load_balancer_name_exception(format!(
        "A load balancer with the same name '{}' exists, but with different settings",
        existing.name
    )))
}

fn check_address_type(given: Option<&str>) -> Result<(), ApiError> {
    match given {
        None | Some("ipv4") => Ok(()),
        Some(_) => Err(errors::invalid_configuration_request_exception(
            "Gantry supports only the IP address type ipv4 yet",
        )),
    }
}

type Subnets<'v> = (VpcId, Vec<Versioned<'v, SubnetRecord>>);

/// At least two subnets, in different zones of one VPC.
fn subnets<'v>(
    view: &'v View,
    call: &CallContext,
    given: Option<&[String]>,
    mappings: Option<&[SubnetMapping]>,
) -> Result<Subnets<'v>, ApiError> {
    let mapped: Vec<String> =
        mappings.iter().copied().flatten().filter_map(|each| each.subnet_id.clone()).collect();
    let names = given.filter(|names| !names.is_empty()).map_or(mapped, <[String]>::to_vec);
    if names.is_empty() {
        return Err(validation("At least two subnets in two different Availability Zones must be specified"));
    }
    let mut found: Vec<Versioned<'_, SubnetRecord>> = Vec::new();
    for name in &names {
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

fn security_groups(
    view: &View,
    call: &CallContext,
    vpc: &VpcId,
    given: Option<&[String]>,
) -> Result<Vec<SecurityGroupId>, ApiError> {
    let given = given.unwrap_or_default();
    if given.is_empty() {
        let default = view.security_groups_of_vpc(&call.region, vpc).find(|group| group.name == "default");
        return Ok(default.map(|group| group.id.clone()).into_iter().collect());
    }
    let find = |id: &String| {
        let found = view.get::<GroupRecord>(&Key::security_group(&call.region, &id.as_str().into()));
        match found {
            None => Err(errors::invalid_security_group_exception(format!(
                "The security group '{id}' does not exist"
            ))),
            Some(group) if group.vpc != *vpc => Err(errors::invalid_configuration_request_exception(
                format!("One or more security groups are invalid: '{id}' is in another VPC"),
            )),
            Some(group) => Ok(group.id.clone()),
        }
    };
    given.iter().map(find).collect()
}

/// An interface in each subnet. Addresses are taken from the subnet's end, tasks take theirs from its beginning.
fn interfaces(
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
        // Writing the subnet again makes two choices of one address, made at the same time, conflict.
        changes.push(Change::update(subnet.value().clone(), subnet.revision));
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
fn outside_address(view: &View, settings: &Settings) -> Result<Ipv4Addr, ApiError> {
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

pub(super) fn delete(
    view: &View,
    _call: &CallContext,
    input: &DeleteLoadBalancerInput,
    _ids: &mut Ids,
) -> Decision<DeleteLoadBalancerOutput> {
    let found = match balancer(view, &input.load_balancer_arn) {
        // Deleting what is gone succeeds, as on AWS.
        Err(error) if error.code == "LoadBalancerNotFound" => {
            return Ok((DeleteLoadBalancerOutput {}, vec![]));
        }
        other => other?,
    };
    if found.attributes.get("deletion_protection.enabled").is_some_and(|value| value == "true") {
        return Err(errors::operation_not_permitted_exception(format!(
            "Load balancer '{}' cannot be deleted because deletion protection is enabled",
            found.arn
        )));
    }
    let mut changes = vec![Change::delete(found.value().key(), found.revision)];
    for listener in view.scan::<ListenerRecord>("").filter(|each| each.load_balancer == found.arn) {
        changes.extend(super::listeners::deletion(view, listener));
    }
    for interface in owned(view, found.value()) {
        changes.push(Change::delete(interface.value().key(), interface.revision));
    }
    changes.extend(free(view, &format!("elbv2/name/{}", found.region), &found.name));
    if let Some(address) = found.outside_address {
        changes.extend(free(view, "elbv2/outside-address", &address.to_string()));
    }
    Ok((DeleteLoadBalancerOutput {}, changes))
}

fn free(view: &View, class: &str, name: &str) -> Option<Change> {
    let key = Key::object(class, name);
    view.record(&key).map(|(revision, _)| Change::delete(key.clone(), revision))
}

fn owned<'v>(view: &'v View, record: &BalancerRecord) -> Vec<Versioned<'v, InterfaceRecord>> {
    let is_own = |interface: &InterfaceRecord| matches!(&interface.owner, InterfaceOwner::LoadBalancer(arn) if *arn == record.arn);
    view.scan::<InterfaceRecord>(&format!("{}/", record.region)).filter(|each| is_own(each)).collect()
}

fn zones(record: &BalancerRecord) -> Vec<AvailabilityZone> {
    let zone = |each: &LoadBalancerSubnet| AvailabilityZone {
        zone_name: Some(each.availability_zone.to_string()),
        subnet_id: Some(each.subnet.to_string()),
        load_balancer_addresses: Some(vec![]),
        ..AvailabilityZone::default()
    };
    record.subnets.iter().map(zone).collect()
}

fn shown(record: &BalancerRecord) -> LoadBalancer {
    LoadBalancer {
        load_balancer_arn: Some(record.arn.to_string()),
        load_balancer_name: Some(record.name.clone()),
        dns_name: Some(record.dns_name.clone()),
        canonical_hosted_zone_id: Some(HOSTED_ZONE.to_owned()),
        created_time: Some(record.created_at),
        scheme: Some(record.scheme.to_string()),
        vpc_id: Some(record.vpc.to_string()),
        state: Some(LoadBalancerState {
            code: Some(record.state.to_string()),
            reason: record.state_reason.clone(),
        }),
        r#type: Some("application".to_owned()),
        ip_address_type: Some("ipv4".to_owned()),
        availability_zones: Some(zones(record)),
        security_groups: Some(record.security_groups.iter().map(ToString::to_string).collect()),
        ..LoadBalancer::default()
    }
}

pub(super) fn describe(
    view: &View,
    call: &CallContext,
    input: &DescribeLoadBalancersInput,
) -> Result<DescribeLoadBalancersOutput, ApiError> {
    let (arns, names) = (input.load_balancer_arns.as_deref(), input.names.as_deref());
    if arns.is_some_and(|list| !list.is_empty()) && names.is_some_and(|list| !list.is_empty()) {
        return Err(validation(
            "Load balancer names and load balancer ARNs cannot be specified at the same time",
        ));
    }
    for arn in arns.unwrap_or_default() {
        balancer(view, arn)?;
    }
    let own: Vec<&BalancerRecord> = view
        .scan::<BalancerRecord>("")
        .map(|each| each.value())
        .filter(|each| each.region == call.region)
        .collect();
    for name in names.unwrap_or_default() {
        if !own.iter().any(|each| each.name == *name) {
            return Err(errors::load_balancer_not_found_exception(format!(
                "Load balancers '[{name}]' not found"
            )));
        }
    }
    let wanted = own.into_iter().filter(|each| {
        arns.is_none_or(|list| list.is_empty() || list.iter().any(|arn| arn == each.arn.as_str()))
            && names.is_none_or(|list| list.is_empty() || list.contains(&each.name))
    });
    let size = page_size(input.page_size)?;
    let page = page(wanted, |each| each.arn.to_string(), input.marker.as_deref(), size, invalid_marker)?;
    let balancers = page.items.into_iter().map(shown).collect();
    Ok(DescribeLoadBalancersOutput { load_balancers: Some(balancers), next_marker: page.next })
}

pub(super) fn set_security_groups(
    view: &View,
    call: &CallContext,
    input: &SetSecurityGroupsInput,
    _ids: &mut Ids,
) -> Decision<SetSecurityGroupsOutput> {
    let found = balancer(view, &input.load_balancer_arn)?;
    let mut record = found.value().clone();
    record.security_groups = security_groups(view, call, &record.vpc, Some(&input.security_groups))?;
    let mut changes = Vec::new();
    for interface in owned(view, &record) {
        let mut changed = interface.value().clone();
        changed.security_groups.clone_from(&record.security_groups);
        changes.push(Change::update(changed, interface.revision));
    }
    let ids = record.security_groups.iter().map(ToString::to_string).collect();
    changes.push(Change::update(record, found.revision));
    Ok((
        SetSecurityGroupsOutput { security_group_ids: Some(ids), ..SetSecurityGroupsOutput::default() },
        changes,
    ))
}

/// Keeps the addresses of the subnets that stay.
pub(super) fn set_subnets(
    view: &View,
    call: &CallContext,
    input: &SetSubnetsInput,
    ids: &mut Ids,
) -> Decision<SetSubnetsOutput> {
    check_address_type(input.ip_address_type.as_deref())?;
    let found = balancer(view, &input.load_balancer_arn)?;
    let (vpc, wanted) = subnets(view, call, input.subnets.as_deref(), input.subnet_mappings.as_deref())?;
    if vpc != found.vpc {
        return Err(errors::invalid_configuration_request_exception(
            "The subnets must belong to the load balancer's VPC",
        ));
    }
    let mut record = found.value().clone();
    let is_wanted = |subnet: &SubnetId| wanted.iter().any(|each| each.id == *subnet);
    let mut changes: Vec<Change> = owned(view, &record)
        .into_iter()
        .filter(|interface| !is_wanted(&interface.subnet))
        .map(|interface| Change::delete(interface.value().key(), interface.revision))
        .collect();
    let new: Vec<Versioned<'_, SubnetRecord>> = wanted
        .iter()
        .filter(|each| !record.subnets.iter().any(|own| own.subnet == each.id))
        .copied()
        .collect();
    let (made, more) = interfaces(view, call, &record.arn, &new, &record.security_groups, ids)?;
    changes.extend(more);
    record.subnets.retain(|own| is_wanted(&own.subnet));
    record.subnets.extend(made);
    let output = SetSubnetsOutput {
        availability_zones: Some(zones(&record)),
        ip_address_type: Some("ipv4".to_owned()),
        ..SetSubnetsOutput::default()
    };
    changes.push(Change::update(record, found.revision));
    Ok((output, changes))
}

pub(super) fn set_ip_address_type(
    view: &View,
    _call: &CallContext,
    input: &SetIpAddressTypeInput,
    _ids: &mut Ids,
) -> Decision<SetIpAddressTypeOutput> {
    balancer(view, &input.load_balancer_arn)?;
    check_address_type(Some(&input.ip_address_type))?;
    Ok((SetIpAddressTypeOutput { ip_address_type: Some("ipv4".to_owned()) }, vec![]))
}
