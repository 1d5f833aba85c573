//! What a request presents: the signature in its `Authorization` header or in its address.

use gantry_types::Region;

use super::{ALGORITHM, Scope};
use crate::form::Form;
use crate::limits::SIGNED_HEADERS_MAX;
use crate::{Request, time_format};

/// What stands in the request, before anything is believed.
#[derive(Debug)]
pub(crate) struct Presented {
    /// Who says to have signed, and for what; read by itself, because a server that checks nothing needs no more.
    pub(crate) identity: Option<Identity>,
    pub(crate) proof: Proof,
}

#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) access_key: String,
    pub(crate) scope: Scope,
}

#[derive(Debug)]
pub(crate) enum Proof {
    None,
    Signature(Box<Signature>),
    /// Something that is no signature of this version; the text says what is wrong.
    Malformed(String),
}

#[derive(Debug)]
pub(crate) struct Signature {
    /// In lower case.
    pub(crate) signed_headers: Vec<String>,
    /// Hexadecimal digits.
    pub(crate) digits: String,
    /// When it was signed, in basic format where it could be understood.
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
            return Self::from_header(authorization, date, header("x-amz-security-token"));
        }
        match request.uri.query().filter(|query| query.contains("X-Amz-Algorithm=")) {
            Some(query) => Self::from_query(query),
            None => Self { identity: None, proof: Proof::None },
        }
    }

    pub(crate) fn is_none(&self) -> bool {
        matches!(self.proof, Proof::None)
    }

    pub(crate) fn scope_service(&self) -> Option<&str> {
        self.identity.as_ref().map(|identity| identity.scope.service.as_str())
    }

    fn new(identity: Result<Identity, String>, signature: Result<Signature, String>) -> Self {
        let (identity, refusal) = match identity {
            Ok(identity) => (Some(identity), None),
            Err(message) => (None, Some(message)),
        };
        let proof = match (refusal, signature) {
            (None, Ok(signature)) => Proof::Signature(Box::new(signature)),
            (Some(message), _) | (None, Err(message)) => Proof::Malformed(message),
        };
        Self { identity, proof }
    }

    fn from_header(authorization: &str, date: Option<&str>, session_token: Option<&str>) -> Self {
        let (algorithm, rest) = authorization.split_once(' ').unwrap_or((authorization, ""));
        if algorithm != ALGORITHM {
            return Self::new(Err(unsupported(algorithm)), Err(String::new()));
        }
        let part = |name: &str| {
            let mut parts = rest.split(',').filter_map(|part| part.trim().split_once('='));
            parts.find(|(own, _)| *own == name).map(|(_, value)| value).filter(|value| !value.is_empty())
        };
        let (credential, digits, signed) = (part("Credential"), part("Signature"), part("SignedHeaders"));
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
        let missing = format!("{missing}Authorization={ALGORITHM}");
        let signature = match (digits, signed, date) {
            (Some(digits), Some(signed), Some(date)) => {
                parse_signed_headers(signed).map(|signed_headers| Signature {
                    signed_headers,
                    digits: digits.to_owned(),
                    date: basic(date),
                    session_token: session_token.map(str::to_owned),
                    expires: None,
                })
            }
            _ => Err(missing.clone()),
        };
        Self::new(credential.ok_or(missing).and_then(parse_credential), signature)
    }

    fn from_query(query: &str) -> Self {
        let mut form = Form::default();
        if let Err(error) = form.extend(query.as_bytes()) {
            return Self::new(Err(error.problem), Err(String::new()));
        }
        let part = |name: &str| form.get(name).filter(|value| !value.is_empty());
        if part("X-Amz-Algorithm") != Some(ALGORITHM) {
            let algorithm = part("X-Amz-Algorithm").unwrap_or("");
            return Self::new(Err(unsupported(algorithm)), Err(String::new()));
        }
        let needed = |name: &str| {
            part(name).ok_or_else(|| format!("AWS query-string parameters must include '{name}'."))
        };
        let signature = || -> Result<Signature, String> {
            Ok(Signature {
                signed_headers: parse_signed_headers(needed("X-Amz-SignedHeaders")?)?,
                digits: needed("X-Amz-Signature")?.to_owned(),
                date: basic(needed("X-Amz-Date")?),
                session_token: part("X-Amz-Security-Token").map(str::to_owned),
                expires: Some(needed("X-Amz-Expires")?.to_owned()),
            })
        };
        Self::new(needed("X-Amz-Credential").and_then(parse_credential), signature())
    }
}

impl Identity {
    /// The region of the scope; it becomes part of names and keys, so it has to look like one.
    pub(crate) fn region(&self) -> Option<Region> {
        let region = self.scope.region.as_str();
        let plain =
            region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        (plain && (1..=32).contains(&region.len())).then(|| Region::from(region))
    }
}

fn unsupported(algorithm: &str) -> String {
    format!("Unsupported AWS 'algorithm': '{algorithm}' (only {ALGORITHM} is supported).")
}

/// What is signed has the basic format also where a `Date` header tells the time.
fn basic(date: &str) -> String {
    time_format::http_date(date).map_or_else(|| date.to_owned(), time_format::write_basic)
}

fn parse_credential(text: &str) -> Result<Identity, String> {
    let mut parts = text.rsplitn(5, '/');
    let mut next = || parts.next().map(str::to_owned);
    let (terminator, service, region, date, key) = (next(), next(), next(), next(), next());
    let plain =
        |key: &String| (1..=128).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    match (key.filter(plain), date, region, service, terminator) {
        (Some(access_key), Some(date), Some(region), Some(service), Some(terminator)) => {
            Ok(Identity { access_key, scope: Scope { date, region, service, terminator } })
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
