//! Limits and policies.

use gantry_api::elbv2::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::View;

pub(super) const TARGETS_MAX: usize = 1000;
pub(super) const LISTENERS_MAX: usize = 50;
pub(super) const RULES_MAX: usize = 100;
pub(super) const BALANCERS_MAX: usize = 50;
pub(super) const GROUPS_MAX: usize = 3000;
pub(super) const GROUPS_PER_ACTION_MAX: usize = 5;

pub(super) fn account_limits(
    _view: &View,
    _call: &CallContext,
    _input: &DescribeAccountLimitsInput,
) -> Result<DescribeAccountLimitsOutput, ApiError> {
    let limits = [
        ("application-load-balancers", BALANCERS_MAX),
        ("listeners-per-application-load-balancer", LISTENERS_MAX),
        ("rules-per-application-load-balancer", RULES_MAX),
        ("condition-values-per-alb-rule", 5),
        ("condition-wildcards-per-alb-rule", 6),
        ("target-groups", GROUPS_MAX),
        ("targets-per-application-load-balancer", TARGETS_MAX),
        ("targets-per-target-group", TARGETS_MAX),
        ("target-groups-per-action-on-application-load-balancer", GROUPS_PER_ACTION_MAX),
        ("certificates-per-application-load-balancer", 25),
    ];
    let limit =
        |(name, max): (&str, usize)| Limit { name: Some(name.to_owned()), max: Some(max.to_string()) };
    Ok(DescribeAccountLimitsOutput {
        limits: Some(limits.into_iter().map(limit).collect()),
        next_marker: None,
    })
}

/// HTTPS listeners cannot be made yet, so there is no policy to choose.
pub(super) fn ssl_policies(
    _view: &View,
    _call: &CallContext,
    input: &DescribeSSLPoliciesInput,
) -> Result<DescribeSSLPoliciesOutput, ApiError> {
    match input.names.as_deref() {
        Some([name, ..]) => {
            Err(errors::ssl_policy_not_found_exception(format!("SSL policy '{name}' not found")))
        }
        _ => Ok(DescribeSSLPoliciesOutput { ssl_policies: Some(vec![]), next_marker: None }),
    }
}
