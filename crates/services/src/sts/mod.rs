//! AWS STS: who calls, and credentials for a while.
//!
//! Sessions are records, so that credentials outlive a restart of `control`. Each new session clears away some that expired.
//! Those of tasks prove themselves and need none.

mod assume;
mod sessions;
mod task_sessions;
#[cfg(test)]
mod tests;

pub(crate) use sessions::find as find_session;
pub(crate) use task_sessions::find as find_task_session;

use gantry_api::sts::*;

handlers! {
    Sts;
    read get_caller_identity(GetCallerIdentityRequest) -> GetCallerIdentityResponse = assume::get_caller_identity;
    secret assume_role(AssumeRoleRequest) -> AssumeRoleResponse = assume::assume_role;
    secret get_session_token(GetSessionTokenRequest) -> GetSessionTokenResponse = assume::get_session_token;
}
