//! The sections of a template, one after the other.

use std::collections::BTreeMap;

use gantry_types::Value;

use super::member::{check_count, check_name, section, text};
use super::{Mapping, Template, output, resource, rule};
use crate::document::text_of;
use crate::error::{Result, format, unsupported, validation};
use crate::expression::{Expression, Place, read as read_expression};
use crate::limits::{
    DESCRIPTION_BYTES_MAX, MAPPING_ATTRIBUTES_MAX, MAPPINGS_MAX, OUTPUTS_MAX, PARAMETERS_MAX, RESOURCES_MAX,
};
use crate::parameter::{Parameter, declaration};

const SECTIONS: &[&str] = &[
    "AWSTemplateFormatVersion",
    "Conditions",
    "Description",
    "Globals",
    "Hooks",
    "Mappings",
    "Metadata",
    "Outputs",
    "Parameters",
    "Resources",
    "Rules",
    "Transform",
];

pub(super) fn read(document: Value) -> Result<Template> {
    check_sections(&document)?;
    let transforms = read_transforms(&document)?;
    check_version(&document)?;
    Ok(Template {
        description: read_description(&document)?,
        metadata: section(&document, "Metadata")?.map(|metadata| Value::Map(metadata.clone())),
        parameters: read_parameters(&document)?,
        mappings: read_mappings(&document)?,
        conditions: read_conditions(&document)?,
        rules: read_rules(&document)?,
        resources: read_resources(&document)?,
        outputs: read_outputs(&document)?,
        transforms,
        document,
    })
}

fn check_sections(document: &Value) -> Result<()> {
    let wrong: Vec<&str> = document
        .as_map()
        .into_iter()
        .flat_map(BTreeMap::keys)
        .map(String::as_str)
        .filter(|name| !SECTIONS.contains(name))
        .collect();
    if !wrong.is_empty() {
        return validation(format!("Invalid template property or properties [{}]", wrong.join(", ")));
    }
    Ok(())
}

/// `AWS::LanguageExtensions` is served, because its functions are; all others rewrite the template elsewhere.
fn read_transforms(document: &Value) -> Result<Vec<String>> {
    let names: Vec<&Value> = match document.get("Transform") {
        None => vec![],
        Some(Value::List(names)) => names.iter().collect(),
        Some(name) => vec![name],
    };
    let mut transforms = Vec::new();
    for name in names {
        let name = match name {
            Value::String(name) => name,
            Value::Map(members) => match members.get("Name") {
                Some(Value::String(name)) => name,
                _ => return format("Every Transform member must have a Name."),
            },
            _ => return format("Every Transform member must be a string."),
        };
        if name != "AWS::LanguageExtensions" {
            return unsupported(format!(
                "Transform {name} is not supported; supported transforms: AWS::LanguageExtensions"
            ));
        }
        transforms.push(name.clone());
    }
    for name in ["Globals", "Hooks"] {
        if document.get(name).is_some() {
            return unsupported(format!("The {name} section needs a transform that is not supported"));
        }
    }
    Ok(transforms)
}

fn check_version(document: &Value) -> Result<()> {
    match document.get("AWSTemplateFormatVersion") {
        None => Ok(()),
        Some(Value::String(version)) if version == "2010-09-09" => Ok(()),
        Some(_) => format("unsupported value for AWSTemplateFormatVersion."),
    }
}

fn read_description(document: &Value) -> Result<Option<String>> {
    match document.get("Description") {
        None => Ok(None),
        Some(Value::String(text)) if text.len() > DESCRIPTION_BYTES_MAX => {
            format(format!("'Description' length is greater than {DESCRIPTION_BYTES_MAX}."))
        }
        Some(value) => match text_of(value) {
            Some(text) => Ok(Some(text.into_owned())),
            None => format("Description must be a string."),
        },
    }
}

fn read_parameters(document: &Value) -> Result<BTreeMap<String, Parameter>> {
    let Some(members) = section(document, "Parameters")? else { return Ok(BTreeMap::new()) };
    check_count("parameters", members.len(), PARAMETERS_MAX)?;
    members
        .iter()
        .map(|(name, member)| {
            check_name("Parameter", name)?;
            match member {
                Value::Map(member) => Ok((name.clone(), declaration::read(name, member)?)),
                _ => format("Any Parameters member must be an object."),
            }
        })
        .collect()
}

fn read_mappings(document: &Value) -> Result<BTreeMap<String, Mapping>> {
    let Some(members) = section(document, "Mappings")? else { return Ok(BTreeMap::new()) };
    check_count("mappings", members.len(), MAPPINGS_MAX)?;
    members
        .iter()
        .map(|(name, mapping)| {
            check_name("Mapping", name)?;
            Ok((name.clone(), read_mapping(name, mapping)?))
        })
        .collect()
}

fn read_mapping(name: &str, mapping: &Value) -> Result<Mapping> {
    let Value::Map(tops) = mapping else {
        return format(format!("[/Mappings/{name}] Every Mappings member must be a map"));
    };
    check_count("mapping attributes", tops.len(), MAPPING_ATTRIBUTES_MAX)?;
    tops.iter()
        .map(|(top, attributes)| {
            check_mapping_key(top)?;
            let Value::Map(attributes) = attributes else {
                return format(format!("[/Mappings/{name}/{top}] Every Mappings attribute must be a map"));
            };
            check_count("mapping attributes", attributes.len(), MAPPING_ATTRIBUTES_MAX)?;
            for (key, value) in attributes {
                check_mapping_key(key)?;
                let fits = match value {
                    Value::List(items) => items.iter().all(|item| text_of(item).is_some()),
                    scalar => text_of(scalar).is_some(),
                };
                if !fits {
                    return format(format!(
                        "[/Mappings/{name}/{top}/{key}] Every Mappings attribute must be a String or a List."
                    ));
                }
            }
            Ok((top.clone(), attributes.clone()))
        })
        .collect()
}

fn check_mapping_key(key: &str) -> Result<()> {
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.')
    {
        return format(format!(
            "Mappings element name '{key}' must be non-empty and can contain only alphanumerics, '-' or '.'"
        ));
    }
    Ok(())
}

fn read_conditions(document: &Value) -> Result<BTreeMap<String, Expression>> {
    let Some(members) = section(document, "Conditions")? else { return Ok(BTreeMap::new()) };
    members
        .iter()
        .map(|(name, condition)| {
            check_name("Condition", name)?;
            match read_expression(condition, Place::Condition)? {
                expression if is_condition(&expression) => Ok((name.clone(), expression)),
                _ => format("Conditions can only be boolean operations on parameters and other conditions"),
            }
        })
        .collect()
}

fn is_condition(expression: &Expression) -> bool {
    use crate::expression::Function;
    match expression {
        Expression::Function(function) => matches!(
            function.as_ref(),
            Function::Equals(..)
                | Function::And(_)
                | Function::Or(_)
                | Function::Not(_)
                | Function::Condition(_)
        ),
        _ => false,
    }
}

fn read_rules(document: &Value) -> Result<BTreeMap<String, rule::Rule>> {
    let Some(members) = section(document, "Rules")? else { return Ok(BTreeMap::new()) };
    members
        .iter()
        .map(|(name, member)| {
            check_name("Rule", name)?;
            Ok((name.clone(), rule::read(name, member)?))
        })
        .collect()
}

fn read_resources(document: &Value) -> Result<BTreeMap<String, resource::Resource>> {
    let members = section(document, "Resources")?.filter(|members| !members.is_empty());
    let Some(members) = members else { return format("At least one Resources member must be defined.") };
    check_count("resources", members.len(), RESOURCES_MAX)?;
    members
        .iter()
        .map(|(logical_id, member)| {
            if logical_id.starts_with("Fn::") {
                // A loop at this level is refused by its name.
                read_expression(
                    &Value::Map(BTreeMap::from([(logical_id.clone(), member.clone())])),
                    Place::Value,
                )?;
            }
            check_name("Resource", logical_id)?;
            match member {
                Value::Map(member) => Ok((logical_id.clone(), resource::read(logical_id, member)?)),
                _ => format("Any Resources member must be an object."),
            }
        })
        .collect()
}

fn read_outputs(document: &Value) -> Result<BTreeMap<String, output::Output>> {
    let Some(members) = section(document, "Outputs")? else { return Ok(BTreeMap::new()) };
    check_count("outputs", members.len(), OUTPUTS_MAX)?;
    members
        .iter()
        .map(|(name, member)| {
            check_name("Output", name)?;
            match member {
                Value::Map(member) => Ok((name.clone(), output::read(name, member)?)),
                _ => format("Any Outputs member must be an object."),
            }
        })
        .collect()
}

/// The name of a condition on a resource or an output.
pub(super) fn condition(members: &BTreeMap<String, Value>) -> Result<Option<String>> {
    text(members, "Condition")
}
