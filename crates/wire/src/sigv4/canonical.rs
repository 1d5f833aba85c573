//! The canonical request and its signature, alike for the signer and the one who checks.

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, Method, Uri};
use sha2::{Digest as _, Sha256};

use super::{ALGORITHM, Scope};
use crate::form::{Plus, percent_decode, percent_encode};

/// How a path becomes canonical.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PathStyle {
    /// Dot segments go, and what is encoded is encoded again.
    Normalized,
    /// S3: the key is any text, so nothing is removed and it is encoded once.
    S3,
}

/// The parts that a signature covers.
pub(crate) struct Covered<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    /// In lower case, in the order in which they are named.
    pub(crate) signed_headers: &'a [String],
    /// Hexadecimal, or a word that stands for it.
    pub(crate) payload_hash: &'a str,
    pub(crate) path_style: PathStyle,
}

/// The signature in hexadecimal digits.
pub(crate) fn signature(covered: &Covered<'_>, secret_key: &str, date: &str, scope: &Scope) -> String {
    let hash = hex(&Sha256::digest(canonical_request(covered)));
    let string_to_sign = format!("{ALGORITHM}\n{date}\n{}\n{hash}", scope.text());
    hex(&hmac(&signing_key(secret_key, scope), &string_to_sign))
}

fn signing_key(secret_key: &str, scope: &Scope) -> Vec<u8> {
    let mut key = format!("AWS4{secret_key}").into_bytes();
    for part in [&scope.date, &scope.region, &scope.service, &scope.terminator] {
        key = hmac(&key, part);
    }
    key
}

fn hmac(key: &[u8], message: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

pub(crate) fn payload_hash(body: &[u8]) -> String {
    hex(&Sha256::digest(body))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// True without telling by the time that it takes where the two differ.
pub(crate) fn equal_in_constant_time(a: &str, b: &str) -> bool {
    let differences = a.bytes().zip(b.bytes()).fold(0, |differences, (a, b)| differences | (a ^ b));
    std::hint::black_box(differences) == 0 && a.len() == b.len()
}

pub(crate) fn canonical_request(covered: &Covered<'_>) -> String {
    let headers: String = sorted(covered.signed_headers)
        .into_iter()
        .map(|name| format!("{name}:{}\n", canonical_header(covered, name)))
        .collect();
    format!(
        "{}\n{}\n{}\n{headers}\n{}\n{}",
        covered.method,
        canonical_path(covered.uri.path(), covered.path_style),
        canonical_query(covered.uri.query().unwrap_or("")),
        covered.signed_headers.join(";"),
        covered.payload_hash,
    )
}

fn sorted(names: &[String]) -> Vec<&str> {
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// Trimmed, runs of blanks made one, several values joined. HTTP/2 has the host in its address.
fn canonical_header(covered: &Covered<'_>, name: &str) -> String {
    let values: Vec<String> =
        covered.headers.get_all(name).iter().map(|value| collapse(value.as_bytes())).collect();
    if values.is_empty() && name == "host" {
        return covered.uri.authority().map_or(String::new(), ToString::to_string);
    }
    values.join(",")
}

fn collapse(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

fn canonical_path(path: &str, style: PathStyle) -> String {
    if style == PathStyle::S3 {
        let decoded = percent_decode(path.as_bytes(), Plus::IsPlus).unwrap_or_else(|_| path.to_owned());
        return percent_encode(decoded.as_bytes(), b"/").into_owned();
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            _ => segments.push(segment),
        }
    }
    let mut normal = format!("/{}", segments.join("/"));
    let open_end = path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..");
    if open_end && normal.len() > 1 {
        normal.push('/');
    }
    percent_encode(normal.as_bytes(), b"/").into_owned()
}

/// Sorted by encoded name and value; the signature itself is left out.
fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (normal(name), normal(value))
        })
        .filter(|(name, _)| name != "X-Amz-Signature")
        .collect();
    pairs.sort_unstable();
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// Decoded and encoded again, so that clients which encode more or less than they should still agree with us.
fn normal(text: &str) -> String {
    match percent_decode(text.as_bytes(), Plus::IsPlus) {
        Ok(decoded) => percent_encode(decoded.as_bytes(), b"").into_owned(),
        Err(_) => text.to_owned(),
    }
}
