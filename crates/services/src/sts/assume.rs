//! The operations.
//!
//! Who may assume a role is not asked: no permission is evaluated anywhere yet, and whoever has a key may do everything.

use gantry_api::sts::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::View;
use gantry_types::{ACCOUNT, Ids};
use gantry_wire::Principal;

use super::sessions::open;
use crate::Decision;
use crate::iam::find_role;
use crate::secrets::NewKey;

const ROLE_SECONDS_DEFAULT: i32 = 3600;
/// A role that a session assumes is held for an hour at the most.
const CHAINED_SECONDS_MAX: i32 = 3600;
const USER_SECONDS_DEFAULT: i32 = 43_200;
/// Root's own sessions are short, whatever was asked.
const ROOT_SECONDS_MAX: i32 = 3600;

pub(super) fn get_caller_identity(
    _view: &View,
    call: &CallContext,
    _input: &GetCallerIdentityRequest,
) -> Result<GetCallerIdentityResponse, ApiError> {
    Ok(GetCallerIdentityResponse {
        account: Some(call.principal.account.clone()),
        arn: Some(call.principal.arn.clone()),
        user_id: Some(call.principal.user_id.clone()),
    })
}

pub(super) fn assume_role(
    view: &View,
    call: &CallContext,
    input: &AssumeRoleRequest,
    _ids: &mut Ids,
    key: &NewKey,
) -> Decision<AssumeRoleResponse> {
    let arn = &input.role_arn;
    if !arn.starts_with("arn:") || arn.split(':').count() < 6 {
        return Err(validation(format!("{arn} is invalid")));
    }
    let name = arn.rsplit('/').next().unwrap_or("");
    let role = find_role(view, name)?.map(|found| found.document.shown).filter(|role| role.arn == *arn);
    let role = role.ok_or_else(|| {
        let caller = &call.principal.arn;
        let message =
            format!("User: {caller} is not authorized to perform: sts:AssumeRole on resource: {arn}");
        ApiError::sender("AccessDenied", message).with_status(403)
    })?;
    let seconds = input.duration_seconds.unwrap_or(ROLE_SECONDS_DEFAULT);
    if call.principal.arn.contains(":assumed-role/") && seconds > CHAINED_SECONDS_MAX {
        return Err(validation(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
        ));
    }
    if seconds > role.max_session_duration.unwrap_or(ROLE_SECONDS_DEFAULT) {
        return Err(validation(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ));
    }
    if let Some(policy) = &input.policy
        && serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(policy).is_err()
    {
        return Err(errors::malformed_policy_document_exception("This policy contains invalid Json"));
    }
    let session = &input.role_session_name;
    let principal = Principal {
        arn: format!("arn:aws:sts::{ACCOUNT}:assumed-role/{}/{session}", role.role_name),
        user_id: format!("{}:{session}", role.role_id),
        account: ACCOUNT.to_owned(),
    };
    let (credentials, changes) = open(view, key, &principal, call.now, to_u64(seconds))?;
    let response = AssumeRoleResponse {
        assumed_role_user: Some(AssumedRoleUser { arn: principal.arn, assumed_role_id: principal.user_id }),
        credentials: Some(credentials),
        packed_policy_size: None,
        source_identity: input.source_identity.clone(),
    };
    Ok((response, changes))
}

pub(super) fn get_session_token(
    view: &View,
    call: &CallContext,
    input: &GetSessionTokenRequest,
    _ids: &mut Ids,
    key: &NewKey,
) -> Decision<GetSessionTokenResponse> {
    if call.access_key.starts_with("ASIA") {
        let message = "Cannot call GetSessionToken with session credentials";
        return Err(ApiError::sender("AccessDenied", message).with_status(403));
    }
    let mut seconds = input.duration_seconds.unwrap_or(USER_SECONDS_DEFAULT);
    if call.principal == Principal::root() {
        seconds = seconds.min(ROOT_SECONDS_MAX);
    }
    let (credentials, changes) = open(view, key, &call.principal, call.now, to_u64(seconds))?;
    Ok((GetSessionTokenResponse { credentials: Some(credentials) }, changes))
}

/// The wire lets no negative duration in.
fn to_u64(seconds: i32) -> u64 {
    u64::try_from(seconds).unwrap_or(0)
}

fn validation(message: impl Into<String>) -> ApiError {
    ApiError::sender("ValidationError", message)
}
