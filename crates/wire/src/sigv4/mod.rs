//! Signature version 4: who signed a request, whether the signature holds, and how to sign one.

mod canonical;
mod presented;
mod refusal;
mod sign;
mod verify;

use gantry_types::{Region, Timestamp};

use crate::Principal;

pub(crate) use presented::Presented;
pub use sign::Signer;
pub(crate) use verify::authenticate;

/// How requests prove who they come from.
pub struct Auth<'a> {
    /// Finds an access key's secret and owner. The session token that the request presents is its second argument: there are
    /// sessions of which no record is kept.
    pub lookup: &'a dyn Fn(&str, Option<&str>) -> Option<Credential>,
    pub mode: AuthMode,
    /// Who calls with a key that nobody knows, or with none, where that is allowed.
    pub anonymous: Principal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMode {
    /// Signatures are checked.
    Verify,
    /// Any credentials do, also none. The region still comes from the scope, and a known key still names its owner.
    AcceptAny,
}

/// An access key's other half.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    pub secret_key: String,
    /// Temporary credentials are only good together with their token.
    pub session_token: Option<String>,
    pub expires: Option<Timestamp>,
    pub principal: Principal,
}

/// Who calls, and where.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) access_key: String,
    pub(crate) region: Region,
    pub(crate) principal: Principal,
}

impl Auth<'_> {
    pub(crate) fn anybody(&self, region: Region) -> Caller {
        Caller { access_key: String::new(), region, principal: self.anonymous.clone() }
    }
}

/// The credential scope: what a signature is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    /// `20150830`
    pub(crate) date: String,
    pub(crate) region: String,
    pub(crate) service: String,
    pub(crate) terminator: String,
}

impl Scope {
    pub(crate) fn text(&self) -> String {
        format!("{}/{}/{}/{}", self.date, self.region, self.service, self.terminator)
    }
}

pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
pub(crate) const TERMINATOR: &str = "aws4_request";
pub(crate) const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
