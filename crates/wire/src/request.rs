//! From bytes to a call.

use gantry_types::{Region, Timestamp, Value};
use http::{HeaderMap, Method, Uri};

use crate::claim::{Claim, Clues, Refusal, claim, spoken};
use crate::decode::DecodeError;
use crate::decode_query::{self, Dialect};
use crate::limits::{BODY_BYTES_MAX, QUOTED_CHARACTERS_MAX};
use crate::render::{ReplyForm, render_error_as};
use crate::shape::{Authentication, ServiceModel};
use crate::sigv4::{self, Auth, Caller};
use crate::validate::validate;
use crate::{ApiError, Call, Protocol, Response, cbor, decode_json, rest, style};

/// The region of requests that are not signed.
pub const DEFAULT_REGION: &str = "us-east-1";

/// The services that are served.
#[derive(Debug, Clone, Copy)]
pub struct Services {
    models: &'static [&'static ServiceModel],
}

impl Services {
    pub const fn new(models: &'static [&'static ServiceModel]) -> Self {
        Self { models }
    }
    pub fn iter(&self) -> impl Iterator<Item = &'static ServiceModel> + use<> {
        self.models.iter().copied()
    }
    /// A service by our own name: `ecs`.
    pub fn named(&self, name: &str) -> Option<&'static ServiceModel> {
        self.iter().find(|service| service.name == name)
    }
}

/// One HTTP request with its whole body.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    pub method: &'a Method,
    pub uri: &'a Uri,
    pub headers: &'a HeaderMap,
    pub body: &'a [u8],
    /// When it came in.
    pub now: Timestamp,
    /// A fresh UUID, which the answer carries.
    pub request_id: String,
}

/// Finds the operation, checks the signature, reads the input and validates it. Does no IO. The error is the whole answer.
#[expect(clippy::result_large_err, reason = "a call is larger still")]
pub fn parse_request(services: &Services, request: &Request<'_>, auth: &Auth<'_>) -> Result<Call, Response> {
    let signature = sigv4::Presented::of(request);
    let clues = Clues {
        method: request.method,
        uri: request.uri,
        headers: request.headers,
        body: request.body,
        scope_service: signature.scope_service(),
    };
    let query_mode = request.headers.get("x-amzn-query-mode").is_some_and(|value| value == "true");
    let mut reply = ReplyForm {
        service: None,
        operation: None,
        protocol: Protocol::RestJson,
        request_id: request.request_id.clone(),
        query_mode,
    };
    if request.body.len() > BODY_BYTES_MAX {
        let message = format!("The request's body is larger than {BODY_BYTES_MAX} bytes");
        reply.protocol = spoken(request.headers);
        return Err(render_error_as(
            &reply,
            &ApiError::sender("RequestEntityTooLarge", message).with_status(413),
        ));
    }
    let claimed = claim(services, &clues).map_err(|refusal| refusal_answer(&mut reply, &refusal))?;
    reply.service = Some(claimed.service);
    reply.operation = Some(claimed.operation);
    reply.protocol = claimed.protocol;
    let refuse = |error: ApiError| render_error_as(&reply, &error);
    let caller = authenticate(&claimed, request, &signature, auth).map_err(refuse)?;
    let input = read_input(&claimed, request).map_err(refuse)?;
    Ok(Call {
        service: claimed.service,
        operation: claimed.operation,
        protocol: claimed.protocol,
        region: caller.region,
        request_id: request.request_id.clone(),
        now: request.now,
        access_key: caller.access_key,
        principal: caller.principal,
        input,
        query_mode,
    })
}

fn refusal_answer(reply: &mut ReplyForm, refusal: &Refusal) -> Response {
    reply.service = refusal.service;
    reply.protocol = refusal.protocol;
    render_error_as(reply, &refusal.error)
}

fn authenticate(
    claimed: &Claim,
    request: &Request<'_>,
    presented: &sigv4::Presented,
    auth: &Auth<'_>,
) -> Result<Caller, ApiError> {
    if claimed.operation.authentication == Authentication::Anonymous && presented.is_none() {
        return Ok(auth.anybody(Region::from(DEFAULT_REGION)));
    }
    sigv4::authenticate(claimed.service, claimed.operation, claimed.protocol, request, presented, auth)
}

fn read_input(claimed: &Claim, request: &Request<'_>) -> Result<Value, ApiError> {
    let (service, operation, protocol) = (claimed.service, claimed.operation, claimed.protocol);
    if style::refuses_unknown_parameters(service)
        && let Some(name) = decode_query::unknown_parameter(operation.input, &claimed.form)
    {
        let name: String = name.chars().take(QUOTED_CHARACTERS_MAX).collect();
        return Err(ApiError::sender("UnknownParameter", format!("The parameter {name} is not recognized")));
    }
    let input = decode(claimed, request).map_err(|error| style::malformed(service, protocol, &error))?;
    let violations = validate(operation.input, &input);
    if violations.is_empty() {
        Ok(input)
    } else {
        Err(style::invalid(service, operation, protocol, &violations))
    }
}

/// Checks the input of a call that comes from inside, as that of a request is: the same constraints in the same words.
pub fn check_input(call: &Call) -> Result<(), ApiError> {
    let violations = validate(call.operation.input, &call.input);
    if violations.is_empty() {
        Ok(())
    } else {
        Err(style::invalid(call.service, call.operation, call.protocol, &violations))
    }
}

fn decode(claimed: &Claim, request: &Request<'_>) -> Result<Value, DecodeError> {
    let shape = claimed.operation.input;
    match claimed.protocol {
        Protocol::AwsJson10 | Protocol::AwsJson11 => decode_json::decode(shape, request.body),
        Protocol::AwsQuery => decode_query::decode(shape, &claimed.form, Dialect::Query),
        Protocol::Ec2Query => decode_query::decode(shape, &claimed.form, Dialect::Ec2),
        Protocol::RpcV2Cbor => cbor::decode(shape, request.body),
        Protocol::RestJson | Protocol::RestXml => {
            rest::decode(shape, claimed.protocol, &claimed.labels, request)
        }
    }
}
