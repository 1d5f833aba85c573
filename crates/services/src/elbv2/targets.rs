//! Targets: registering, deregistering, and how they are.

use std::net::Ipv4Addr;

use gantry_api::elbv2::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::elb::{
    Target, TargetGroup as GroupRecord, TargetHealth as Health, TargetHealthReason as Reason,
    TargetHealthState as State, TargetType,
};
use gantry_domain::{Change, Key, Versioned, View};
use gantry_types::{Ids, RegistrationId};

use super::actions::balancers_of;
use super::catalogue::TARGETS_MAX;
use super::names::{group, validation};
use crate::Decision;

fn invalid_target(message: String) -> ApiError {
    errors::invalid_target_exception(message)
}

/// A target's address and port, checked against the group's VPC.
fn parse(view: &View, group: &GroupRecord, given: &TargetDescription) -> Result<(Ipv4Addr, u16), ApiError> {
    if group.target_type != TargetType::Ip {
        return Err(invalid_target(format!(
            "The following targets are not in a running state and cannot be registered: '{}'",
            given.id
        )));
    }
    let address: Ipv4Addr = given
        .id
        .parse()
        .map_err(|_| validation(format!("The IP address '{}' is not a valid IPv4 address", given.id)))?;
    let port = match given.port {
        None => group.port,
        Some(port) => u16::try_from(port)
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| validation(format!("The port '{port}' must be between 1 and 65535")))?,
    };
    let inside = view.vpc(&group.region, &group.vpc).is_some_and(|vpc| vpc.cidr.contains(address));
    if !inside && given.availability_zone.as_deref() != Some("all") {
        return Err(validation(format!(
            "The IP address '{address}' is not within a range of the VPC '{}'; to register it, specify the Availability Zone 'all'",
            group.vpc
        )));
    }
    Ok((address, port))
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

pub(super) fn register(
    view: &View,
    call: &CallContext,
    input: &RegisterTargetsInput,
    ids: &mut Ids,
) -> Decision<RegisterTargetsOutput> {
    let found = group(view, &input.target_group_arn)?;
    let record = found.value();
    let mut changes = vec![Change::check(Key::target_group(&record.arn), found.revision)];
    let mut added: Vec<(Ipv4Addr, u16)> = Vec::new();
    for given in &input.targets {
        let (address, port) = parse(view, record, given)?;
        if live(view, record, address, port).is_some() || added.contains(&(address, port)) {
            continue;
        }
        added.push((address, port));
        let subnets = view.subnets_of_vpc(&record.region, &record.vpc);
        let zone = subnets
            .filter(|subnet| subnet.cidr.contains(address))
            .map(|subnet| subnet.availability_zone.clone())
            .next();
        changes.push(Change::create(Target {
            target_group: record.arn.clone(),
            registration: RegistrationId::new(format!("reg-{}", ids.hex(17))),
            target_id: given.id.clone(),
            address,
            port,
            availability_zone: zone,
            task: None,
            registered_at: call.now,
            draining_since: None,
            drained: false,
            health: Health::registering(),
        }));
    }
    let own = view.targets_of(&record.arn).filter(|target| target.draining_since.is_none()).count();
    if own + added.len() > TARGETS_MAX {
        return Err(errors::too_many_targets_exception(
            "The maximum number of targets of this target group has been reached",
        ));
    }
    Ok((RegisterTargetsOutput {}, changes))
}

pub(super) fn deregister(
    view: &View,
    call: &CallContext,
    input: &DeregisterTargetsInput,
    _ids: &mut Ids,
) -> Decision<DeregisterTargetsOutput> {
    let found = group(view, &input.target_group_arn)?;
    let mut changes: Vec<Change> = Vec::new();
    for given in &input.targets {
        let is_given = |target: &Target| {
            target.target_id == given.id && given.port.is_none_or(|port| i32::from(target.port) == port)
        };
        for target in
            view.targets_of(&found.arn).filter(|each| each.draining_since.is_none() && is_given(each))
        {
            let mut record = target.value().clone();
            record.draining_since = Some(call.now);
            record.health = draining();
            let change = Change::update(record, target.revision);
            if !changes.contains(&change) {
                changes.push(change);
            }
        }
    }
    Ok((DeregisterTargetsOutput {}, changes))
}

fn draining() -> Health {
    Health::because(State::Draining, Reason::DeregistrationInProgress, "Target deregistration is in progress")
}

pub(super) fn describe_health(
    view: &View,
    _call: &CallContext,
    input: &DescribeTargetHealthInput,
) -> Result<DescribeTargetHealthOutput, ApiError> {
    let found = group(view, &input.target_group_arn)?;
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
                let port = given.port.and_then(|port| u16::try_from(port).ok());
                let found_target = current.iter().find(|target| {
                    target.target_id == given.id && port.is_none_or(|port| target.port == port)
                });
                descriptions.push(match found_target {
                    Some(target) => describe(target),
                    None => description(
                        found.value(),
                        &given.id,
                        port.unwrap_or(found.port),
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
