//! Target groups.

use std::time::Duration;

use gantry_api::elbv2::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::elb::{HealthCheck, TargetGroup as GroupRecord, TargetType};
use gantry_domain::object::Object;
use gantry_domain::{Change, Key, Stored, View};
use gantry_types::{Arn, Ids, Value, arn};

use super::actions::{associations, balancers_of, check_protocol, seconds};
use super::catalogue::GROUPS_MAX;
use super::names::{check_name, given, group, invalid_marker, page_size, validation};
use super::tags;
use crate::Decision;
use crate::page::page;
use crate::ties::touch;

const PATH_LENGTH_MAX: usize = 1024;

pub(super) fn create(
    view: &View,
    call: &CallContext,
    input: &CreateTargetGroupInput,
    ids: &mut Ids,
) -> Decision<CreateTargetGroupOutput> {
    check_name(&input.name, "Target group")?;
    let target_type = match given(&input.target_type) {
        Some("ip") => TargetType::Ip,
        None | Some("instance") => TargetType::Instance,
        Some(other @ ("lambda" | "alb")) => {
            return Err(errors::invalid_configuration_request_exception(format!(
                "Gantry supports target groups of the types ip and instance, not {other}, yet"
            )));
        }
        Some(other) => return Err(validation(format!("Invalid target type '{other}'"))),
    };
    let protocol = check_protocol(given(&input.protocol))?;
    if let Some(version) = given(&input.protocol_version).filter(|version| *version != "HTTP1") {
        return Err(errors::invalid_configuration_request_exception(format!(
            "Gantry supports the protocol version HTTP1, not '{version}', yet"
        )));
    }
    if given(&input.ip_address_type).is_some_and(|each| each != "ipv4") {
        return Err(errors::invalid_configuration_request_exception(
            "Gantry supports only the IP address type ipv4 yet",
        ));
    }
    if input.target_control_port.is_some() {
        return Err(errors::invalid_configuration_request_exception(
            "Gantry does not support TargetControlPort yet",
        ));
    }
    let port = input.port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
    let port = port.ok_or_else(|| validation("A port between 1 and 65535 must be specified"))?;
    let vpc = input.vpc_id.as_deref().ok_or_else(|| validation("A VPC ID must be specified"))?;
    let vpc = view
        .vpc(&call.region, &vpc.into())
        .ok_or_else(|| validation(format!("The VPC ID '{vpc}' is not found")))?;
    let defaults = HealthCheck {
        enabled: true,
        protocol,
        port: None,
        path: "/".to_owned(),
        interval: Duration::from_secs(30),
        timeout: Duration::from_secs(5),
        healthy_threshold: 5,
        unhealthy_threshold: 2,
        matcher: "200".to_owned(),
    };
    let health_check = Given {
        enabled: input.health_check_enabled,
        protocol: given(&input.health_check_protocol),
        port: given(&input.health_check_port),
        path: given(&input.health_check_path),
        interval: input.health_check_interval_seconds,
        timeout: input.health_check_timeout_seconds,
        healthy: input.healthy_threshold_count,
        unhealthy: input.unhealthy_threshold_count,
        matcher: http_codes(input.matcher.as_ref())?,
    }
    .apply(defaults)?;
    let region = &call.region;
    let own = || view.scan::<GroupRecord>("").filter(|each| each.region == *region);
    if let Some(existing) = own().find(|each| each.name == input.name) {
        let same = existing.protocol == protocol
            && existing.port == port
            && existing.vpc == vpc.id
            && existing.target_type == target_type
            && existing.health_check == health_check;
        if same {
            return Ok((
                CreateTargetGroupOutput {
                    target_groups: Some(vec![shown(existing.value(), &balancers_of(view, &existing.arn))]),
                },
                vec![],
            ));
        }
        return Err(errors::duplicate_target_group_name_exception(format!(
            "A target group with the same name '{}' exists, but with different settings",
            input.name
        )));
    }
    if own().count() >= GROUPS_MAX {
        return Err(errors::too_many_target_groups_exception(
            "The maximum number of target groups has been reached",
        ));
    }
    let record = GroupRecord {
        region: region.clone(),
        arn: arn(
            "elasticloadbalancing",
            region.as_str(),
            &format!("targetgroup/{}/{}", input.name, ids.hex(16)),
        ),
        name: input.name.clone(),
        protocol,
        port,
        vpc: vpc.id.clone(),
        target_type,
        health_check,
        attributes: Default::default(),
        created_at: call.now,
        document: tags::document(call, input.tags.as_deref())?,
    };
    let output = CreateTargetGroupOutput {
        target_groups: Some(vec![shown(&record, &balancers_of(view, &record.arn))]),
    };
    // Two groups of one name, made at the same time, meet here.
    let name = Object {
        class: format!("elbv2/target-group-name/{region}"),
        name: input.name.clone(),
        document: Value::from(record.arn.as_str()),
    };
    Ok((output, vec![touch(&vpc), Change::create(name), Change::create(record)]))
}

fn http_codes(matcher: Option<&Matcher>) -> Result<Option<&str>, ApiError> {
    match matcher {
        Some(matcher) if given(&matcher.grpc_code).is_some() => Err(validation(
            "A gRPC code cannot be specified for a target group with the protocol version HTTP1",
        )),
        matcher => Ok(matcher.and_then(|matcher| given(&matcher.http_code))),
    }
}

/// The members of a health check that a call gives.
struct Given<'a> {
    enabled: Option<bool>,
    protocol: Option<&'a str>,
    port: Option<&'a str>,
    path: Option<&'a str>,
    interval: Option<i32>,
    timeout: Option<i32>,
    healthy: Option<i32>,
    unhealthy: Option<i32>,
    matcher: Option<&'a str>,
}

impl Given<'_> {
    fn apply(&self, mut check: HealthCheck) -> Result<HealthCheck, ApiError> {
        if let Some(enabled) = self.enabled {
            if !enabled {
                return Err(validation(
                    "Health check enabled must be true for target groups with target type 'ip' or 'instance'",
                ));
            }
            check.enabled = enabled;
        }
        if let Some(protocol) = self.protocol {
            check.protocol = check_protocol(Some(protocol))?;
        }
        if let Some(port) = self.port {
            check.port = match port {
                "traffic-port" => None,
                text => Some(text.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(|| {
                    validation(format!(
                        "Health check port '{text}' must be 'traffic-port' or a port between 1 and 65535"
                    ))
                })?),
            };
        }
        if let Some(path) = self.path {
            let visible = path.bytes().all(|byte| (0x21..0x7f).contains(&byte));
            if !path.starts_with('/') || path.len() > PATH_LENGTH_MAX || !visible {
                return Err(validation(format!(
                    "Health check path '{path}' must begin with a '/' character, and can only contain printable ASCII characters, without spaces"
                )));
            }
            check.path = path.to_owned();
        }
        let number = |name: &str, given: Option<i32>, least: i32, most: i32| match given {
            None => Ok(None),
            Some(value) if (least..=most).contains(&value) => Ok(Some(value.unsigned_abs())),
            Some(value) => {
                Err(validation(format!("{name} must be between {least} and {most}, it is '{value}'")))
            }
        };
        let duration = |seconds: u32| Duration::from_secs(u64::from(seconds));
        if let Some(seconds) = number("Health check interval", self.interval, 5, 300)? {
            check.interval = duration(seconds);
        }
        if let Some(seconds) = number("Health check timeout", self.timeout, 2, 120)? {
            check.timeout = duration(seconds);
        }
        if let Some(count) = number("Healthy threshold count", self.healthy, 2, 10)? {
            check.healthy_threshold = count;
        }
        if let Some(count) = number("Unhealthy threshold count", self.unhealthy, 2, 10)? {
            check.unhealthy_threshold = count;
        }
        if check.timeout >= check.interval {
            return Err(validation("Health check interval must be greater than the timeout"));
        }
        if let Some(matcher) = self.matcher {
            gantry_routing::Matcher::parse(matcher).map_err(|_| {
                validation(format!(
                    "Health check matcher HTTP code '{matcher}' must be within '200-499' inclusive"
                ))
            })?;
            check.matcher = matcher.to_owned();
        }
        Ok(check)
    }
}

pub(super) fn modify(
    view: &View,
    call: &CallContext,
    input: &ModifyTargetGroupInput,
    _ids: &mut Ids,
) -> Decision<ModifyTargetGroupOutput> {
    let found = group(view, call, &input.target_group_arn)?;
    let mut record = found.value().clone();
    record.health_check = Given {
        enabled: input.health_check_enabled,
        protocol: given(&input.health_check_protocol),
        port: given(&input.health_check_port),
        path: given(&input.health_check_path),
        interval: input.health_check_interval_seconds,
        timeout: input.health_check_timeout_seconds,
        healthy: input.healthy_threshold_count,
        unhealthy: input.unhealthy_threshold_count,
        matcher: http_codes(input.matcher.as_ref())?,
    }
    .apply(record.health_check)?;
    let output = ModifyTargetGroupOutput {
        target_groups: Some(vec![shown(&record, &balancers_of(view, &record.arn))]),
    };
    Ok((output, vec![Change::update(record, found.revision)]))
}

pub(super) fn delete(
    view: &View,
    call: &CallContext,
    input: &DeleteTargetGroupInput,
    _ids: &mut Ids,
) -> Decision<DeleteTargetGroupOutput> {
    let found = match group(view, call, &input.target_group_arn) {
        // Deleting what is gone succeeds, as on AWS.
        Err(error) if error.code == "TargetGroupNotFound" => return Ok((DeleteTargetGroupOutput {}, vec![])),
        other => other?,
    };
    if !balancers_of(view, &found.arn).is_empty() {
        return Err(errors::resource_in_use_exception(format!(
            "Target group '{}' is currently in use by a listener or a rule",
            found.arn
        )));
    }
    let mut changes = vec![Change::delete(found.value().key(), found.revision)];
    // Targets without a group are swept away by the control loop: there may be more of them than fit into one commit.
    let name = Key::object(&format!("elbv2/target-group-name/{}", found.region), &found.name);
    if let Some((revision, _)) = view.record(&name) {
        changes.push(Change::delete(name.clone(), revision));
    }
    Ok((DeleteTargetGroupOutput {}, changes))
}

fn shown(record: &GroupRecord, balancers: &[Arn]) -> TargetGroup {
    let check = &record.health_check;
    TargetGroup {
        target_group_arn: Some(record.arn.to_string()),
        target_group_name: Some(record.name.clone()),
        protocol: Some(record.protocol.to_string()),
        protocol_version: Some("HTTP1".to_owned()),
        port: Some(i32::from(record.port)),
        vpc_id: Some(record.vpc.to_string()),
        target_type: Some(record.target_type.to_string()),
        ip_address_type: Some("ipv4".to_owned()),
        health_check_enabled: Some(check.enabled),
        health_check_protocol: Some(check.protocol.to_string()),
        health_check_port: Some(check.port.map_or("traffic-port".to_owned(), |port| port.to_string())),
        health_check_path: Some(check.path.clone()),
        health_check_interval_seconds: Some(seconds(check.interval)),
        health_check_timeout_seconds: Some(seconds(check.timeout)),
        healthy_threshold_count: i32::try_from(check.healthy_threshold).ok(),
        unhealthy_threshold_count: i32::try_from(check.unhealthy_threshold).ok(),
        matcher: Some(Matcher { http_code: Some(check.matcher.clone()), grpc_code: None }),
        load_balancer_arns: Some(balancers.iter().map(ToString::to_string).collect()),
        ..TargetGroup::default()
    }
}

pub(super) fn describe(
    view: &View,
    call: &CallContext,
    input: &DescribeTargetGroupsInput,
) -> Result<DescribeTargetGroupsOutput, ApiError> {
    let (arns, names) = (input.target_group_arns.as_deref(), input.names.as_deref());
    let selections = [
        arns.is_some_and(|list| !list.is_empty()),
        names.is_some_and(|list| !list.is_empty()),
        input.load_balancer_arn.is_some(),
    ];
    if selections.iter().filter(|selected| **selected).count() > 1 {
        return Err(validation(
            "Target group names, target group ARNs and a load balancer ARN cannot be specified at the same time",
        ));
    }
    for arn in arns.unwrap_or_default() {
        group(view, call, arn)?;
    }
    let own: Vec<&GroupRecord> = view
        .scan::<GroupRecord>("")
        .map(|each| each.value())
        .filter(|each| each.region == call.region)
        .collect();
    if names.unwrap_or_default().iter().any(|name| !own.iter().any(|each| each.name == *name)) {
        return Err(errors::target_group_not_found_exception("One or more target groups not found"));
    }
    if let Some(arn) = &input.load_balancer_arn {
        super::names::balancer(view, call, arn)?;
    }
    let associations = associations(view);
    let of = |group: &GroupRecord| associations.get(&group.arn).map(Vec::as_slice).unwrap_or_default();
    let wanted = own.into_iter().filter(|each| {
        arns.is_none_or(|list| list.is_empty() || list.iter().any(|arn| arn == each.arn.as_str()))
            && names.is_none_or(|list| list.is_empty() || list.contains(&each.name))
            && input
                .load_balancer_arn
                .as_ref()
                .is_none_or(|balancer| of(each).iter().any(|arn| arn.as_str() == balancer))
    });
    let size = page_size(input.page_size)?;
    let page = page(wanted, |each| each.arn.to_string(), input.marker.as_deref(), size, invalid_marker)?;
    let groups = page.items.into_iter().map(|each| shown(each, of(each))).collect();
    Ok(DescribeTargetGroupsOutput { target_groups: Some(groups), next_marker: page.next })
}
