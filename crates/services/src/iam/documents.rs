//! Policy documents: what AWS refuses at the door.
//!
//! Nothing here decides what a policy allows. The checks are those whose errors tools show to people.

use std::collections::BTreeSet;

use gantry_api::ApiError;
use gantry_api::iam::errors;
use serde_json::{Map, Value as Json};

/// Where a document stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DocumentKind {
    /// It says what its role or user may do.
    Identity,
    /// It says who may become a role.
    Trust,
}

const SYNTAX: &str = "Syntax errors in policy.";
const STATEMENT_MEMBERS: [&str; 9] = [
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
];

/// Refuses what is not a policy document of this kind.
pub(super) fn check(document: &str, kind: DocumentKind) -> Result<(), ApiError> {
    problem(document, kind)
        .map_or(Ok(()), |problem| Err(errors::malformed_policy_document_exception(problem)))
}

/// Characters that count against a quota: all but white space.
pub(super) fn size(document: &str) -> usize {
    document.chars().filter(|character| !character.is_whitespace()).count()
}

/// A document as answers carry it: percent-encoded as RFC 3986 has it.
pub(super) fn encoded(document: &str) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(document.len() * 2);
    for byte in document.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

fn problem(document: &str, kind: DocumentKind) -> Option<String> {
    let Ok(parsed) = serde_json::from_str::<Json>(document) else {
        return Some(match kind {
            DocumentKind::Identity => SYNTAX.to_owned(),
            DocumentKind::Trust => "This policy contains invalid Json".to_owned(),
        });
    };
    let Some(policy) = parsed.as_object() else { return Some(SYNTAX.to_owned()) };
    if policy.keys().any(|member| !["Version", "Id", "Statement"].contains(&member.as_str())) {
        return Some(SYNTAX.to_owned());
    }
    match (policy.get("Version").map(Json::as_str), kind) {
        (Some(Some("2012-10-17")), _) | (Some(Some("2008-10-17")) | None, DocumentKind::Trust) => {}
        (Some(Some("2008-10-17")) | None, DocumentKind::Identity) => {
            return Some("Policy document must be version 2012-10-17 or greater.".to_owned());
        }
        _ => return Some(SYNTAX.to_owned()),
    }
    let statements = match policy.get("Statement") {
        Some(Json::Array(statements)) if !statements.is_empty() => statements.iter().collect(),
        Some(statement @ Json::Object(_)) => vec![statement],
        _ => return Some(SYNTAX.to_owned()),
    };
    let mut names = BTreeSet::new();
    for statement in statements {
        let Some(statement) = statement.as_object() else { return Some(SYNTAX.to_owned()) };
        if let Some(name) = statement.get("Sid").and_then(Json::as_str)
            && !name.is_empty()
            && !names.insert(name)
        {
            return Some("Statement IDs (SID) in a single policy must be unique.".to_owned());
        }
        let problem = common_problem(statement).or_else(|| match kind {
            DocumentKind::Identity => identity_problem(statement),
            DocumentKind::Trust => trust_problem(statement),
        });
        if problem.is_some() {
            return problem;
        }
    }
    None
}

fn common_problem(statement: &Map<String, Json>) -> Option<String> {
    if statement.keys().any(|member| !STATEMENT_MEMBERS.contains(&member.as_str())) {
        return Some(SYNTAX.to_owned());
    }
    match statement.get("Effect").map(Json::as_str) {
        None => return Some("Missing required field Effect".to_owned()),
        Some(Some("Allow" | "Deny")) => {}
        Some(_) => return Some(SYNTAX.to_owned()),
    }
    let pairs = [("Action", "NotAction"), ("Resource", "NotResource"), ("Principal", "NotPrincipal")];
    if pairs.iter().any(|(one, other)| statement.contains_key(*one) && statement.contains_key(*other)) {
        return Some(SYNTAX.to_owned());
    }
    let is_condition = |value: &Json| value.as_object().is_some_and(|by| by.values().all(Json::is_object));
    if statement.get("Condition").is_some_and(|condition| !is_condition(condition)) {
        return Some(SYNTAX.to_owned());
    }
    None
}

fn identity_problem(statement: &Map<String, Json>) -> Option<String> {
    if statement.contains_key("Principal") || statement.contains_key("NotPrincipal") {
        return Some("Policy document should not specify a principal.".to_owned());
    }
    let Some(actions) = statement.get("Action").or_else(|| statement.get("NotAction")) else {
        return Some("Policy statement must contain actions.".to_owned());
    };
    let Some(actions) = texts(actions) else { return Some(SYNTAX.to_owned()) };
    if actions.iter().any(|action| *action != "*" && !action.contains(':')) {
        return Some("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.".to_owned());
    }
    let Some(resources) = statement.get("Resource").or_else(|| statement.get("NotResource")) else {
        return Some("Policy statement must contain resources.".to_owned());
    };
    let Some(resources) = texts(resources) else { return Some(SYNTAX.to_owned()) };
    let wrong = resources.iter().find(|resource| **resource != "*" && !resource.starts_with("arn:"))?;
    Some(format!("Resource {wrong} must be in ARN format or \"*\"."))
}

fn trust_problem(statement: &Map<String, Json>) -> Option<String> {
    for member in ["Resource", "NotResource"] {
        if statement.contains_key(member) {
            return Some(format!("Has prohibited field {member}"));
        }
    }
    let Some(principal) = statement.get("Principal").or_else(|| statement.get("NotPrincipal")) else {
        return Some("Missing required field Principal".to_owned());
    };
    let is_principal = match principal {
        Json::String(text) => text == "*",
        Json::Object(kinds) => !kinds.is_empty() && kinds.values().all(|value| texts(value).is_some()),
        _ => false,
    };
    if !is_principal {
        return Some("Invalid principal in policy".to_owned());
    }
    let Some(actions) = statement.get("Action").or_else(|| statement.get("NotAction")) else {
        return Some("Missing required field Action".to_owned());
    };
    let Some(actions) = texts(actions) else { return Some(SYNTAX.to_owned()) };
    let is_sts = |action: &str| action == "*" || action.to_ascii_lowercase().starts_with("sts:");
    if actions.iter().all(|action| is_sts(action)) {
        return None;
    }
    Some("AssumeRole policy may only specify STS AssumeRole actions.".to_owned())
}

/// A text or a list of texts.
fn texts(value: &Json) -> Option<Vec<&str>> {
    match value {
        Json::String(text) => Some(vec![text]),
        Json::Array(items) if !items.is_empty() => items.iter().map(Json::as_str).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_checked_as_aws_does() {
        let allow =
            |inner: &str| format!(r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow",{inner}}}]}}"#);
        let identity = [
            (allow(r#""Action":"s3:GetObject","Resource":"*""#), None),
            (allow(r#""NotAction":["iam:*"],"NotResource":["arn:aws:s3:::b"]"#), None),
            (
                allow(r#""Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"true"}}"#),
                None,
            ),
            ("{".to_owned(), Some(SYNTAX)),
            ("[]".to_owned(), Some(SYNTAX)),
            (r#"{"Version":"2012-10-17"}"#.to_owned(), Some(SYNTAX)),
            (r#"{"Version":"2012-10-17","Statement":[]}"#.to_owned(), Some(SYNTAX)),
            (r#"{"Version":"2012-10-17","Statement":[7]}"#.to_owned(), Some(SYNTAX)),
            (r#"{"Version":"2030-01-01","Statement":[]}"#.to_owned(), Some(SYNTAX)),
            (
                r#"{"Statement":{}}"#.to_owned(),
                Some("Policy document must be version 2012-10-17 or greater."),
            ),
            (
                r#"{"Version":"2012-10-17","Statement":{"Action":"a:b","Resource":"*"}}"#.to_owned(),
                Some("Missing required field Effect"),
            ),
            (allow(r#""Resource":"*""#), Some("Policy statement must contain actions.")),
            (allow(r#""Action":"a:b""#), Some("Policy statement must contain resources.")),
            (
                allow(r#""Action":"GetObject","Resource":"*""#),
                Some("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."),
            ),
            (
                allow(r#""Action":"a:b","Resource":"bucket""#),
                Some("Resource bucket must be in ARN format or \"*\"."),
            ),
            (
                allow(r#""Action":"a:b","Resource":"*","Principal":"*""#),
                Some("Policy document should not specify a principal."),
            ),
            (allow(r#""Action":"a:b","NotAction":"a:c","Resource":"*""#), Some(SYNTAX)),
            (allow(r#""Action":"a:b","Resource":"*","Condition":"x""#), Some(SYNTAX)),
            (allow(r#""Action":"a:b","Resource":"*","Colour":"x""#), Some(SYNTAX)),
        ];
        for (document, expected) in &identity {
            assert_eq!(problem(document, DocumentKind::Identity).as_deref(), *expected, "{document}");
        }
        let trust = [
            (allow(r#""Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole""#), None),
            (allow(r#""Principal":{"AWS":["a","b"]},"Action":["sts:AssumeRole","sts:TagSession"]"#), None),
            ("x".to_owned(), Some("This policy contains invalid Json")),
            (allow(r#""Action":"sts:AssumeRole""#), Some("Missing required field Principal")),
            (allow(r#""Principal":"*""#), Some("Missing required field Action")),
            (allow(r#""Principal":"me","Action":"sts:AssumeRole""#), Some("Invalid principal in policy")),
            (
                allow(r#""Principal":"*","Action":"s3:GetObject""#),
                Some("AssumeRole policy may only specify STS AssumeRole actions."),
            ),
            (
                allow(r#""Principal":"*","Action":"sts:AssumeRole","Resource":"*""#),
                Some("Has prohibited field Resource"),
            ),
        ];
        for (document, expected) in &trust {
            assert_eq!(problem(document, DocumentKind::Trust).as_deref(), *expected, "{document}");
        }
    }

    #[test]
    fn names_of_statements_are_unique() {
        let document = r#"{"Version":"2012-10-17","Statement":[
            {"Sid":"a","Effect":"Allow","Action":"a:b","Resource":"*"},{"Sid":"a","Effect":"Deny","Action":"a:b","Resource":"*"}]}"#;
        assert_eq!(
            problem(document, DocumentKind::Identity).as_deref(),
            Some("Statement IDs (SID) in a single policy must be unique.")
        );
    }

    #[test]
    fn answers_carry_documents_percent_encoded() {
        assert_eq!(encoded("{\"a\": [1]}~ü"), "%7B%22a%22%3A%20%5B1%5D%7D~%C3%BC");
        assert_eq!(size("{ \"a\":\n1 }"), 7);
    }
}
