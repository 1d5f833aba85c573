//! Stack policies: what an update may do to which resources.

use gantry_api::cloudformation::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::View;
use gantry_types::Ids;

use super::{refuse_url, stack, stack_or_gone, validation};
use crate::Decision;
use crate::cloudformation::policy;

/// Refuses a text that is no policy.
pub(super) fn check(text: &str) -> Result<(), ApiError> {
    policy::Policy::parse(text)
        .map(|_| ())
        .map_err(|problem| validation(format!("Error validating stack policy: {problem}")))
}

pub(in crate::cloudformation) fn set(
    view: &View,
    call: &CallContext,
    input: &SetStackPolicyInput,
    _ids: &mut Ids,
) -> Decision<()> {
    refuse_url("StackPolicyURL", input.stack_policy_url.as_ref())?;
    let mut found = stack(view, call, &input.stack_name)?;
    let Some(text) = &input.stack_policy_body else {
        return Err(validation("Either StackPolicyBody or StackPolicyURL must be specified"));
    };
    check(text)?;
    found.document.policy = Some(text.clone());
    Ok(((), vec![found.update()]))
}

pub(in crate::cloudformation) fn get(
    view: &View,
    call: &CallContext,
    input: &GetStackPolicyInput,
) -> Result<GetStackPolicyOutput, ApiError> {
    let stack = stack_or_gone(view, call, &input.stack_name)?;
    Ok(GetStackPolicyOutput { stack_policy_body: stack.policy })
}
