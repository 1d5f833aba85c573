//! YAML's short forms: what a tag makes of the value behind it.

use std::collections::BTreeMap;

use gantry_types::Value;

/// What a tag stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tag {
    /// A member of this name around the value.
    Function(&'static str),
    /// `!!str`, and `!` alone: the scalar as it is written.
    Text,
    /// A standard tag of YAML that says what the value is anyway.
    Standard,
    Unknown,
}

/// The short name of each function, and the long one.
const FUNCTIONS: &[(&str, &str)] = &[
    ("And", "Fn::And"),
    ("Base64", "Fn::Base64"),
    ("Cidr", "Fn::Cidr"),
    ("Condition", "Condition"),
    ("Contains", "Fn::Contains"),
    ("EachMemberEquals", "Fn::EachMemberEquals"),
    ("EachMemberIn", "Fn::EachMemberIn"),
    ("Equals", "Fn::Equals"),
    ("FindInMap", "Fn::FindInMap"),
    ("ForEach", "Fn::ForEach"),
    ("GetAZs", "Fn::GetAZs"),
    ("GetAtt", "Fn::GetAtt"),
    ("If", "Fn::If"),
    ("ImportValue", "Fn::ImportValue"),
    ("Join", "Fn::Join"),
    ("Length", "Fn::Length"),
    ("Not", "Fn::Not"),
    ("Or", "Fn::Or"),
    ("Ref", "Ref"),
    ("RefAll", "Fn::RefAll"),
    ("Select", "Fn::Select"),
    ("Split", "Fn::Split"),
    ("Sub", "Fn::Sub"),
    ("ToJsonString", "Fn::ToJsonString"),
    ("Transform", "Fn::Transform"),
    ("ValueOf", "Fn::ValueOf"),
    ("ValueOfAll", "Fn::ValueOfAll"),
];

pub(super) fn tag(handle: &str, suffix: &str) -> Tag {
    match (handle, suffix) {
        ("!", "") | ("", "!") | ("tag:yaml.org,2002:", "str") => Tag::Text,
        ("tag:yaml.org,2002:", "int" | "float" | "bool" | "null" | "map" | "seq") => Tag::Standard,
        ("!", name) => FUNCTIONS
            .iter()
            .find(|(short, _)| *short == name)
            .map_or(Tag::Unknown, |(_, long)| Tag::Function(long)),
        _ => Tag::Unknown,
    }
}

/// `!GetAtt A.B.C` is the list of `A` and `B.C`; every other function takes its value as it is.
pub(super) fn wrap(function: &'static str, value: Value) -> Value {
    let value = match (function, value) {
        ("Fn::GetAtt", Value::String(text)) => match text.split_once('.') {
            Some((logical_id, attribute)) => Value::from(vec![logical_id, attribute]),
            None => Value::String(text),
        },
        (_, value) => value,
    };
    Value::Map(BTreeMap::from([(function.to_owned(), value)]))
}
