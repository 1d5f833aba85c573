//! How each kind of service words a refused signature.

use crate::shape::ServiceModel;
use crate::{ApiError, Protocol};

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Nothing is signed.
    Missing,
    UnknownKey,
    /// The signature does not hold, or not for this; the text says more than "does not match" where that is known.
    Wrong(Option<String>),
    /// The signer's clock and ours differ too much.
    Skewed(String),
    TokenExpired,
    /// A presigned address is past its time.
    AddressExpired,
    /// What is there cannot be read.
    Incomplete(String),
    /// A presigned address asks for more time than there is.
    BadExpiry,
    /// S3: the body is not the one that the header tells of.
    BodyHash,
}

const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
                        Access Key and signing method. Consult the service documentation for details.";
const INVALID_TOKEN: &str = "The security token included in the request is invalid.";
const EXPIRED_TOKEN: &str = "The security token included in the request is expired";

pub(crate) fn error(refusal: Refusal, service: &ServiceModel, protocol: Protocol) -> ApiError {
    if service.name == "s3" {
        return s3(refusal);
    }
    match protocol {
        Protocol::Ec2Query => ec2(refusal),
        Protocol::AwsQuery | Protocol::RestXml => query(refusal),
        Protocol::AwsJson10 | Protocol::AwsJson11 | Protocol::RpcV2Cbor => json(refusal).with_status(400),
        Protocol::RestJson => json(refusal).with_status(403),
    }
}

fn json(refusal: Refusal) -> ApiError {
    match refusal {
        Refusal::Missing => {
            ApiError::sender("MissingAuthenticationTokenException", "Missing Authentication Token")
        }
        Refusal::UnknownKey => ApiError::sender("UnrecognizedClientException", INVALID_TOKEN),
        Refusal::TokenExpired => ApiError::sender("ExpiredTokenException", EXPIRED_TOKEN),
        Refusal::Incomplete(message) => ApiError::sender("IncompleteSignatureException", message),
        other => ApiError::sender("InvalidSignatureException", text(other)),
    }
}

fn query(refusal: Refusal) -> ApiError {
    let error = match refusal {
        Refusal::Missing => {
            ApiError::sender("MissingAuthenticationToken", "Request is missing Authentication Token")
        }
        Refusal::UnknownKey => ApiError::sender("InvalidClientTokenId", INVALID_TOKEN),
        Refusal::TokenExpired => ApiError::sender("ExpiredToken", EXPIRED_TOKEN),
        Refusal::Incomplete(message) => return ApiError::sender("IncompleteSignature", message),
        other => ApiError::sender("SignatureDoesNotMatch", text(other)),
    };
    error.with_status(403)
}

fn ec2(refusal: Refusal) -> ApiError {
    match refusal {
        Refusal::Missing | Refusal::Incomplete(_) => query(refusal),
        Refusal::TokenExpired | Refusal::AddressExpired => {
            ApiError::sender("RequestExpired", "Request has expired.")
        }
        _ => {
            let message = "AWS was not able to validate the provided access credentials";
            ApiError::sender("AuthFailure", message).with_status(401)
        }
    }
}

fn s3(refusal: Refusal) -> ApiError {
    let error = match refusal {
        Refusal::Missing => ApiError::sender("AccessDenied", "Access Denied"),
        Refusal::UnknownKey => {
            let message = "The AWS Access Key Id you provided does not exist in our records.";
            ApiError::sender("InvalidAccessKeyId", message)
        }
        Refusal::Skewed(_) => {
            let message = "The difference between the request time and the current time is too large.";
            ApiError::sender("RequestTimeTooSkewed", message)
        }
        Refusal::AddressExpired => ApiError::sender("AccessDenied", "Request has expired"),
        Refusal::TokenExpired => return ApiError::sender("ExpiredToken", "The provided token has expired."),
        Refusal::Incomplete(message) => return ApiError::sender("AuthorizationHeaderMalformed", message),
        Refusal::BadExpiry => {
            let message = "X-Amz-Expires must be a number between 1 and 604800 seconds";
            return ApiError::sender("AuthorizationQueryParametersError", message);
        }
        Refusal::BodyHash => {
            let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
            return ApiError::sender("XAmzContentSHA256Mismatch", message);
        }
        Refusal::Wrong(message) => {
            ApiError::sender("SignatureDoesNotMatch", message.unwrap_or_else(|| MISMATCH.to_owned()))
        }
    };
    error.with_status(403)
}

fn text(refusal: Refusal) -> String {
    match refusal {
        Refusal::Wrong(Some(message)) | Refusal::Skewed(message) => message,
        Refusal::AddressExpired => "Signature expired".to_owned(),
        Refusal::BadExpiry => "X-Amz-Expires must be a number between 1 and 604800 seconds".to_owned(),
        _ => MISMATCH.to_owned(),
    }
}
