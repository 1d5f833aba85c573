//! Signs requests, for our own clients and for tests.

use gantry_types::Timestamp;
use http::header::{AUTHORIZATION, HOST, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Uri};

use super::canonical::{Covered, PathStyle, payload_hash, signature};
use super::{ALGORITHM, Scope, TERMINATOR};
use crate::time_format::write_basic;

/// Credentials and what they sign for.
#[derive(Clone)]
pub struct Signer<'a> {
    pub access_key: &'a str,
    pub secret_key: &'a str,
    pub session_token: Option<&'a str>,
    pub region: &'a str,
    /// The service's signing name: `elasticloadbalancing`.
    pub service: &'a str,
}

impl Signer<'_> {
    /// Adds `Host` where it is missing, the date, the token and `Authorization`. Every header that is there is signed,
    /// but those that proxies change.
    pub fn sign(&self, method: &Method, uri: &Uri, headers: &mut HeaderMap, body: &[u8], now: Timestamp) {
        let date = write_basic(now);
        if let Some(authority) = uri.authority().filter(|_| !headers.contains_key(HOST)) {
            put(headers, HOST, authority.as_str());
        }
        put(headers, HeaderName::from_static("x-amz-date"), &date);
        if let Some(token) = self.session_token {
            put(headers, HeaderName::from_static("x-amz-security-token"), token);
        }
        headers.remove(AUTHORIZATION);
        let mut signed_headers: Vec<String> = headers
            .keys()
            .map(|name| name.as_str().to_owned())
            .filter(|name| !UNSIGNED.contains(&name.as_str()))
            .collect();
        signed_headers.sort_unstable();
        let scope = Scope {
            date: date[..8].to_owned(),
            region: self.region.to_owned(),
            service: self.service.to_owned(),
            terminator: TERMINATOR.to_owned(),
        };
        let covered = Covered {
            method,
            uri,
            headers,
            signed_headers: &signed_headers,
            payload_hash: &payload_hash(body),
            path_style: PathStyle::Normalized,
        };
        let digits = signature(&covered, self.secret_key, &date, &scope);
        let (key, names, scope) = (self.access_key, signed_headers.join(";"), scope.text());
        let value =
            format!("{ALGORITHM} Credential={key}/{scope}, SignedHeaders={names}, Signature={digits}");
        put(headers, AUTHORIZATION, &value);
    }
}

const UNSIGNED: [&str; 6] =
    ["user-agent", "x-amzn-trace-id", "expect", "transfer-encoding", "connection", "content-length"];

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
