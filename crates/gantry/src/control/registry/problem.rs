//! Answers that say what is wrong, in the protocol's codes.

use gantry_images::registry::RegistryError;
use gantry_types::ACCOUNT;
use http::{HeaderValue, Response, StatusCode, header};

use super::super::outgoing::Outgoing;

/// An error of the protocol.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    message: String,
    headers: Vec<(header::HeaderName, String)>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), headers: Vec::new() }
    }

    pub(super) fn with_header(mut self, name: header::HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn no_such_repository(name: &str) -> Self {
        let message =
            format!("The repository with name '{name}' does not exist in the registry with id '{ACCOUNT}'");
        Self::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", message)
    }

    pub(super) fn unsupported(allowed: &str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "The operation is unsupported.")
            .with_header(header::ALLOW, allowed)
    }

    pub(super) fn busy(what: &str) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", what)
            .with_header(header::RETRY_AFTER, "5")
    }

    pub(super) fn into_response(self) -> Response<Outgoing> {
        let body = serde_json::json!({
            "errors": [{ "code": self.code, "message": self.message, "detail": null }],
        });
        let mut response = Response::new(Outgoing::whole(body.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        response
    }
}

impl From<RegistryError> for Problem {
    fn from(error: RegistryError) -> Self {
        use RegistryError as E;
        let (status, code) = match &error {
            E::Name(_) => (StatusCode::BAD_REQUEST, "NAME_INVALID"),
            E::Tag(_) | E::TagImmutable { .. } => (StatusCode::BAD_REQUEST, "TAG_INVALID"),
            E::DigestMalformed(_) | E::DigestMismatch { .. } => (StatusCode::BAD_REQUEST, "DIGEST_INVALID"),
            E::Manifest(_) => (StatusCode::BAD_REQUEST, "MANIFEST_INVALID"),
            E::ManifestBlobUnknown(_) => (StatusCode::BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN"),
            E::ManifestUnknown(_) => (StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"),
            E::Referenced { .. } => (StatusCode::FORBIDDEN, "DENIED"),
            E::BlobUnknown(_) => (StatusCode::NOT_FOUND, "BLOB_UNKNOWN"),
            E::UploadUnknown => (StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"),
            E::UploadTaken => (StatusCode::CONFLICT, "BLOB_UPLOAD_INVALID"),
            E::Offset { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID"),
            E::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID"),
            E::TooManyUploads(_) => return Self::busy(&error.to_string()),
            E::NoRoom => (StatusCode::INSUFFICIENT_STORAGE, "UNKNOWN"),
            E::Store(_) => {
                tracing::error!("the registry: {error}");
                (StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN")
            }
        };
        Self::new(status, code, error.to_string())
    }
}
