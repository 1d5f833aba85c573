//! Load balancers.

use gantry_api::elbv2::{
    AvailabilityZone, CreateLoadBalancerInput, CreateLoadBalancerOutput, DeleteLoadBalancerInput,
    DeleteLoadBalancerOutput, DescribeCapacityReservationInput, DescribeCapacityReservationOutput,
    DescribeLoadBalancersInput, DescribeLoadBalancersOutput, LoadBalancer, LoadBalancerState,
    SetIpAddressTypeInput, SetIpAddressTypeOutput, SetSecurityGroupsInput, SetSecurityGroupsOutput,
    SetSubnetsInput, SetSubnetsOutput, errors,
};
use gantry_api::{ApiError, CallContext};
use gantry_domain::elb::{
    Listener as ListenerRecord, LoadBalancer as BalancerRecord, LoadBalancerState as State,
    LoadBalancerSubnet, Scheme,
};
use gantry_domain::network::Subnet as SubnetRecord;
use gantry_domain::{Change, Key, Kind, Stored, Versioned, View};
use gantry_types::{Ids, SecurityGroupId, SubnetId, Value, VpcId, arn};

use super::addresses::{interfaces, outside_address, owned, security_groups, subnets};
use super::catalogue::BALANCERS_MAX;
use super::names::{balancer, check_name, given, invalid_marker, page_size, validation};
use super::tags;
use crate::page::page;
use crate::ties::touch;
use crate::{Decision, Settings};

/// Changes that one commit of a deletion makes at most.
const DELETION_CHANGES_MAX: usize = 100;

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
    match given(&input.r#type) {
        None | Some("application") => {}
        Some("network" | "gateway") => {
            return Err(errors::invalid_configuration_request_exception(
                "Gantry supports only load balancers of the type application yet",
            ));
        }
        Some(other) => return Err(validation(format!("Invalid load balancer type '{other}'"))),
    }
    check_address_type(given(&input.ip_address_type))?;
    let scheme = match given(&input.scheme) {
        None => Scheme::InternetFacing,
        Some(text) => Scheme::parse(text)
            .ok_or_else(|| errors::invalid_scheme_exception(format!("Invalid scheme '{text}'")))?,
    };
    let (vpc, subnets) = subnets(view, call, input.subnets.as_deref(), input.subnet_mappings.as_deref())?;
    let groups = security_groups(view, call, &vpc, input.security_groups.as_deref().unwrap_or_default())?;
    let group_ids: Vec<SecurityGroupId> = groups.iter().map(|group| group.value().id.clone()).collect();
    let region = &call.region;
    let mut own = view.scan::<BalancerRecord>("").filter(|each| each.region == *region);
    if let Some(existing) = own.find(|each| each.name == input.name) {
        return same_or_duplicate(existing.value(), scheme, &subnets, &group_ids);
    }
    if view.scan::<BalancerRecord>("").filter(|each| each.region == *region).count() >= BALANCERS_MAX {
        return Err(errors::too_many_load_balancers_exception(
            "The maximum number of load balancers has been reached",
        ));
    }
    check_gateway(view, call, scheme, &vpc)?;
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
    let (subnets, mut changes) = interfaces(view, call, &arn, &subnets, &group_ids, ids)?;
    changes.extend(groups.iter().map(touch));
    let record = BalancerRecord {
        region: region.clone(),
        arn,
        name: input.name.clone(),
        dns_name: dns_name.to_lowercase(),
        scheme,
        vpc,
        subnets,
        outside_address,
        security_groups: group_ids,
        state: State::Provisioning,
        state_reason: None,
        attributes: Default::default(),
        created_at: call.now,
        document: tags::document(call, input.tags.as_deref())?,
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
    let same_groups = existing.security_groups.len() == groups.len()
        && groups.iter().all(|group| existing.security_groups.contains(group));
    if existing.scheme == scheme && own == given && same_groups {
        return Ok((CreateLoadBalancerOutput { load_balancers: Some(vec![shown(existing)]) }, vec![]));
    }
    Err(errors::duplicate_load_balancer_name_exception(format!(
        "A load balancer with the same name '{}' exists, but with different settings",
        existing.name
    )))
}

/// What faces the internet needs a way there.
fn check_gateway(view: &View, call: &CallContext, scheme: Scheme, vpc: &VpcId) -> Result<(), ApiError> {
    if scheme == Scheme::InternetFacing && !crate::ec2::has_internet_gateway(view, &call.region, vpc)? {
        return Err(errors::invalid_subnet_exception(format!("VPC {vpc} has no internet gateway")));
    }
    Ok(())
}

fn check_address_type(given: Option<&str>) -> Result<(), ApiError> {
    match given {
        None | Some("ipv4") => Ok(()),
        Some(_) => Err(errors::invalid_configuration_request_exception(
            "Gantry supports only the IP address type ipv4 yet",
        )),
    }
}

pub(super) fn delete(
    view: &View,
    call: &CallContext,
    input: &DeleteLoadBalancerInput,
    _ids: &mut Ids,
) -> Decision<DeleteLoadBalancerOutput> {
    let found = match balancer(view, call, &input.load_balancer_arn) {
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
    let listeners: Vec<Versioned<'_, ListenerRecord>> = view.listeners_of(&found.arn).collect();
    let mut changes: Vec<Change> =
        listeners.into_iter().flat_map(|listener| super::listeners::deletion(view, listener)).collect();
    if changes.len() > DELETION_CHANGES_MAX {
        // Rules first: a listener that is there can still be deleted with those that are left.
        changes.retain(|change| change.key.kind == Kind::Rule);
        changes.truncate(DELETION_CHANGES_MAX);
        return Ok((DeleteLoadBalancerOutput {}, changes));
    }
    changes.push(Change::delete(found.value().key(), found.revision));
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
        balancer(view, call, arn)?;
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
    let found = balancer(view, call, &input.load_balancer_arn)?;
    let mut record = found.value().clone();
    if input.security_groups.is_empty() {
        return Err(validation("At least one security group must be specified"));
    }
    let groups = security_groups(view, call, &record.vpc, &input.security_groups)?;
    record.security_groups = groups.iter().map(|group| group.value().id.clone()).collect();
    let mut changes: Vec<Change> = groups.iter().map(touch).collect();
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
    check_address_type(given(&input.ip_address_type))?;
    let found = balancer(view, call, &input.load_balancer_arn)?;
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
    call: &CallContext,
    input: &SetIpAddressTypeInput,
    _ids: &mut Ids,
) -> Decision<SetIpAddressTypeOutput> {
    balancer(view, call, &input.load_balancer_arn)?;
    check_address_type(Some(&input.ip_address_type))?;
    Ok((SetIpAddressTypeOutput { ip_address_type: Some("ipv4".to_owned()) }, vec![]))
}

/// No capacity is reserved: a load balancer here has the whole machine.
pub(super) fn describe_capacity_reservation(
    view: &View,
    call: &CallContext,
    input: &DescribeCapacityReservationInput,
) -> Result<DescribeCapacityReservationOutput, ApiError> {
    balancer(view, call, &input.load_balancer_arn)?;
    Ok(DescribeCapacityReservationOutput {
        capacity_reservation_state: Some(vec![]),
        ..DescribeCapacityReservationOutput::default()
    })
}
