//! One parameter's declaration.

use std::collections::BTreeMap;

use gantry_types::Value;

use super::constraint::Constraints;
use super::kind::ParameterKind;
use crate::document::text_of;
use crate::error::{Result, format, validation};
use crate::template::text;

#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// As it is written.
    pub parameter_type: String,
    pub kind: ParameterKind,
    pub default: Option<String>,
    pub description: Option<String>,
    /// Shown as `****`.
    pub no_echo: bool,
    pub allowed_values: Option<Vec<String>>,
    pub(super) constraints: Constraints,
}

const MEMBERS: &[&str] = &[
    "AllowedPattern",
    "AllowedValues",
    "ConstraintDescription",
    "Default",
    "Description",
    "MaxLength",
    "MaxValue",
    "MinLength",
    "MinValue",
    "NoEcho",
    "Type",
];

pub(crate) fn read(name: &str, members: &BTreeMap<String, Value>) -> Result<Parameter> {
    if let Some(wrong) = members.keys().find(|member| !MEMBERS.contains(&member.as_str())) {
        return validation(format!("Invalid template parameter property '{wrong}'"));
    }
    let Some(parameter_type) = text(members, "Type")? else {
        return format("Every Parameters object must contain a Type member.");
    };
    let Some(kind) = ParameterKind::read(&parameter_type) else {
        return format(format!("Unrecognized parameter type: {parameter_type}"));
    };
    let parameter = Parameter {
        default: read_default(members, &kind)?,
        description: text(members, "Description")?,
        no_echo: text(members, "NoEcho")?.is_some_and(|text| text.eq_ignore_ascii_case("true")),
        allowed_values: read_allowed_values(members)?,
        constraints: Constraints::read(name, &kind, members)?,
        parameter_type,
        kind,
    };
    if let Some(default) = &parameter.default {
        parameter.check(name, default)?;
    }
    Ok(parameter)
}

/// Also a list for a parameter that is one: its members with commas.
fn read_default(members: &BTreeMap<String, Value>, kind: &ParameterKind) -> Result<Option<String>> {
    match members.get("Default") {
        Some(Value::List(items)) if kind.is_list() => {
            let items: Option<Vec<_>> = items.iter().map(text_of).collect();
            items.map_or_else(
                || format("Every Default member must be a string."),
                |items| Ok(Some(items.join(","))),
            )
        }
        _ => text(members, "Default"),
    }
}

fn read_allowed_values(members: &BTreeMap<String, Value>) -> Result<Option<Vec<String>>> {
    match members.get("AllowedValues") {
        None => Ok(None),
        Some(Value::List(items)) => {
            let values: Option<Vec<String>> =
                items.iter().map(|item| text_of(item).map(Into::into)).collect();
            values.map_or_else(
                || format("Every AllowedValues value must be a string."),
                |values| Ok(Some(values)),
            )
        }
        Some(_) => format("Every AllowedValues member must be a list."),
    }
}
