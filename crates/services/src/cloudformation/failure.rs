//! Why a resource could not become what it shall be.

use gantry_api::ApiError;

/// A failure as a stack's events tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    message: String,
    /// `None` where CloudFormation itself refuses, before the type's handler is asked.
    code: Option<HandlerErrorCode>,
    /// The store could not keep a change: nothing that the template could help.
    is_passing: bool,
}

/// AWS's classes of what handlers answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandlerErrorCode {
    AccessDenied,
    AlreadyExists,
    GeneralServiceException,
    InvalidRequest,
    NotFound,
    NotStabilized,
    ResourceConflict,
    ServiceInternalError,
    ServiceLimitExceeded,
    Throttling,
}

impl Failure {
    /// CloudFormation's own words.
    pub(crate) fn plain(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: None, is_passing: false }
    }
    /// What a type's handler says.
    pub(crate) fn handler(code: HandlerErrorCode, message: impl Into<String>) -> Self {
        Self { message: message.into(), code: Some(code), is_passing: false }
    }
    pub(crate) fn is(&self, code: HandlerErrorCode) -> bool {
        self.code == Some(code)
    }
    pub(crate) fn is_passing(&self) -> bool {
        self.is_passing
    }
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The reason in an event.
    pub(crate) fn reason(&self, request_token: &str) -> String {
        match self.code {
            None => self.message.clone(),
            Some(code) => format!(
                "Resource handler returned message: \"{}\" (RequestToken: {request_token}, HandlerErrorCode: {code:?})",
                self.message
            ),
        }
    }

    /// A call of a service was refused.
    pub(crate) fn of_call(service: &str, request_id: &str, error: &ApiError) -> Self {
        let message = format!(
            "{} (Service: {service}, Status Code: {}, Request ID: {request_id})",
            error.message, error.status
        );
        let is_passing = error.code == "ServiceUnavailable" && error.status == 503;
        Self { is_passing, ..Self::handler(class_of(error), message) }
    }
}

/// The class of a service's error, told by its code as AWS's services name theirs.
pub(crate) fn class_of(error: &ApiError) -> HandlerErrorCode {
    let code = error.code.as_ref();
    let has = |parts: &[&str]| parts.iter().any(|part| code.contains(part));
    if has(&["NotFound", "NoSuch", "DoesNotExist", "NotExist"]) {
        HandlerErrorCode::NotFound
    } else if has(&["AlreadyExist", "Duplicate", "EntityAlreadyExists", "AlreadyAssociated"]) {
        HandlerErrorCode::AlreadyExists
    } else if has(&["LimitExceeded", "TooMany"]) {
        HandlerErrorCode::ServiceLimitExceeded
    } else if has(&["Throttling"]) {
        HandlerErrorCode::Throttling
    } else if has(&["AccessDenied", "Unauthorized"]) {
        HandlerErrorCode::AccessDenied
    } else if has(&["DependencyViolation", "DeleteConflict", "InUse", "Conflict"]) {
        HandlerErrorCode::ResourceConflict
    } else if error.status >= 500 {
        HandlerErrorCode::ServiceInternalError
    } else if has(&["Invalid", "Validation", "Missing", "Malformed", "ClientException", "Serialization"]) {
        HandlerErrorCode::InvalidRequest
    } else {
        HandlerErrorCode::GeneralServiceException
    }
}
