//! Finding things by ARN, and the errors for what is not there.

use gantry_api::elbv2::errors;
use gantry_api::{ApiError, CallContext};
use gantry_domain::elb::{Listener, LoadBalancer, Rule, TargetGroup};
use gantry_domain::{Key, Versioned, View};
use gantry_types::{ACCOUNT, Arn};

pub(super) fn validation(message: impl Into<String>) -> ApiError {
    ApiError::sender("ValidationError", message)
}

/// An ARN of this service, account and region whose resource is of the kind.
fn arn(call: &CallContext, text: &str, what: &str, kind: &str) -> Result<Arn, ApiError> {
    let invalid = || validation(format!("'{text}' is not a valid {what} ARN"));
    let arn: Arn = text.parse().map_err(|_| invalid())?;
    let here = arn.service() == "elasticloadbalancing"
        && arn.region() == call.region.as_str()
        && arn.account() == ACCOUNT
        && arn.resource().strip_prefix(kind).is_some_and(|rest| rest.starts_with('/'));
    if here { Ok(arn) } else { Err(invalid()) }
}

pub(super) fn balancer<'v>(
    view: &'v View,
    call: &CallContext,
    text: &str,
) -> Result<Versioned<'v, LoadBalancer>, ApiError> {
    let arn = arn(call, text, "load balancer", "loadbalancer")?;
    view.load_balancer(&arn)
        .ok_or_else(|| errors::load_balancer_not_found_exception("One or more load balancers not found"))
}

pub(super) fn group<'v>(
    view: &'v View,
    call: &CallContext,
    text: &str,
) -> Result<Versioned<'v, TargetGroup>, ApiError> {
    let arn = arn(call, text, "target group", "targetgroup")?;
    view.target_group(&arn)
        .ok_or_else(|| errors::target_group_not_found_exception("One or more target groups not found"))
}

pub(super) fn listener<'v>(
    view: &'v View,
    call: &CallContext,
    text: &str,
) -> Result<Versioned<'v, Listener>, ApiError> {
    let arn = arn(call, text, "listener", "listener")?;
    view.listener(&arn).ok_or_else(|| errors::listener_not_found_exception("One or more listeners not found"))
}

pub(super) fn rule<'v>(
    view: &'v View,
    call: &CallContext,
    text: &str,
) -> Result<Versioned<'v, Rule>, ApiError> {
    let arn = arn(call, text, "listener rule", "listener-rule")?;
    view.get(&Key::rule(&arn)).ok_or_else(|| errors::rule_not_found_exception("One or more rules not found"))
}

/// A member that is set: some clients send those that are not as empty texts.
pub(super) fn given(member: &Option<String>) -> Option<&str> {
    member.as_deref().filter(|text| !text.is_empty())
}

/// Up to 32 letters, digits and hyphens, no hyphen at either end.
pub(super) fn check_name(name: &str, what: &str) -> Result<(), ApiError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if name.is_empty() || name.len() > 32 {
        return Err(validation(format!("{what} name '{name}' cannot be longer than '32' characters")));
    }
    if !name.bytes().all(allowed) {
        return Err(validation(format!(
            "{what} name '{name}' can only contain characters that are alphanumeric characters or hyphens(-)"
        )));
    }
    if name.starts_with('-') || name.ends_with('-') {
        return Err(validation(format!("{what} name '{name}' cannot begin or end with a hyphen(-)")));
    }
    Ok(())
}

pub(super) fn page_size(given: Option<i32>) -> Result<usize, ApiError> {
    match given {
        None => Ok(400),
        Some(size) => usize::try_from(size)
            .ok()
            .filter(|size| (1..=400).contains(size))
            .ok_or_else(|| validation("PageSize must be between 1 and 400")),
    }
}

pub(super) fn invalid_marker() -> ApiError {
    validation("The marker is not valid")
}
