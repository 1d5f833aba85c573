//! What needs what, on the branches that the conditions take.

use std::collections::{BTreeMap, BTreeSet};

use super::compute::Scope;
use super::decide::is_on;
use crate::document::text_of;
use crate::error::{Result, format, function};
use crate::expression::{Expression, Function, SubPart, Walk, walk};
use crate::parameter::ParameterValues;
use crate::pseudo::PseudoParameters;
use crate::template::Template;

/// Each resource that the conditions leave, with the resources that it names.
pub(super) fn of_resources(
    template: &Template,
    conditions: &BTreeMap<String, bool>,
) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let mut all = BTreeMap::new();
    let mut unresolved = BTreeSet::new();
    for (logical_id, resource) in
        template.resources.iter().filter(|(_, resource)| is_on(resource.condition.as_ref(), conditions))
    {
        let mut needed: BTreeSet<String> = resource.depends_on.iter().cloned().collect();
        for expression in resource.expressions() {
            needed.extend(resources_in(template, conditions, expression).map(str::to_owned));
        }
        unresolved.extend(needed.iter().filter(|name| !exists(template, conditions, name)).cloned());
        all.insert(logical_id.clone(), needed);
    }
    refuse(unresolved, "Resources")?;
    Ok(all)
}

pub(super) fn check_outputs(template: &Template, conditions: &BTreeMap<String, bool>) -> Result<()> {
    let mut unresolved = BTreeSet::new();
    for output in template.outputs.values().filter(|output| is_on(output.condition.as_ref(), conditions)) {
        for expression in [&output.value].into_iter().chain(&output.export_name) {
            let named = resources_in(template, conditions, expression);
            unresolved.extend(named.filter(|name| !exists(template, conditions, name)).map(str::to_owned));
        }
    }
    refuse(unresolved, "Outputs")
}

fn exists(template: &Template, conditions: &BTreeMap<String, bool>, logical_id: &str) -> bool {
    template.resources.get(logical_id).is_some_and(|resource| is_on(resource.condition.as_ref(), conditions))
}

fn refuse(unresolved: BTreeSet<String>, section: &str) -> Result<()> {
    if unresolved.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = unresolved.into_iter().collect();
    format(format!(
        "Unresolved resource dependencies [{}] in the {section} block of the template",
        names.join(", ")
    ))
}

/// How an expression uses a resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Use {
    Parameter(String),
    Reference(String),
    Attribute(String, String),
}

/// What an expression names on the branches that are taken.
pub(crate) fn uses(
    template: &Template,
    conditions: &BTreeMap<String, bool>,
    expression: &Expression,
) -> BTreeSet<Use> {
    let mut found = BTreeSet::new();
    let name = |name: &str| {
        if template.parameters.contains_key(name) {
            Some(Use::Parameter(name.to_owned()))
        } else {
            template.resources.contains_key(name).then(|| Use::Reference(name.to_owned()))
        }
    };
    walk(expression, &mut |function| {
        match function {
            Function::Ref(named) => found.extend(name(named)),
            Function::GetAtt { logical_id, attribute } => {
                let attribute = match attribute {
                    Expression::Scalar(text) => text_of(text).unwrap_or_default().into_owned(),
                    _ => String::new(),
                };
                found.insert(Use::Attribute(logical_id.clone(), attribute));
            }
            Function::Sub { parts, variables } => {
                for part in parts {
                    match part {
                        SubPart::Reference(named) if !variables.contains_key(named) => {
                            found.extend(name(named));
                        }
                        SubPart::Attribute { logical_id, attribute } => {
                            found.insert(Use::Attribute(logical_id.clone(), attribute.clone()));
                        }
                        SubPart::Reference(_) | SubPart::Text(_) => {}
                    }
                }
            }
            Function::If { condition, .. } => {
                return if conditions.get(condition).copied().unwrap_or(false) {
                    Walk::Then
                } else {
                    Walk::Otherwise
                };
            }
            _ => {}
        }
        Walk::Everything
    });
    found
}

fn resources_in<'a>(
    template: &'a Template,
    conditions: &BTreeMap<String, bool>,
    expression: &Expression,
) -> impl Iterator<Item = &'a str> {
    uses(template, conditions, expression).into_iter().filter_map(|used| match used {
        Use::Parameter(_) => None,
        Use::Reference(name) | Use::Attribute(name, _) => {
            template.resources.get_key_value(&name).map(|(name, _)| name.as_str())
        }
    })
}

/// The names of exports that the resources and outputs which are left import.
pub(super) fn import_names(
    template: &Template,
    conditions: &BTreeMap<String, bool>,
    parameters: &ParameterValues,
    pseudo: &PseudoParameters,
) -> Result<BTreeSet<String>> {
    let scope = Scope::new(template, parameters, pseudo, conditions, None);
    let mut names = BTreeSet::new();
    let mut wrong = None;
    let resources = template
        .resources
        .values()
        .filter(|resource| is_on(resource.condition.as_ref(), conditions))
        .flat_map(|resource| resource.expressions());
    let outputs = template
        .outputs
        .values()
        .filter(|output| is_on(output.condition.as_ref(), conditions))
        .map(|output| &output.value);
    for expression in resources.chain(outputs) {
        walk(expression, &mut |function| match function {
            Function::ImportValue(name) => {
                match scope.text(name, "every Fn::ImportValue object must have a String-typed value.") {
                    Ok(name) => {
                        names.insert(name);
                    }
                    Err(error) => {
                        wrong.get_or_insert(error);
                    }
                }
                Walk::Nothing
            }
            Function::If { condition, .. } if conditions.get(condition).copied().unwrap_or(false) => {
                Walk::Then
            }
            Function::If { .. } => Walk::Otherwise,
            _ => Walk::Everything,
        });
    }
    wrong.map_or(Ok(names), Err)
}

/// What an import's name may not depend on: a stack's imports are known before any of its resources.
pub(crate) fn check_import_name(template: &Template, name: &Expression) -> Result<()> {
    let mut depends = false;
    let is_resource = |name: &str| template.resources.contains_key(name);
    walk(name, &mut |function| {
        depends |= match function {
            Function::Ref(name) => is_resource(name),
            Function::Sub { parts, variables } => parts.iter().any(|part| match part {
                SubPart::Text(_) => false,
                SubPart::Reference(name) => !variables.contains_key(name) && is_resource(name),
                SubPart::Attribute { .. } => true,
            }),
            Function::GetAtt { .. } | Function::ImportValue(_) | Function::GetAzs(_) => true,
            _ => false,
        };
        Walk::Everything
    });
    if depends {
        return function(
            "the attribute in Fn::ImportValue must not depend on any resources, imported values, or Fn::GetAZs",
        );
    }
    Ok(())
}
