//! A request that was understood, and the answer that goes back.

use gantry_types::{Region, Timestamp, Value};
use http::{HeaderMap, StatusCode};

use crate::Protocol;
use crate::shape::{OperationModel, ServiceModel};

/// One understood, authenticated and valid request.
#[derive(Debug, Clone)]
pub struct Call {
    pub service: &'static ServiceModel,
    pub operation: &'static OperationModel,
    pub protocol: Protocol,
    pub region: Region,
    pub request_id: String,
    /// When the request came in.
    pub now: Timestamp,
    /// Empty where nothing was signed.
    pub access_key: String,
    pub principal: Principal,
    /// The canonical document: members by their model names, as the input shape types them.
    pub input: Value,
    /// The client asked for the error codes of the service's former Query protocol.
    pub query_mode: bool,
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub arn: String,
    /// `AIDA..` of a user, `AROA..:session` of an assumed role, the account for root.
    pub user_id: String,
    pub account: String,
}

impl Principal {
    /// The account itself.
    pub fn root() -> Self {
        let account = gantry_types::ACCOUNT.to_owned();
        Self { arn: format!("arn:aws:iam::{account}:root"), user_id: account.clone(), account }
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}
