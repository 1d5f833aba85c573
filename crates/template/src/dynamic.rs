//! `{{resolve:ssm:name:version}}`: values that stand in properties only while the resource is made.

use std::collections::{BTreeMap, BTreeSet};

use gantry_types::Value;

use crate::error::{Result, unsupported, validation};

/// A parameter of the Parameter Store that properties name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DynamicReference {
    pub name: String,
    pub version: Option<String>,
}

const START: &str = "{{resolve:";
const END: &str = "}}";

/// All dynamic references in evaluated properties, for the caller to look up.
pub fn dynamic_references(value: &Value) -> Result<BTreeSet<DynamicReference>> {
    let mut found = BTreeSet::new();
    collect(value, &mut found)?;
    Ok(found)
}

/// The same properties with what the references stand for; a reference without a value stays as it is.
pub fn put_in(value: &Value, known: &BTreeMap<DynamicReference, String>) -> Value {
    match value {
        Value::String(text) if text.contains(START) => Value::String(replaced(text, known)),
        Value::List(items) => Value::List(items.iter().map(|item| put_in(item, known)).collect()),
        Value::Map(members) => {
            Value::Map(members.iter().map(|(key, member)| (key.clone(), put_in(member, known))).collect())
        }
        other => other.clone(),
    }
}

fn collect(value: &Value, found: &mut BTreeSet<DynamicReference>) -> Result<()> {
    match value {
        Value::String(text) => {
            let mut rest = text.as_str();
            while let Some((_, inside, after)) = next(rest) {
                found.insert(read(inside)?);
                rest = after;
            }
            Ok(())
        }
        Value::List(items) => items.iter().try_for_each(|item| collect(item, found)),
        Value::Map(members) => members.values().try_for_each(|member| collect(member, found)),
        _ => Ok(()),
    }
}

fn replaced(text: &str, known: &BTreeMap<DynamicReference, String>) -> String {
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, inside, after)) = next(rest) {
        whole.push_str(before);
        match read(inside).ok().and_then(|reference| known.get(&reference)) {
            Some(value) => whole.push_str(value),
            None => whole.push_str(&rest[before.len()..rest.len() - after.len()]),
        }
        rest = after;
    }
    whole.push_str(rest);
    whole
}

/// What stands before the next reference, within it, and behind it.
fn next(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once(START)?;
    let (inside, after) = rest.split_once(END)?;
    Some((before, inside, after))
}

fn read(inside: &str) -> Result<DynamicReference> {
    let (service, key) = inside.split_once(':').unwrap_or((inside, ""));
    if service != "ssm" {
        return unsupported(format!(
            "Dynamic references to {service} are not supported: {START}{inside}{END}"
        ));
    }
    // A name may be an ARN, so only digits at the end are a version.
    let (name, version) = match key.rsplit_once(':') {
        Some((name, version)) if !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit()) => {
            (name, Some(version.to_owned()))
        }
        _ => (key, None),
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/:".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_name) {
        return validation(format!(
            "Incorrect format is used in the following SSM reference: [{START}{inside}{END}]"
        ));
    }
    Ok(DynamicReference { name: name.to_owned(), version })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(name: &str, version: Option<&str>) -> DynamicReference {
        DynamicReference { name: name.to_owned(), version: version.map(str::to_owned) }
    }

    #[test]
    fn references_are_found_and_put_in() {
        let mut value = Value::map();
        value.set("A", "{{resolve:ssm:/app/db:3}}");
        value.set(
            "B",
            vec!["x-{{resolve:ssm:plain}}-{{resolve:ssm:/app/db:3}}", "{{none}}", "{{resolve:ssm:open"],
        );
        let found = dynamic_references(&value).unwrap();
        assert_eq!(found, BTreeSet::from([reference("/app/db", Some("3")), reference("plain", None)]));
        let known = BTreeMap::from([(reference("/app/db", Some("3")), "secret".to_owned())]);
        let mut expected = Value::map();
        expected.set("A", "secret");
        expected.set("B", vec!["x-{{resolve:ssm:plain}}-secret", "{{none}}", "{{resolve:ssm:open"]);
        assert_eq!(put_in(&value, &known), expected);
    }

    #[test]
    fn what_is_not_served_is_named() {
        for (text, expected) in [
            (
                "{{resolve:ssm-secure:name:1}}",
                "Dynamic references to ssm-secure are not supported: {{resolve:ssm-secure:name:1}}",
            ),
            (
                "{{resolve:secretsmanager:s:SecretString:key}}",
                "Dynamic references to secretsmanager are not supported: {{resolve:secretsmanager:s:SecretString:key}}",
            ),
            (
                "{{resolve:ssm:}}",
                "Incorrect format is used in the following SSM reference: [{{resolve:ssm:}}]",
            ),
            (
                "{{resolve:ssm:a b}}",
                "Incorrect format is used in the following SSM reference: [{{resolve:ssm:a b}}]",
            ),
            ("{{resolve:ssm}}", "Incorrect format is used in the following SSM reference: [{{resolve:ssm}}]"),
        ] {
            assert_eq!(dynamic_references(&Value::from(text)).unwrap_err().to_string(), expected);
        }
    }
}
