//! A stack policy. Without one an update may do everything; with one, what a statement allows and none denies.

use serde_json::Value as Json;

/// What an update does to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Modify,
    Replace,
    Delete,
}

#[derive(Debug)]
pub(super) struct Policy {
    statements: Vec<Statement>,
}

#[derive(Debug)]
struct Statement {
    allows: bool,
    /// Patterns that match, or with the second that must not.
    actions: Patterns,
    resources: Patterns,
    types: Vec<String>,
}

#[derive(Debug)]
struct Patterns {
    texts: Vec<String>,
    are_excluded: bool,
}

impl Policy {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let json: Json =
            serde_json::from_str(text).map_err(|_| "Invalid policy syntax: it is no JSON".to_owned())?;
        let statements = match json.get("Statement") {
            Some(Json::Array(statements)) => statements.iter().map(statement).collect::<Result<_, _>>()?,
            Some(one @ Json::Object(_)) => vec![statement(one)?],
            _ => return Err("Invalid policy syntax: Statement is missing".to_owned()),
        };
        Ok(Self { statements })
    }

    /// Why the action is denied, if it is.
    pub(super) fn denies(&self, action: Action, logical_id: &str, resource_type: &str) -> Option<String> {
        let name = match action {
            Action::Modify => "Update:Modify",
            Action::Replace => "Update:Replace",
            Action::Delete => "Update:Delete",
        };
        let resource = format!("LogicalResourceId/{logical_id}");
        let applies = |statement: &Statement| {
            statement.actions.match_text(name)
                && statement.resources.match_text(&resource)
                && (statement.types.is_empty()
                    || statement.types.iter().any(|pattern| matches(pattern, resource_type)))
        };
        let denying = self.statements.iter().position(|statement| !statement.allows && applies(statement));
        if let Some(index) = denying {
            return Some(format!(
                "Action denied by stack policy: Statement [#{}] does not allow [{name}] for resource [{resource}]",
                index + 1
            ));
        }
        let is_allowed = self.statements.iter().any(|statement| statement.allows && applies(statement));
        (!is_allowed).then(|| {
            format!("Action denied by stack policy: no statement allows [{name}] for resource [{resource}]")
        })
    }
}

fn statement(json: &Json) -> Result<Statement, String> {
    let wrong = |what: &str| format!("Invalid policy syntax: {what}");
    let allows = match json.get("Effect").and_then(Json::as_str) {
        Some("Allow") => true,
        Some("Deny") => false,
        _ => return Err(wrong("Effect must be Allow or Deny")),
    };
    let patterns = |name: &str, not: &str| match (texts(json.get(name)), texts(json.get(not))) {
        (Some(texts), None) => Ok(Patterns { texts, are_excluded: false }),
        (None, Some(texts)) => Ok(Patterns { texts, are_excluded: true }),
        _ => Err(wrong(&format!("every statement has either {name} or {not}"))),
    };
    let mut types = Vec::new();
    for condition in ["StringEquals", "StringLike"] {
        let named =
            json.get("Condition").and_then(|conditions| conditions.get(condition)?.get("ResourceType"));
        types.extend(texts(named).unwrap_or_default());
    }
    Ok(Statement {
        allows,
        actions: patterns("Action", "NotAction")?,
        resources: patterns("Resource", "NotResource")?,
        types,
    })
}

fn texts(json: Option<&Json>) -> Option<Vec<String>> {
    match json? {
        Json::String(text) => Some(vec![text.clone()]),
        Json::Array(items) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

impl Patterns {
    fn match_text(&self, text: &str) -> bool {
        self.texts.iter().any(|pattern| matches(pattern, text)) != self.are_excluded
    }
}

/// `*` stands for any characters.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_allowed_or_is_denied_is_refused() {
        let policy = Policy::parse(
            r#"{"Statement":[
                {"Effect":"Allow","Action":"Update:*","Principal":"*","Resource":"*"},
                {"Effect":"Deny","Action":["Update:Replace","Update:Delete"],"Principal":"*","Resource":"LogicalResourceId/Data*"},
                {"Effect":"Deny","NotAction":"Update:Modify","Principal":"*","Resource":"*",
                 "Condition":{"StringEquals":{"ResourceType":["AWS::ECS::Cluster"]}}}]}"#,
        )
        .unwrap();
        let cases = [
            (Action::Modify, "Database", "AWS::X", false),
            (Action::Replace, "Database", "AWS::X", true),
            (Action::Replace, "Service", "AWS::X", false),
            (Action::Delete, "Cluster", "AWS::ECS::Cluster", true),
            (Action::Modify, "Cluster", "AWS::ECS::Cluster", false),
        ];
        for (action, id, resource_type, denied) in cases {
            assert_eq!(policy.denies(action, id, resource_type).is_some(), denied, "{action:?} {id}");
        }
        let closed = Policy::parse(
            r#"{"Statement":[{"Effect":"Allow","Action":"Update:Modify","Resource":"LogicalResourceId/A"}]}"#,
        )
        .unwrap();
        assert!(closed.denies(Action::Modify, "B", "AWS::X").is_some());
        for broken in [
            "",
            "{}",
            r#"{"Statement":[{"Effect":"Maybe"}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Action":"Update:*"}]}"#,
        ] {
            assert!(Policy::parse(broken).is_err(), "{broken}");
        }
    }
}
