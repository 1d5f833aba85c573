//! One output's declaration.

use std::collections::BTreeMap;

use gantry_types::Value;

use super::member::text;
use super::sections::condition;
use crate::error::{Result, format, validation};
use crate::expression::{Expression, Place, read as read_expression};

#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    pub value: Expression,
    pub description: Option<String>,
    pub condition: Option<String>,
    pub export_name: Option<Expression>,
}

pub(super) fn read(name: &str, members: &BTreeMap<String, Value>) -> Result<Output> {
    if let Some(wrong) =
        members.keys().find(|name| !["Value", "Description", "Condition", "Export"].contains(&name.as_str()))
    {
        return validation(format!("Invalid template output property '{wrong}'"));
    }
    let value = match members.get("Value") {
        None => return format(format!("[/Outputs/{name}] Every Outputs member must contain a Value object")),
        Some(Value::List(_)) => {
            return format(
                "The Value field of every Outputs member must evaluate to a String and not a List.",
            );
        }
        Some(value) => read_expression(value, Place::Value)?,
    };
    if matches!(value, Expression::Map(_)) {
        return format("The Value field of every Outputs member must evaluate to a String.");
    }
    Ok(Output {
        value,
        description: text(members, "Description")?,
        condition: condition(members)?,
        export_name: read_export(name, members)?,
    })
}

fn read_export(output: &str, members: &BTreeMap<String, Value>) -> Result<Option<Expression>> {
    let Some(export) = members.get("Export") else { return Ok(None) };
    match export.as_map().map(|members| (members.len(), members.get("Name"))) {
        Some((1, Some(name @ (Value::String(_) | Value::Map(_) | Value::Int(_))))) => {
            read_expression(name, Place::Value).map(Some)
        }
        _ => format(format!(
            "Output {output} is malformed. The Name field of every Export member must be specified and consist only of alphanumeric characters, colons, or hyphens."
        )),
    }
}
