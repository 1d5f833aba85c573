//! What a request presents: the signature in its `Authorization` header or in its address.

use gantry_types::Region;

use super::{ALGORITHM, Scope};
use crate::Request;
use crate::form::Form;
use crate::limits::SIGNED_HEADERS_MAX;

/// What stands in the request, before anything is believed.
#[derive(Debug)]
pub(crate) enum Presented {
    None,
    Signature(Box<Signature>),
    /// Something that is no signature of this version; the text says what is wrong.
    Malformed(String),
}

#[derive(Debug)]
pub(crate) struct Signature {
    pub(crate) access_key: String,
    pub(crate) scope: Scope,
    /// In lower case.
    pub(crate) signed_headers: Vec<String>,
    /// Hexadecimal digits.
    pub(crate) digits: String,
    /// When it was signed, in the client's words.
    pub(crate) date: String,
    pub(crate) session_token: Option<String>,
    /// Of a presigned address: how long it holds, as it says.
    pub(crate) expires: Option<String>,
}

impl Presented {
    pub(crate) fn of(request: &Request<'_>) -> Self {
        let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(authorization) = header("authorization") {
            let date = header("x-amz-date").or_else(|| header("date"));
            return match from_header(authorization, date) {
                Ok(signature) => Self::Signature(Box::new(Signature {
                    session_token: header("x-amz-security-token").map(str::to_owned),
                    ..signature
                })),
                Err(message) => Self::Malformed(message),
            };
        }
        match request.uri.query().filter(|query| query.contains("X-Amz-Algorithm=")) {
            Some(query) => from_query(query)
                .map_or_else(Self::Malformed, |signature| Self::Signature(Box::new(signature))),
            None => Self::None,
        }
    }

    pub(crate) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    pub(crate) fn scope_service(&self) -> Option<&str> {
        match self {
            Self::Signature(signature) => Some(&signature.scope.service),
            Self::None | Self::Malformed(_) => None,
        }
    }
}

impl Signature {
    /// The region of the scope; it becomes part of names and keys, so it has to look like one.
    pub(crate) fn region(&self) -> Option<Region> {
        let region = self.scope.region.as_str();
        let plain =
            region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        (plain && (1..=32).contains(&region.len())).then(|| Region::from(region))
    }
}

fn from_header(authorization: &str, date: Option<&str>) -> Result<Signature, String> {
    let (algorithm, rest) = authorization.split_once(' ').unwrap_or((authorization, ""));
    if algorithm != ALGORITHM {
        return Err(format!("Unsupported AWS 'algorithm': '{algorithm}' (only {ALGORITHM} is supported)."));
    }
    let part = |name: &str| {
        let mut parts = rest.split(',').filter_map(|part| part.trim().split_once('='));
        parts.find(|(own, _)| *own == name).map(|(_, value)| value).filter(|value| !value.is_empty())
    };
    let (credential, digits, signed) = (part("Credential"), part("Signature"), part("SignedHeaders"));
    let (Some(credential), Some(digits), Some(signed), Some(date)) = (credential, digits, signed, date)
    else {
        let mut missing = String::new();
        for (name, found) in [("Credential", credential), ("Signature", digits), ("SignedHeaders", signed)] {
            if found.is_none() {
                missing.push_str(&format!("Authorization header requires '{name}' parameter. "));
            }
        }
        if date.is_none() {
            missing.push_str(
                "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ",
            );
        }
        return Err(format!("{missing}Authorization={ALGORITHM}"));
    };
    let (access_key, scope) = parse_credential(credential)?;
    let signed_headers = parse_signed_headers(signed)?;
    Ok(Signature {
        access_key,
        scope,
        signed_headers,
        digits: digits.to_owned(),
        date: date.to_owned(),
        session_token: None,
        expires: None,
    })
}

fn from_query(query: &str) -> Result<Signature, String> {
    let mut form = Form::default();
    form.extend(query.as_bytes()).map_err(|error| error.problem)?;
    let part = |name: &str| form.get(name).filter(|value| !value.is_empty());
    if part("X-Amz-Algorithm") != Some(ALGORITHM) {
        let algorithm = part("X-Amz-Algorithm").unwrap_or("");
        return Err(format!("Unsupported AWS 'algorithm': '{algorithm}' (only {ALGORITHM} is supported)."));
    }
    let needed =
        |name: &str| part(name).ok_or_else(|| format!("AWS query-string parameters must include '{name}'."));
    let (access_key, scope) = parse_credential(needed("X-Amz-Credential")?)?;
    Ok(Signature {
        access_key,
        scope,
        signed_headers: parse_signed_headers(needed("X-Amz-SignedHeaders")?)?,
        digits: needed("X-Amz-Signature")?.to_owned(),
        date: needed("X-Amz-Date")?.to_owned(),
        session_token: part("X-Amz-Security-Token").map(str::to_owned),
        expires: Some(needed("X-Amz-Expires")?.to_owned()),
    })
}

fn parse_credential(text: &str) -> Result<(String, Scope), String> {
    let mut parts = text.rsplitn(5, '/');
    let mut next = || parts.next().map(str::to_owned);
    let (terminator, service, region, date, key) = (next(), next(), next(), next(), next());
    let plain =
        |key: &String| (1..=128).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    match (key.filter(plain), date, region, service, terminator) {
        (Some(key), Some(date), Some(region), Some(service), Some(terminator)) => {
            Ok((key, Scope { date, region, service, terminator }))
        }
        _ => Err(format!(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{text}'"
        )),
    }
}

fn parse_signed_headers(text: &str) -> Result<Vec<String>, String> {
    let names: Vec<String> = text.split(';').map(str::to_ascii_lowercase).collect();
    if names.len() > SIGNED_HEADERS_MAX || names.iter().any(String::is_empty) {
        return Err(format!("SignedHeaders must name between 1 and {SIGNED_HEADERS_MAX} headers."));
    }
    Ok(names)
}
