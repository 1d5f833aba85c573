//! Targets: registering, deregistering, and how they are.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use gantry_api::elbv2::{
    DeregisterTargetsInput, DeregisterTargetsOutput, DescribeTargetHealthInput, DescribeTargetHealthOutput,
    RegisterTargetsInput, RegisterTargetsOutput, TargetDescription, TargetHealth, TargetHealthDescription,
    errors,
};
use gantry_api::{ApiError, CallContext};
use gantry_domain::container_instance::ContainerInstance;
use gantry_domain::elb::{
    Target, TargetGroup as GroupRecord, TargetHealth as Health, TargetHealthReason as Reason,
    TargetHealthState as State, TargetType,
};
use gantry_domain::{Change, Stored as _, Versioned, View};
use gantry_types::{AvailabilityZone, Ids, RegistrationId};

use super::actions::balancers_of;
use super::catalogue::TARGETS_MAX;
use super::names::{group, validation};
use crate::Decision;
use crate::ties::touch;

fn invalid_target(message: String) -> ApiError {
    errors::invalid_target_exception(message)
}

/// Changes that one commit of a call makes at most.
const CHANGES_MAX: usize = 100;

/// Where a target is reached.
struct Reached {
    /// What the API calls it: an address, or an instance's id.
    id: String,
    address: Ipv4Addr,
    availability_zone: Option<AvailabilityZone>,
}

/// A target's address and port, checked against the group's VPC.
fn parse(view: &View, group: &GroupRecord, given: &TargetDescription) -> Result<(Reached, u16), ApiError> {
    match group.target_type {
        TargetType::Ip => Ok((address(view, group, given)?, port(group, given)?)),
        TargetType::Instance => Ok((instance(view, group, given)?, port(group, given)?)),
        TargetType::Lambda | TargetType::Alb => {
            Err(invalid_target(format!("The target '{}' can not be registered in this group", given.id)))
        }
    }
}

/// A container instance in the group's VPC: there are no other instances.
fn instance(view: &View, group: &GroupRecord, given: &TargetDescription) -> Result<Reached, ApiError> {
    let mut instances = view.scan::<ContainerInstance>(&format!("{}/", group.region));
    let found = instances.find(|instance| instance.instance.as_str() == given.id).ok_or_else(|| {
        invalid_target(format!(
            "The following targets are not in a running state and cannot be registered: '{}'",
            given.id
        ))
    })?;
    if found.interface.vpc != group.vpc {
        return Err(invalid_target(format!(
            "The following targets are not in the target group VPC '{}': '{}'",
            group.vpc, given.id
        )));
    }
    Ok(Reached {
        id: given.id.clone(),
        address: found.interface.address,
        availability_zone: Some(found.availability_zone.clone()),
    })
}

fn address(view: &View, group: &GroupRecord, given: &TargetDescription) -> Result<Reached, ApiError> {
    let address: Ipv4Addr = given
        .id
        .parse()
        .map_err(|_| validation(format!("The IP address '{}' is not a valid IPv4 address", given.id)))?;
    let inside = view.vpc(&group.region, &group.vpc).is_some_and(|vpc| vpc.cidr.contains(address));
    if !inside && given.availability_zone.as_deref() != Some("all") {
        return Err(validation(format!(
            "The IP address '{address}' is not within a range of the VPC '{}'; to register it, specify the Availability Zone 'all'",
            group.vpc
        )));
    }
    if !inside && !is_private(address) {
        return Err(validation(format!(
            "The IP address '{address}' is neither in the VPC nor in one of the ranges 10.0.0.0/8, 100.64.0.0/10, 172.16.0.0/12 and 192.168.0.0/16"
        )));
    }
    let mut subnets = view.subnets_of_vpc(&group.region, &group.vpc);
    let subnet = subnets.find(|subnet| subnet.cidr.contains(address));
    let outside = || given.availability_zone.as_deref().map(Into::into);
    Ok(Reached {
        id: address.to_string(),
        address,
        availability_zone: subnet.map(|subnet| subnet.availability_zone.clone()).or_else(outside),
    })
}

/// The given port, or the group's own.
fn port(group: &GroupRecord, given: &TargetDescription) -> Result<u16, ApiError> {
    match given.port {
        None => Ok(group.port),
        Some(port) => u16::try_from(port)
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| validation(format!("The port '{port}' must be between 1 and 65535"))),
    }
}

/// What can be behind a VPC: nothing of the machine itself, and nothing public.
fn is_private(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    address.is_private() || (a == 100 && (64..128).contains(&b))
}

fn live<'v>(
    view: &'v View,
    group: &GroupRecord,
    address: Ipv4Addr,
    port: u16,
) -> Option<Versioned<'v, Target>> {
    view.targets_of(&group.arn)
        .find(|target| target.address == address && target.port == port && target.draining_since.is_none())
}

/// Registers what is not registered, as much of it as fits into one commit.
pub(super) fn register(
    view: &View,
    call: &CallContext,
    input: &RegisterTargetsInput,
    ids: &mut Ids,
) -> Decision<RegisterTargetsOutput> {
    let found = group(view, call, &input.target_group_arn)?;
    let record = found.value();
    if input.targets.is_empty() {
        return Err(validation("At least one target must be specified"));
    }
    let mut wanted: BTreeMap<(Ipv4Addr, u16), Reached> = BTreeMap::new();
    for given in &input.targets {
        let (reached, port) = parse(view, record, given)?;
        wanted.insert((reached.address, port), reached);
    }
    wanted.retain(|(address, port), _| live(view, record, *address, *port).is_none());
    if wanted.is_empty() {
        return Ok((RegisterTargetsOutput {}, vec![]));
    }
    let own = view.targets_of(&record.arn).filter(|target| target.draining_since.is_none()).count();
    if own + wanted.len() > TARGETS_MAX {
        return Err(errors::too_many_targets_exception(
            "The maximum number of targets of this target group has been reached",
        ));
    }
    // Two registrations of one target, made at the same time, conflict, and so does the group's deletion.
    let mut changes = vec![touch(&found)];
    for ((address, port), reached) in wanted.into_iter().take(CHANGES_MAX) {
        changes.push(Change::create(Target {
            target_group: record.arn.clone(),
            registration: RegistrationId::new(format!("reg-{}", ids.hex(17))),
            target_id: reached.id,
            address,
            port,
            availability_zone: reached.availability_zone,
            task: None,
            registered_at: call.now,
            draining_since: None,
            drained: false,
            health: Health::registering(),
        }));
    }
    Ok((RegisterTargetsOutput {}, changes))
}

/// Takes targets out, as many as fit into one commit. Where nothing is forwarded there is nothing to drain.
pub(super) fn deregister(
    view: &View,
    call: &CallContext,
    input: &DeregisterTargetsInput,
    _ids: &mut Ids,
) -> Decision<DeregisterTargetsOutput> {
    let found = group(view, call, &input.target_group_arn)?;
    if input.targets.is_empty() {
        return Err(validation("At least one target must be specified"));
    }
    let mut named: BTreeSet<(&str, u16)> = BTreeSet::new();
    for given in &input.targets {
        // A target with a port of its own is only named together with it.
        named.insert((&given.id, port(found.value(), given)?));
    }
    let in_use = !balancers_of(view, &found.arn).is_empty();
    let is_named = |target: &Target| {
        target.draining_since.is_none() && named.contains(&(target.target_id.as_str(), target.port))
    };
    let leave = |target: Versioned<'_, Target>| {
        if !in_use {
            return Change::delete(target.value().key(), target.revision);
        }
        let mut record = target.value().clone();
        record.draining_since = Some(call.now);
        record.health = draining();
        Change::update(record, target.revision)
    };
    let leaving = view.targets_of(&found.arn).filter(|target| is_named(target)).take(CHANGES_MAX);
    Ok((DeregisterTargetsOutput {}, leaving.map(leave).collect()))
}

fn draining() -> Health {
    Health::because(State::Draining, Reason::DeregistrationInProgress, "Target deregistration is in progress")
}

pub(super) fn describe_health(
    view: &View,
    call: &CallContext,
    input: &DescribeTargetHealthInput,
) -> Result<DescribeTargetHealthOutput, ApiError> {
    let found = group(view, call, &input.target_group_arn)?;
    let in_use = !balancers_of(view, &found.arn).is_empty();
    let all: Vec<&Target> = view.targets_of(&found.arn).map(|target| target.value()).collect();
    // An address that is registered again is shown as it is now, not as the registration that drains.
    let is_current = |target: &&Target| {
        target.draining_since.is_none()
            || !all.iter().any(|other| {
                let newer =
                    (other.draining_since.is_none(), other.registered_at) > (false, target.registered_at);
                other.registration != target.registration
                    && (other.address, other.port) == (target.address, target.port)
                    && newer
            })
    };
    let current: Vec<&Target> = all.iter().copied().filter(is_current).collect();
    let describe = |target: &Target| {
        let health = if target.draining_since.is_some() {
            draining()
        } else if in_use {
            target.health.clone()
        } else {
            Health::because(
                State::Unused,
                Reason::NotInUse,
                "Target group is not configured to receive traffic from the load balancer",
            )
        };
        description(
            found.value(),
            &target.target_id,
            target.port,
            target.availability_zone.as_ref().map(ToString::to_string),
            health,
        )
    };
    let descriptions = match input.targets.as_deref() {
        None | Some([]) => current.into_iter().map(describe).collect(),
        Some(wanted) => {
            let mut descriptions = Vec::new();
            for given in wanted {
                let port = port(found.value(), given)?;
                let found_target =
                    current.iter().find(|target| target.target_id == given.id && target.port == port);
                descriptions.push(match found_target {
                    Some(target) => describe(target),
                    None => description(
                        found.value(),
                        &given.id,
                        port,
                        given.availability_zone.clone(),
                        Health::because(
                            State::Unused,
                            Reason::NotRegistered,
                            "Target is not registered to the target group",
                        ),
                    ),
                });
            }
            descriptions
        }
    };
    Ok(DescribeTargetHealthOutput { target_health_descriptions: Some(descriptions) })
}

fn description(
    group: &GroupRecord,
    id: &str,
    port: u16,
    availability_zone: Option<String>,
    health: Health,
) -> TargetHealthDescription {
    TargetHealthDescription {
        target: Some(TargetDescription {
            id: id.to_owned(),
            port: Some(i32::from(port)),
            availability_zone,
            ..TargetDescription::default()
        }),
        health_check_port: Some(group.health_check.port.unwrap_or(port).to_string()),
        target_health: Some(TargetHealth {
            state: Some(health.state.to_string()),
            reason: health.reason.map(|reason| reason.to_string()),
            description: health.description,
        }),
        ..TargetHealthDescription::default()
    }
}
