//! Checks a presented signature.

use std::time::Duration;

use gantry_types::{Region, Timestamp};

use super::canonical::{Covered, PathStyle, equal_in_constant_time, payload_hash, signature};
use super::presented::{Presented, Signature};
use super::refusal::{Refusal, error};
use super::{Auth, AuthMode, Caller, Credential, TERMINATOR, UNSIGNED_PAYLOAD};
use crate::request::DEFAULT_REGION;
use crate::shape::{Authentication, OperationModel, ServiceModel};
use crate::{ApiError, Protocol, Request, style, time_format};

/// The longest that a presigned address may hold, a week.
const EXPIRES_SECONDS_MAX: u64 = 604_800;

pub(crate) fn authenticate(
    service: &ServiceModel,
    operation: &OperationModel,
    protocol: Protocol,
    request: &Request<'_>,
    presented: &Presented,
    auth: &Auth<'_>,
) -> Result<Caller, ApiError> {
    let outcome = match auth.mode {
        AuthMode::AcceptAny => accept(presented, auth),
        AuthMode::Verify => verify(service, operation, request, presented, auth),
    };
    outcome.map_err(|refusal| error(refusal, service, protocol))
}

/// Believes whatever is said, as far as it can be read.
fn accept(presented: &Presented, auth: &Auth<'_>) -> Result<Caller, Refusal> {
    let Presented::Signature(signature) = presented else {
        return Ok(auth.anybody(Region::from(DEFAULT_REGION)));
    };
    let known = (auth.lookup)(&signature.access_key);
    Ok(Caller {
        access_key: signature.access_key.clone(),
        region: region(signature)?,
        principal: known.map_or_else(|| auth.anonymous.clone(), |credential| credential.principal),
    })
}

fn region(signature: &Signature) -> Result<Region, Refusal> {
    let region = signature.region();
    region.ok_or_else(|| {
        wrong(format!("Credential should be scoped to a valid region, not '{}'. ", signature.scope.region))
    })
}

fn wrong(message: String) -> Refusal {
    Refusal::Wrong(Some(message))
}

fn verify(
    service: &ServiceModel,
    operation: &OperationModel,
    request: &Request<'_>,
    presented: &Presented,
    auth: &Auth<'_>,
) -> Result<Caller, Refusal> {
    let signature = match presented {
        Presented::Signature(signature) => signature,
        Presented::None => return Err(Refusal::Missing),
        Presented::Malformed(message) => return Err(Refusal::Incomplete(message.clone())),
    };
    check_scope(service, signature)?;
    check_headers(request, signature)?;
    check_time(service, signature, request.now)?;
    let credential = (auth.lookup)(&signature.access_key).ok_or(Refusal::UnknownKey)?;
    check_token(&credential, signature, request.now)?;
    check_digits(service, operation, request, signature, &credential)?;
    Ok(Caller {
        access_key: signature.access_key.clone(),
        region: region(signature)?,
        principal: credential.principal,
    })
}

fn check_scope(service: &ServiceModel, signature: &Signature) -> Result<(), Refusal> {
    let scope = &signature.scope;
    region(signature)?;
    if scope.service != service.signing_name {
        return Err(wrong(format!(
            "Credential should be scoped to correct service: '{}'. ",
            service.signing_name
        )));
    }
    if scope.terminator != TERMINATOR {
        let found = &scope.terminator;
        return Err(wrong(format!(
            "Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{found}'. "
        )));
    }
    Ok(())
}

/// The host and the target decide what a request means, so they have to be under the signature.
fn check_headers(request: &Request<'_>, signature: &Signature) -> Result<(), Refusal> {
    let signed = |name: &str| signature.signed_headers.iter().any(|own| own == name);
    if !signed("host") {
        return Err(wrong(
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.".to_owned(),
        ));
    }
    if request.headers.contains_key("x-amz-target") && !signed("x-amz-target") {
        return Err(wrong("'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization.".to_owned()));
    }
    Ok(())
}

fn check_time(service: &ServiceModel, signature: &Signature, now: Timestamp) -> Result<(), Refusal> {
    let signed_at = time_format::basic(&signature.date).or_else(|| time_format::http_date(&signature.date));
    let Some(signed_at) = signed_at else {
        let message = format!(
            "Date must be in ISO-8601 'basic format'. Got '{}'. See http://en.wikipedia.org/wiki/ISO_8601",
            signature.date
        );
        return Err(Refusal::Incomplete(message));
    };
    let day = &time_format::write_basic(signed_at)[..8];
    if day != signature.scope.date {
        return Err(wrong(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != '{day}', from \
             '{}'.",
            signature.scope.date, signature.date
        )));
    }
    let minutes = style::skew_minutes(service);
    let skew = Duration::from_secs(u64::from(minutes) * 60);
    let basic = time_format::write_basic;
    if signed_at > now + skew {
        let (signed_at, limit, now) = (basic(signed_at), basic(now + skew), basic(now));
        let message = format!(
            "Signature not yet current: {signed_at} is still later than {limit} ({now} + {minutes} min.)"
        );
        return Err(Refusal::Skewed(message));
    }
    if let Some(expires) = &signature.expires {
        return check_expiry(expires, signed_at, now);
    }
    if signed_at < now - skew {
        let (signed_at, limit, now) = (basic(signed_at), basic(now - skew), basic(now));
        let message =
            format!("Signature expired: {signed_at} is now earlier than {limit} ({now} - {minutes} min.)");
        return Err(Refusal::Skewed(message));
    }
    Ok(())
}

fn check_expiry(expires: &str, signed_at: Timestamp, now: Timestamp) -> Result<(), Refusal> {
    let seconds = expires.parse().ok().filter(|seconds| (1..=EXPIRES_SECONDS_MAX).contains(seconds));
    let seconds = seconds.ok_or(Refusal::BadExpiry)?;
    if now > signed_at + Duration::from_secs(seconds) { Err(Refusal::AddressExpired) } else { Ok(()) }
}

fn check_token(credential: &Credential, signature: &Signature, now: Timestamp) -> Result<(), Refusal> {
    let holds = match (&credential.session_token, &signature.session_token) {
        (None, None) => true,
        (Some(own), Some(given)) => equal_in_constant_time(own, given),
        (Some(_), None) | (None, Some(_)) => false,
    };
    if !holds {
        return Err(Refusal::UnknownKey);
    }
    if credential.expires.is_some_and(|expires| expires <= now) { Err(Refusal::TokenExpired) } else { Ok(()) }
}

fn check_digits(
    service: &ServiceModel,
    operation: &OperationModel,
    request: &Request<'_>,
    presented: &Signature,
    credential: &Credential,
) -> Result<(), Refusal> {
    let s3 = service.name == "s3";
    let covered = Covered {
        method: request.method,
        uri: request.uri,
        headers: request.headers,
        signed_headers: &presented.signed_headers,
        payload_hash: &covered_payload(operation, request, presented, s3)?,
        path_style: if s3 { PathStyle::S3 } else { PathStyle::Normalized },
    };
    let expected = signature(&covered, &credential.secret_key, &presented.date, &presented.scope);
    if equal_in_constant_time(&expected, &presented.digits) { Ok(()) } else { Err(Refusal::Wrong(None)) }
}

/// What stands for the body in the canonical request: its hash, or where AWS allows it the word that it is not covered.
fn covered_payload(
    operation: &OperationModel,
    request: &Request<'_>,
    presented: &Signature,
    s3: bool,
) -> Result<String, Refusal> {
    let told = request.headers.get("x-amz-content-sha256").and_then(|value| value.to_str().ok());
    if s3 && told.is_none() && presented.expires.is_some() {
        return Ok(UNSIGNED_PAYLOAD.to_owned());
    }
    let may_be_unsigned = s3 || operation.authentication == Authentication::SignatureWithoutBody;
    if may_be_unsigned && told == Some(UNSIGNED_PAYLOAD) {
        return Ok(UNSIGNED_PAYLOAD.to_owned());
    }
    let hash = payload_hash(request.body);
    match told {
        Some(told) if s3 && told != hash => Err(Refusal::BodyHash),
        _ => Ok(hash),
    }
}
