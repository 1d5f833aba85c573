//! One resource's declaration.

use std::collections::BTreeMap;

use gantry_types::Value;

use super::policy::{DeletionPolicy, read_creation_policy, read_deletion_policy};
use super::sections::condition;
use crate::error::{Result, format, validation};
use crate::expression::{Expression, Place, read as read_expression};

#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    pub resource_type: String,
    pub properties: BTreeMap<String, Expression>,
    pub depends_on: Vec<String>,
    pub condition: Option<String>,
    /// As it stands in the template, functions in the long form.
    pub metadata: Option<Value>,
    pub(crate) metadata_expression: Option<Expression>,
    /// What becomes of the resource when it leaves the stack: `Delete` if the template is silent.
    pub deletion_policy: DeletionPolicy,
    /// What becomes of the old resource when it is replaced.
    pub update_replace_policy: DeletionPolicy,
    /// With what parameters say put in: see [`Evaluation::creation_policy`](crate::Evaluation::creation_policy).
    pub(crate) creation_policy: Option<Expression>,
    pub(crate) update_policy: Option<Expression>,
}

const ATTRIBUTES: &[&str] = &[
    "Condition",
    "CreationPolicy",
    "DeletionPolicy",
    "DependsOn",
    "Metadata",
    "Properties",
    "Type",
    "UpdatePolicy",
    "UpdateReplacePolicy",
];

pub(super) fn read(logical_id: &str, members: &BTreeMap<String, Value>) -> Result<Resource> {
    if let Some(wrong) = members.keys().find(|name| !ATTRIBUTES.contains(&name.as_str())) {
        return validation(format!("Invalid template resource property '{wrong}'"));
    }
    let creation_policy = expression(members, "CreationPolicy")?;
    if let Some(Expression::Map(policy)) = &creation_policy {
        // What is literal in it is checked now, the rest when the parameters are known.
        read_creation_policy(logical_id, policy)?;
    }
    Ok(Resource {
        resource_type: read_type(logical_id, members)?,
        properties: read_properties(members)?,
        depends_on: read_depends_on(members)?,
        condition: condition(members)?,
        metadata: match members.get("Metadata") {
            None => None,
            Some(metadata @ Value::Map(_)) => Some(metadata.clone()),
            Some(_) => return format("Every Metadata member must be an object."),
        },
        metadata_expression: expression(members, "Metadata")?,
        deletion_policy: read_deletion_policy("DeletionPolicy", logical_id, members)?,
        update_replace_policy: read_deletion_policy("UpdateReplacePolicy", logical_id, members)?,
        creation_policy,
        update_policy: expression(members, "UpdatePolicy")?,
    })
}

/// Two or three words between `::`; anything below `Custom`.
fn read_type(logical_id: &str, members: &BTreeMap<String, Value>) -> Result<String> {
    match members.get("Type") {
        None => {
            format(format!("[/Resources/{logical_id}] Every Resources object must contain a Type member."))
        }
        Some(Value::String(name)) if !name.is_empty() => Ok(name.clone()),
        Some(_) => format(format!("[/Resources/{logical_id}/Type] Every Type member must be a string.")),
    }
}

fn read_properties(members: &BTreeMap<String, Value>) -> Result<BTreeMap<String, Expression>> {
    match members.get("Properties") {
        None => Ok(BTreeMap::new()),
        Some(Value::Map(properties)) => match read_expression(&Value::Map(properties.clone()), Place::Value)?
        {
            Expression::Map(properties) => Ok(properties),
            _ => format("Every Properties member must be an object."),
        },
        Some(_) => format("Every Properties member must be an object."),
    }
}

fn read_depends_on(members: &BTreeMap<String, Value>) -> Result<Vec<String>> {
    let wrong = || format("DependsOn must be a string or list of strings.");
    match members.get("DependsOn") {
        None => Ok(vec![]),
        Some(Value::String(name)) => Ok(vec![name.clone()]),
        Some(Value::List(names)) => {
            let names: Option<Vec<String>> =
                names.iter().map(|name| name.as_str().map(str::to_owned)).collect();
            names.map_or_else(wrong, Ok)
        }
        Some(_) => wrong(),
    }
}

fn expression(members: &BTreeMap<String, Value>, name: &str) -> Result<Option<Expression>> {
    match members.get(name) {
        None => Ok(None),
        Some(value @ Value::Map(_)) => read_expression(value, Place::Value).map(Some),
        Some(_) => format(format!("Every {name} member must be an object.")),
    }
}
