//! A listener's and a rule's actions.

use std::collections::BTreeMap;
use std::time::Duration;

use gantry_api::elbv2::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::elb::{
    FixedResponse, Forward, Listener as ListenerRecord, LoadBalancer as BalancerRecord, Redirect,
    Rule as RuleRecord, RuleAction, TargetProtocol, WeightedTargetGroup,
};
use gantry_domain::{Change, View};
use gantry_types::Arn;

use super::catalogue::GROUPS_PER_ACTION_MAX;
use super::names::{group, validation};
use crate::ties::touch;

const FIXED_BODY_BYTES_MAX: usize = 1024;
const REDIRECT_PART_LENGTH_MAX: usize = 128;
const CONTENT_TYPES: [&str; 5] =
    ["text/plain", "text/css", "text/html", "application/javascript", "application/json"];

fn bad_action(message: impl Into<String>) -> ApiError {
    errors::invalid_load_balancer_action_exception(message)
}

/// Typed actions, with the changes that make them conflict with a deletion of the target groups that they name, and with
/// another load balancer's taking them.
pub(super) fn parse(
    view: &View,
    call: &CallContext,
    balancer: &BalancerRecord,
    given: &[Action],
) -> Result<(Vec<RuleAction>, Vec<Change>), ApiError> {
    let [action] = given else {
        return Err(bad_action(match given.len() {
            0 => "You must specify an action",
            _ => "Gantry supports exactly one action yet: forward, redirect or fixed-response",
        }));
    };
    let mut touched = Vec::new();
    let parsed = match action.r#type.as_str() {
        "forward" => RuleAction::Forward(forward(view, call, balancer, action, &mut touched)?),
        "redirect" => RuleAction::Redirect(redirect(action)?),
        "fixed-response" => RuleAction::FixedResponse(fixed_response(action)?),
        "authenticate-oidc" | "authenticate-cognito" | "jwt-validation" => {
            return Err(bad_action(format!(
                "Gantry does not support the action type '{}' yet",
                action.r#type
            )));
        }
        other => return Err(validation(format!("Invalid action type '{other}'"))),
    };
    Ok((vec![parsed], touched))
}

fn forward(
    view: &View,
    call: &CallContext,
    balancer: &BalancerRecord,
    action: &Action,
    touched: &mut Vec<Change>,
) -> Result<Forward, ApiError> {
    let config = action.forward_config.clone().unwrap_or_default();
    let mut tuples = config.target_groups.unwrap_or_default();
    match (&action.target_group_arn, tuples.as_slice()) {
        (Some(arn), []) => {
            tuples.push(TargetGroupTuple { target_group_arn: Some(arn.clone()), weight: Some(1) });
        }
        (Some(arn), [tuple]) if tuple.target_group_arn.as_ref() == Some(arn) => {}
        (Some(_), _) => {
            return Err(bad_action(
                "You cannot specify both a target group ARN and a forward config that does not match it",
            ));
        }
        (None, []) => return Err(bad_action("You must specify a target group for a forward action")),
        (None, _) => {}
    }
    if tuples.len() > GROUPS_PER_ACTION_MAX {
        return Err(errors::too_many_unique_target_groups_per_load_balancer_exception(format!(
            "A forward action has at most {GROUPS_PER_ACTION_MAX} target groups"
        )));
    }
    let mut target_groups: Vec<WeightedTargetGroup> = Vec::new();
    for tuple in tuples {
        let found = group(view, call, tuple.target_group_arn.as_deref().unwrap_or(""))?;
        if found.vpc != balancer.vpc {
            return Err(errors::invalid_configuration_request_exception(format!(
                "The target group '{}' and the load balancer are in different VPCs",
                found.arn
            )));
        }
        check_association(view, balancer, &found.arn)?;
        let weight = tuple.weight.unwrap_or(1);
        let weight = u32::try_from(weight).ok().filter(|weight| *weight <= 999);
        let weight = weight.ok_or_else(|| validation("Target group weights must be between 0 and 999"))?;
        if target_groups.iter().any(|other| other.target_group == found.arn) {
            return Err(bad_action("A target group can be named only once in an action"));
        }
        touched.push(touch(&found));
        target_groups.push(WeightedTargetGroup { target_group: found.arn.clone(), weight });
    }
    let sticky = config.target_group_stickiness_config.filter(|config| config.enabled == Some(true));
    if sticky.is_some() {
        return Err(bad_action("Gantry does not support target group stickiness yet"));
    }
    Ok(Forward { target_groups, stickiness: None })
}

/// A target group belongs to at most one load balancer.
fn check_association(view: &View, balancer: &BalancerRecord, target_group: &Arn) -> Result<(), ApiError> {
    let others = balancers_of(view, target_group);
    if others.iter().any(|other| *other != balancer.arn) {
        return Err(errors::target_group_association_limit_exception(format!(
            "The following target groups cannot be associated with more than one load balancer: {target_group}"
        )));
    }
    Ok(())
}

/// The target groups that actions forward to.
fn named(actions: &[RuleAction]) -> impl Iterator<Item = &Arn> {
    let groups = actions.iter().filter_map(|action| match action {
        RuleAction::Forward(forward) => Some(&forward.target_groups),
        RuleAction::Redirect(_) | RuleAction::FixedResponse(_) => None,
    });
    groups.flatten().map(|each| &each.target_group)
}

/// The load balancers that forward to a group.
pub(super) fn balancers_of(view: &View, target_group: &Arn) -> Vec<Arn> {
    associations(view).remove(target_group).unwrap_or_default()
}

/// Every target group that something forwards to, with the load balancers that do.
pub(super) fn associations(view: &View) -> BTreeMap<Arn, Vec<Arn>> {
    let mut found: BTreeMap<Arn, Vec<Arn>> = BTreeMap::new();
    let mut add = |actions: &[RuleAction], balancer: &Arn| {
        for target_group in named(actions) {
            let balancers = found.entry(target_group.clone()).or_default();
            if !balancers.contains(balancer) {
                balancers.push(balancer.clone());
            }
        }
    };
    for listener in view.scan::<ListenerRecord>("") {
        add(&listener.default_actions, &listener.load_balancer);
    }
    for rule in view.scan::<RuleRecord>("") {
        if let Some(listener) = view.listener(&rule.listener) {
            add(&rule.actions, &listener.load_balancer);
        }
    }
    found
}

fn redirect(action: &Action) -> Result<Redirect, ApiError> {
    let config =
        action.redirect_config.clone().ok_or_else(|| bad_action("You must specify a redirect config"))?;
    let status = match config.status_code.as_str() {
        "HTTP_301" => 301,
        "HTTP_302" => 302,
        other => return Err(validation(format!("Invalid redirect status code '{other}'"))),
    };
    let redirect = Redirect {
        protocol: config.protocol.unwrap_or_else(|| "#{protocol}".to_owned()),
        host: config.host.unwrap_or_else(|| "#{host}".to_owned()),
        port: config.port.unwrap_or_else(|| "#{port}".to_owned()),
        path: config.path.unwrap_or_else(|| "/#{path}".to_owned()),
        query: config.query.unwrap_or_else(|| "#{query}".to_owned()),
        status,
    };
    if !matches!(redirect.protocol.as_str(), "HTTP" | "HTTPS" | "#{protocol}") {
        return Err(bad_action("The redirect protocol must be HTTP, HTTPS or #{protocol}"));
    }
    if redirect.port != "#{port}" && !redirect.port.parse::<u16>().is_ok_and(|port| port > 0) {
        return Err(bad_action("The redirect port must be between 1 and 65535 or #{port}"));
    }
    if !redirect.path.starts_with('/') {
        return Err(bad_action("The redirect path must begin with '/'"));
    }
    // These become a header: what ends a line there would begin another one.
    for (name, text) in [("host", &redirect.host), ("path", &redirect.path), ("query", &redirect.query)] {
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        if !printable || text.len() > REDIRECT_PART_LENGTH_MAX || (name == "host" && text.is_empty()) {
            return Err(bad_action(format!(
                "The redirect {name} must be at most {REDIRECT_PART_LENGTH_MAX} printable ASCII characters without spaces"
            )));
        }
    }
    let same = redirect.protocol == "#{protocol}"
        && redirect.host == "#{host}"
        && redirect.port == "#{port}"
        && redirect.path == "/#{path}";
    if same {
        return Err(bad_action("The redirect configuration is not valid because it creates a loop"));
    }
    Ok(redirect)
}

fn fixed_response(action: &Action) -> Result<FixedResponse, ApiError> {
    let config = action.fixed_response_config.clone();
    let config = config.ok_or_else(|| bad_action("You must specify a fixed-response config"))?;
    let status = config.status_code.parse::<u16>().ok().filter(|code| matches!(code / 100, 2 | 4 | 5));
    let status = status
        .ok_or_else(|| bad_action(format!("Invalid fixed response status code '{}'", config.status_code)))?;
    if let Some(content_type) = config.content_type.as_deref().filter(|text| !CONTENT_TYPES.contains(text)) {
        return Err(bad_action(format!("Invalid fixed response content type '{content_type}'")));
    }
    let body = config.message_body.unwrap_or_default();
    if body.len() > FIXED_BODY_BYTES_MAX {
        return Err(bad_action(format!(
            "A fixed response body is at most {FIXED_BODY_BYTES_MAX} bytes long"
        )));
    }
    Ok(FixedResponse { status, content_type: config.content_type, body })
}

/// Actions as Describe shows them.
pub(super) fn shown(actions: &[RuleAction]) -> Vec<Action> {
    actions.iter().map(shown_one).collect()
}

fn shown_one(action: &RuleAction) -> Action {
    match action {
        RuleAction::Forward(forward) => {
            let tuple = |each: &WeightedTargetGroup| TargetGroupTuple {
                target_group_arn: Some(each.target_group.to_string()),
                weight: i32::try_from(each.weight).ok(),
            };
            let single = match forward.target_groups.as_slice() {
                [only] => Some(only.target_group.to_string()),
                _ => None,
            };
            Action {
                r#type: "forward".to_owned(),
                target_group_arn: single,
                forward_config: Some(ForwardActionConfig {
                    target_groups: Some(forward.target_groups.iter().map(tuple).collect()),
                    target_group_stickiness_config: Some(TargetGroupStickinessConfig {
                        enabled: Some(forward.stickiness.is_some()),
                        duration_seconds: forward.stickiness.map(seconds),
                    }),
                }),
                ..Action::default()
            }
        }
        RuleAction::Redirect(redirect) => Action {
            r#type: "redirect".to_owned(),
            redirect_config: Some(RedirectActionConfig {
                protocol: Some(redirect.protocol.clone()),
                host: Some(redirect.host.clone()),
                port: Some(redirect.port.clone()),
                path: Some(redirect.path.clone()),
                query: Some(redirect.query.clone()),
                status_code: format!("HTTP_{}", redirect.status),
            }),
            ..Action::default()
        },
        RuleAction::FixedResponse(fixed) => Action {
            r#type: "fixed-response".to_owned(),
            fixed_response_config: Some(FixedResponseActionConfig {
                status_code: fixed.status.to_string(),
                content_type: fixed.content_type.clone(),
                message_body: Some(fixed.body.clone()),
            }),
            ..Action::default()
        },
    }
}

pub(super) fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}

/// HTTP targets only: TLS to targets is not there yet.
pub(super) fn check_protocol(text: Option<&str>) -> Result<TargetProtocol, ApiError> {
    match text {
        Some("HTTP") => Ok(TargetProtocol::Http),
        Some("HTTPS") => {
            Err(errors::unsupported_protocol_exception("Gantry does not support HTTPS targets yet"))
        }
        Some(other) => Err(errors::unsupported_protocol_exception(format!(
            "Gantry supports target groups with the protocol HTTP, not '{other}'"
        ))),
        None => Err(validation("A protocol must be specified")),
    }
}
