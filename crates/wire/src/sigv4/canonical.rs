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
        return path.split('/').map(normal).collect::<Vec<_>>().join("/");
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

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    const DATE: &str = "20150830T123600Z";

    fn sign(method: &Method, address: &str, headers: &[(&str, &str)], body: &str, service: &str) -> String {
        let uri: Uri = address.parse().unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().unwrap();
            map.append(name, value.parse().unwrap());
        }
        map.insert("x-amz-date", DATE.parse().unwrap());
        let mut signed_headers: Vec<String> = map.keys().map(|name| name.as_str().to_owned()).collect();
        signed_headers.push("host".to_owned());
        signed_headers.sort();
        let s3 = service == "s3";
        let covered = Covered {
            method,
            uri: &uri,
            headers: &map,
            signed_headers: &signed_headers,
            payload_hash: &payload_hash(body.as_bytes()),
            path_style: if s3 { PathStyle::S3 } else { PathStyle::Normalized },
        };
        let scope = Scope {
            date: DATE[..8].to_owned(),
            region: "us-east-1".to_owned(),
            service: service.to_owned(),
            terminator: "aws4_request".to_owned(),
        };
        signature(&covered, SECRET, DATE, &scope)
    }

    /// The first two and the one for IAM are in AWS's documentation and test suite; all were computed with botocore.
    #[test]
    fn signatures_agree_with_awss() {
        const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        let (get, post) = (&Method::GET, &Method::POST);
        let host = "http://example.amazonaws.com";
        let cases = [
            (get, "/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            (
                get,
                "/?Param2=value2&Param1=value1",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (get, "/%E1%88%B4", "697b34846207a3f72246f99d74ae1ee4fe54f44bb06730c58a0d339eb079596d"),
            (
                get,
                "/example%20space/../a//b/./c/",
                "e831ebc7260d07fb5c2c3bab4448ff6f2091c5c3bc8749b79e53d01778633b5e",
            ),
            (
                get,
                "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1&a=b%20c%2F",
                "c40c2a98d5f9659c4d481b3d7182c9dce1e15a3bf1c3b3e481432485e666131f",
            ),
        ];
        for (method, path, expected) in cases {
            assert_eq!(sign(method, &format!("{host}{path}"), &[], "", "service"), expected, "{path}");
        }
        let blanks = [("my-header1", "  a   b   c  "), ("my-header2", "\"a b\""), FORM];
        assert_eq!(
            sign(post, &format!("{host}/"), &blanks, "Param1=value1", "service"),
            "20c2f18952cd9917f99489d322b481ad2d28b7b7bb592519de0de1a79eaa1fcd"
        );
        assert_eq!(
            sign(get, "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", &[FORM], "", "iam"),
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        );
        let empty =
            ("x-amz-content-sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(
            sign(get, "https://b.s3.amazonaws.com/a//b%2Fc%20d/../e", &[empty], "", "s3"),
            "28fd6a610ea1c2f74f896b5b8fd08b6a695c22ce5109c552b4f9f252a838112c"
        );
    }

    #[test]
    fn paths_become_canonical() {
        let cases = [
            ("/", "/"),
            ("", "/"),
            ("/a/..", "/"),
            ("/../a", "/a"),
            ("/a/./", "/a/"),
            ("/a%20b", "/a%2520b"),
        ];
        for (path, expected) in cases {
            assert_eq!(canonical_path(path, PathStyle::Normalized), expected, "{path}");
        }
        assert_eq!(canonical_path("/a%20b/../c", PathStyle::S3), "/a%20b/../c");
    }

    #[test]
    fn a_constant_time_comparison_compares() {
        assert!(equal_in_constant_time("abc", "abc"));
        for other in ["abd", "ab", "abcd", ""] {
            assert!(!equal_in_constant_time("abc", other));
        }
    }
}
