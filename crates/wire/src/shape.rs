//! The static tables that describe services: written by `codegen`, read by the codecs.

use std::sync::OnceLock;

use regex::Regex;

use crate::Protocol;

/// One AWS service as its public model describes it.
#[derive(Debug)]
pub struct ServiceModel {
    /// Our module's name: `ecs`, `elbv2`.
    pub name: &'static str,
    /// The name that AWS's SDKs give it: `ECS`, `Elastic Load Balancing v2`.
    pub service_id: &'static str,
    /// The service in the credential scope: `ecs`, `elasticloadbalancing`.
    pub signing_name: &'static str,
    pub api_version: &'static str,
    /// What stands before the dot of `X-Amz-Target`; empty for services that don't use it.
    pub target_prefix: &'static str,
    pub xml_namespace: &'static str,
    /// Every protocol that the service speaks, the model's own first.
    pub protocols: &'static [Protocol],
    pub operations: &'static [OperationModel],
    /// The operations that AWS has and we don't serve.
    pub unserved: &'static [&'static str],
}

impl ServiceModel {
    pub fn operation(&self, name: &str) -> Option<&'static OperationModel> {
        let operations = self.operations;
        operations.binary_search_by(|operation| operation.name.cmp(name)).ok().map(|index| &operations[index])
    }
    /// True for an operation that AWS has and we don't serve.
    pub fn is_unserved(&self, name: &str) -> bool {
        self.unserved.binary_search(&name).is_ok()
    }
    pub fn speaks(&self, protocol: Protocol) -> bool {
        self.protocols.contains(&protocol)
    }
}

/// One operation. A service's operations are sorted by name.
#[derive(Debug)]
pub struct OperationModel {
    pub name: &'static str,
    pub http_method: &'static str,
    /// A path with `{labels}`, for the REST protocols.
    pub http_uri: &'static str,
    /// The status of a success, 200 nearly everywhere.
    pub http_status: u16,
    pub input: &'static Shape,
    pub output: &'static Shape,
    /// The model has no output at all, which EC2 and Query write differently from an empty one.
    pub has_output: bool,
    /// `CreateRoleResult`; empty where the protocol has none.
    pub result_wrapper: &'static str,
    pub errors: &'static [&'static ErrorModel],
    pub authentication: Authentication,
}

/// What a caller has to prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    Signature,
    /// The signature may leave the body out (`UNSIGNED-PAYLOAD`).
    SignatureWithoutBody,
    /// Anybody may call, as with AssumeRoleWithWebIdentity.
    Anonymous,
}

/// One modelled error.
#[derive(Debug)]
pub struct ErrorModel {
    /// The code on the wire, which in Query differs from the shape's name.
    pub code: &'static str,
    /// The code that clients of the service's former Query protocol know; empty where there is none.
    pub query_code: &'static str,
    pub status: u16,
    pub sender: bool,
    pub shape: &'static Shape,
}

/// The type of a value with its constraints and its form on the wire.
#[derive(Debug)]
pub struct Shape {
    pub name: &'static str,
    pub kind: Kind,
    /// Bounds of a number's value, a string's or blob's length, a list's or map's size.
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub pattern: Option<Pattern>,
    /// Never printed in an error message.
    pub sensitive: bool,
}

#[derive(Debug)]
pub enum Kind {
    Structure(&'static [Member]),
    /// Exactly one member is set.
    Union(&'static [Member]),
    List {
        member: &'static Shape,
        /// The element's name in XML and Query; empty where the protocol's default holds.
        item_name: &'static str,
        flattened: bool,
    },
    Map {
        key: &'static Shape,
        value: &'static Shape,
        key_name: &'static str,
        value_name: &'static str,
        flattened: bool,
    },
    /// The values are those of an enumeration; none for free text.
    String(&'static [&'static str]),
    Boolean,
    Integer,
    Long,
    Float,
    Double,
    Blob,
    Timestamp(TimeFormat),
    /// Any JSON value.
    Document,
}

/// One member of a structure. Members are sorted by name.
#[derive(Debug)]
pub struct Member {
    pub name: &'static str,
    /// The name in JSON and XML, and of a header or query parameter.
    pub wire_name: &'static str,
    /// The name in a Query or EC2 request.
    pub query_name: &'static str,
    pub shape: &'static Shape,
    pub required: bool,
    pub location: Location,
    /// Overrides the shape's own format.
    pub time_format: TimeFormat,
}

/// Where the REST protocols put a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Location {
    Body,
    Header,
    /// A map of headers with a common prefix.
    Headers,
    Query,
    Uri,
    Status,
    /// The member is the whole body.
    Payload,
    /// An XML attribute of the enclosing element.
    Attribute,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeFormat {
    /// What the protocol uses where nothing else is said.
    Default,
    Seconds,
    Iso8601,
    HttpDate,
}

/// A pattern that a whole string has to match, compiled at its first use.
#[derive(Debug)]
pub struct Pattern {
    /// As the model has it, for error messages.
    pub text: &'static str,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    pub const fn new(text: &'static str) -> Self {
        Self { text, compiled: OnceLock::new() }
    }

    /// A pattern that this machine's engine cannot compile accepts everything; no input that we serve has
    /// one, as a test over all models says.
    pub fn accepts(&self, text: &str) -> bool {
        self.regex().is_none_or(|regex| regex.is_match(text))
    }

    /// None for a pattern with look-around, which a linear-time engine does not have.
    pub fn regex(&self) -> Option<&Regex> {
        self.compiled.get_or_init(|| Regex::new(&translate(self.text)).ok()).as_ref()
    }
}

/// Java's dialect, which the models are written in, in that of the `regex` crate: its classes are ASCII, its characters
/// beyond the basic plane are pairs of surrogates, and a match is of the whole text.
fn translate(java: &str) -> String {
    let mut text = String::with_capacity(java.len() + 16);
    text.push_str(r"\A(?:");
    let supplementary = java
        .replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\x{10000}-\x{10FFFF}")
        .replace(r"\u10000-\u10FFFF", r"\x{10000}-\x{10FFFF}")
        .replace(r"\uD7FF", r"\x{D7FF}");
    let mut characters = supplementary.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            text.push(character);
            continue;
        }
        match characters.next() {
            Some('w') => text.push_str("[0-9A-Za-z_]"),
            Some('d') => text.push_str("[0-9]"),
            Some('s') => text.push_str(r"[ \t\n\x0B\f\r]"),
            Some('W') => text.push_str("[^0-9A-Za-z_]"),
            Some('D') => text.push_str("[^0-9]"),
            Some('S') => text.push_str(r"[^ \t\n\x0B\f\r]"),
            Some(other) => text.extend(['\\', other]),
            None => text.push_str(r"\\"),
        }
    }
    text.push_str(r")\z");
    text
}

impl Shape {
    pub fn members(&self) -> &'static [Member] {
        match self.kind {
            Kind::Structure(members) | Kind::Union(members) => members,
            _ => &[],
        }
    }
    pub fn member(&self, name: &str) -> Option<&'static Member> {
        let members = self.members();
        members.binary_search_by(|member| member.name.cmp(name)).ok().map(|index| &members[index])
    }
}

/// Stands where an operation's model has no input or output.
pub static EMPTY: Shape =
    Shape { name: "", kind: Kind::Structure(&[]), min: None, max: None, pattern: None, sensitive: false };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_the_whole_text_in_the_models_dialect() {
        let cases = [
            (r"[\w+=,.@-]+", "role-1_a@b", true),
            (r"[\w+=,.@-]+", "rôle", false),
            (r"[\w+=,.@-]+", "a b", false),
            (r"[\d]+", "٣", false),
            (r"\d{12}", "1234567890123", false),
            (
                r"[\u0009\u000A\u000D\u0020-\u007E\u0085\u00A0-\uD7FF\uE000-\uFFFD\u10000-\u10FFFF]+",
                "ü🚢\n",
                true,
            ),
            (r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\r\n\t]*", "🚢", true),
            (r"[\u0020-\u00FF]+", "🚢", false),
            (r"v[1-9][0-9]*(\.[A-Za-z0-9-]*)?", "v12", true),
            ("a|bc", "ab", false),
        ];
        for (pattern, text, expected) in cases {
            let pattern = Pattern::new(pattern);
            assert!(pattern.regex().is_some(), "{}", pattern.text);
            assert_eq!(pattern.accepts(text), expected, "{} on {text}", pattern.text);
        }
    }
}
