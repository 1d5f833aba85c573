//! Checks a presented signature.

use std::time::Duration;

use gantry_types::{Region, Timestamp};

use super::canonical::{Covered, PathStyle, equal_in_constant_time, payload_hash, signature};
use super::presented::{Identity, Presented, Proof, Signature};
use super::refusal::{Refusal, error};
use super::{Auth, AuthMode, Caller, Credential, Scope, TERMINATOR, UNSIGNED_PAYLOAD};
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
    let Some(identity) = &presented.identity else {
        return Ok(auth.anybody(Region::from(DEFAULT_REGION)));
    };
    let token = match &presented.proof {
        Proof::Signature(signature) => signature.session_token.as_deref(),
        Proof::None | Proof::Malformed(_) => None,
    };
    let known = (auth.lookup)(&identity.access_key, token);
    Ok(Caller {
        access_key: identity.access_key.clone(),
        region: region(identity)?,
        principal: known.map_or_else(|| auth.anonymous.clone(), |credential| credential.principal),
    })
}

fn region(identity: &Identity) -> Result<Region, Refusal> {
    let found = &identity.scope.region;
    let region = identity.region();
    region.ok_or_else(|| wrong(format!("Credential should be scoped to a valid region, not '{found}'. ")))
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
    let (identity, signature) = match (&presented.identity, &presented.proof) {
        (Some(identity), Proof::Signature(signature)) => (identity, signature),
        (_, Proof::Malformed(message)) => return Err(Refusal::Incomplete(message.clone())),
        (_, Proof::None) | (None, Proof::Signature(_)) => return Err(Refusal::Missing),
    };
    let region = region(identity)?;
    check_scope(service, &identity.scope)?;
    check_headers(request, signature)?;
    check_time(service, &identity.scope, signature, request.now)?;
    let credential = (auth.lookup)(&identity.access_key, signature.session_token.as_deref());
    let credential = credential.ok_or(Refusal::UnknownKey)?;
    check_token(&credential, signature, request.now)?;
    let payload_hash = covered_payload(service, operation, request, signature)?;
    check_digits(service, request, identity, signature, &payload_hash, &credential.secret_key)?;
    Ok(Caller { access_key: identity.access_key.clone(), region, principal: credential.principal })
}

fn check_scope(service: &ServiceModel, scope: &Scope) -> Result<(), Refusal> {
    if scope.service != service.signing_name {
        let expected = service.signing_name;
        return Err(wrong(format!("Credential should be scoped to correct service: '{expected}'. ")));
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

fn check_time(
    service: &ServiceModel,
    scope: &Scope,
    signature: &Signature,
    now: Timestamp,
) -> Result<(), Refusal> {
    let Some(signed_at) = time_format::basic(&signature.date) else {
        let message = format!(
            "Date must be in ISO-8601 'basic format'. Got '{}'. See http://en.wikipedia.org/wiki/ISO_8601",
            signature.date
        );
        return Err(Refusal::Incomplete(message));
    };
    let day = &time_format::write_basic(signed_at)[..8];
    if day != scope.date {
        return Err(wrong(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != '{day}', from \
             '{}'.",
            scope.date, signature.date
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
    request: &Request<'_>,
    identity: &Identity,
    presented: &Signature,
    payload_hash: &str,
    secret_key: &str,
) -> Result<(), Refusal> {
    let covered = Covered {
        method: request.method,
        uri: request.uri,
        headers: request.headers,
        signed_headers: &presented.signed_headers,
        payload_hash,
        path_style: if is_s3(service) { PathStyle::S3 } else { PathStyle::Normalized },
    };
    let expected = signature(&covered, secret_key, &presented.date, &identity.scope);
    if equal_in_constant_time(&expected, &presented.digits) { Ok(()) } else { Err(Refusal::Wrong(None)) }
}

fn is_s3(service: &ServiceModel) -> bool {
    service.name == "s3"
}

/// What stands for the body in the canonical request: its hash, or where AWS allows it the word that it is not covered.
fn covered_payload(
    service: &ServiceModel,
    operation: &OperationModel,
    request: &Request<'_>,
    presented: &Signature,
) -> Result<String, Refusal> {
    let s3 = is_s3(service);
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
