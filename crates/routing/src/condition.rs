//! What a rule asks of a request.

use std::net::Ipv4Addr;

use gantry_domain::elb::RuleCondition;
use gantry_domain::network::Cidr;

use crate::pattern::{Case, Pattern};

/// A request as rules see it: as the client sent it, before anything is rewritten.
#[derive(Clone, Copy)]
pub struct RequestFacts<'a> {
    pub method: &'a [u8],
    /// The first Host, without its port.
    pub host: &'a [u8],
    /// Without the query.
    pub path: &'a [u8],
    /// Behind the `?`.
    pub query: Option<&'a [u8]>,
    /// The TCP peer's address, never what X-Forwarded-For says.
    pub source: Ipv4Addr,
    pub headers: &'a dyn RequestHeaders,
}

/// The headers of a request, wherever they are kept.
pub trait RequestHeaders {
    /// Whether `wanted` holds for any value of the header, in order; names are compared without regard to case.
    fn any(&self, name: &str, wanted: &mut dyn FnMut(&[u8]) -> bool) -> bool;
}

impl RequestHeaders for &[(&str, &str)] {
    fn any(&self, name: &str, wanted: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.iter().any(|(key, value)| key.eq_ignore_ascii_case(name) && wanted(value.as_bytes()))
    }
}

/// A compiled condition: its values are alternatives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    Host(Vec<Pattern>),
    Path(Vec<Pattern>),
    Header { name: String, values: Vec<Pattern> },
    Method(Vec<String>),
    Query(Vec<(Option<Pattern>, Pattern)>),
    Source(Vec<Cidr>),
}

impl Condition {
    pub(crate) fn compile(condition: &RuleCondition) -> Self {
        let escaped = |text: &String| Pattern::with_escapes(text, Case::Insensitive);
        match condition {
            RuleCondition::HostHeader(values) => {
                Self::Host(values.iter().map(|text| Pattern::new(text, Case::Insensitive)).collect())
            }
            RuleCondition::PathPattern(values) => {
                Self::Path(values.iter().map(|text| Pattern::new(text, Case::Sensitive)).collect())
            }
            RuleCondition::HttpHeader { name, values } => {
                Self::Header { name: name.clone(), values: values.iter().map(escaped).collect() }
            }
            RuleCondition::HttpRequestMethod(values) => Self::Method(values.clone()),
            RuleCondition::QueryString(values) => Self::Query(
                values.iter().map(|(key, value)| (key.as_ref().map(escaped), escaped(value))).collect(),
            ),
            RuleCondition::SourceIp(values) => Self::Source(values.clone()),
        }
    }

    pub(crate) fn holds(&self, request: &RequestFacts<'_>) -> bool {
        match self {
            Self::Host(patterns) => patterns.iter().any(|pattern| pattern.matches(request.host)),
            Self::Path(patterns) => patterns.iter().any(|pattern| pattern.matches(request.path)),
            Self::Header { name, values } => {
                request.headers.any(name, &mut |value| values.iter().any(|pattern| pattern.matches(value)))
            }
            Self::Method(methods) => methods.iter().any(|method| method.as_bytes() == request.method),
            Self::Query(wanted) => request.query.is_some_and(|query| query_holds(query, wanted)),
            Self::Source(ranges) => ranges.iter().any(|range| range.contains(request.source)),
        }
    }
}

/// Whether some `key=value` of the query matches some wanted pair. A parameter without `=` has an empty value.
fn query_holds(query: &[u8], wanted: &[(Option<Pattern>, Pattern)]) -> bool {
    query.split(|byte| *byte == b'&').filter(|parameter| !parameter.is_empty()).any(|parameter| {
        let (key, value) = match parameter.iter().position(|byte| *byte == b'=') {
            Some(at) => (&parameter[..at], &parameter[at + 1..]),
            None => (parameter, &[][..]),
        };
        wanted.iter().any(|(wanted_key, wanted_value)| {
            wanted_key.as_ref().is_none_or(|pattern| pattern.matches(key)) && wanted_value.matches(value)
        })
    })
}
