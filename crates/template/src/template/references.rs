//! Every name that stands for something else has to stand for something that is in the template.

use std::collections::BTreeSet;

use super::Template;
use crate::document::text_of;
use crate::error::{Result, format, function, validation};
use crate::evaluation::{check_import_name, condition_needs};
use crate::expression::{Expression, Function, SubPart, Walk, unsupported_function, walk};
use crate::graph::circle;
use crate::pseudo;

pub(super) fn check(template: &Template) -> Result<()> {
    check_extensions(template)?;
    check_conditions(template)?;
    check_rules(template)?;
    let mut unresolved = Unresolved::default();
    for resource in template.resources.values() {
        check_condition_name(template, resource.condition.as_deref(), "Resources")?;
        for expression in resource.expressions() {
            collect(template, expression, &mut unresolved)?;
        }
        for name in &resource.depends_on {
            if !template.resources.contains_key(name) {
                unresolved.names.insert(name.clone());
            }
        }
    }
    unresolved.report("Resources")?;
    for output in template.outputs.values() {
        check_condition_name(template, output.condition.as_deref(), "Outputs")?;
        let mut unresolved = Unresolved::default();
        for expression in [&output.value].into_iter().chain(&output.export_name) {
            collect(template, expression, &mut unresolved)?;
        }
        unresolved.report("Outputs")?;
    }
    check_condition_cycles(template)
}

/// Functions that only the transform `AWS::LanguageExtensions` brings.
fn check_extensions(template: &Template) -> Result<()> {
    if template.transforms.iter().any(|name| name == "AWS::LanguageExtensions") {
        return Ok(());
    }
    let resources = template.resources.values().flat_map(|resource| resource.expressions());
    let outputs =
        template.outputs.values().flat_map(|output| [&output.value].into_iter().chain(&output.export_name));
    let rules = template.rules.values().flat_map(|rule| {
        rule.condition.iter().chain(rule.assertions.iter().map(|assertion| &assertion.assert))
    });
    let mut found = None;
    for expression in resources.chain(outputs).chain(rules).chain(template.conditions.values()) {
        walk(expression, &mut |function| {
            match function {
                Function::ToJsonString(_) => found = Some("Fn::ToJsonString"),
                Function::Length(_) => found = Some("Fn::Length"),
                Function::FindInMap { default: Some(_), .. } => found = Some("DefaultValue of Fn::FindInMap"),
                _ => {}
            }
            Walk::Everything
        });
    }
    match found {
        None => Ok(()),
        Some(name) => function(unsupported_function(name)),
    }
}

impl super::Resource {
    /// All of it that may hold functions.
    pub(crate) fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.properties
            .values()
            .chain(&self.metadata_expression)
            .chain(&self.creation_policy)
            .chain(&self.update_policy)
    }
}

#[derive(Default)]
struct Unresolved {
    names: BTreeSet<String>,
    /// The first one wins, but names are told before: they are the likelier cause.
    attribute: Option<String>,
}

impl Unresolved {
    fn report(self, section: &str) -> Result<()> {
        if !self.names.is_empty() {
            let names: Vec<String> = self.names.into_iter().collect();
            return format(format!(
                "Unresolved resource dependencies [{}] in the {section} block of the template",
                names.join(", ")
            ));
        }
        match self.attribute {
            Some(message) => function(message),
            None => Ok(()),
        }
    }
}

fn collect(template: &Template, expression: &Expression, unresolved: &mut Unresolved) -> Result<()> {
    let mut wrong = None;
    let mut import_problem = None;
    walk(expression, &mut |function| {
        match function {
            Function::Ref(name) => unresolved.name(template, name),
            Function::GetAtt { logical_id, .. } if !template.resources.contains_key(logical_id) => {
                unresolved.attribute.get_or_insert(format!(
                    "instance of Fn::GetAtt references undefined resource {logical_id}"
                ));
            }
            Function::Sub { parts, variables } => {
                for part in parts {
                    match part {
                        SubPart::Reference(name) if !variables.contains_key(name) => {
                            unresolved.name(template, name);
                        }
                        SubPart::Attribute { logical_id, attribute }
                            if !template.resources.contains_key(logical_id) =>
                        {
                            unresolved.attribute.get_or_insert(format!(
                                "instance of Fn::Sub references invalid resource attribute {logical_id}.{attribute}"
                            ));
                        }
                        _ => {}
                    }
                }
            }
            Function::If { condition, .. } if !template.conditions.contains_key(condition) => {
                wrong.get_or_insert(format!("unresolved condition dependency {condition} in Fn::If"));
            }
            Function::ImportValue(name) => {
                import_problem = import_problem.take().or_else(|| check_import_name(template, name).err());
            }
            Function::FindInMap { map: Expression::Scalar(name), default: None, .. } => {
                wrong =
                    wrong.take().or_else(|| missing_mapping(template, &text_of(name).unwrap_or_default()));
            }
            _ => {}
        }
        Walk::Everything
    });
    import_problem.map_or(Ok(()), Err)?;
    wrong.map_or(Ok(()), function)
}

fn missing_mapping(template: &Template, name: &str) -> Option<String> {
    (!template.mappings.contains_key(name))
        .then(|| format!("Mapping named '{name}' is not present in the 'Mappings' section of template."))
}

impl Unresolved {
    fn name(&mut self, template: &Template, name: &str) {
        if !pseudo::is_pseudo(name)
            && !template.parameters.contains_key(name)
            && !template.resources.contains_key(name)
        {
            self.names.insert(name.to_owned());
        }
    }
}

fn check_condition_name(template: &Template, name: Option<&str>, section: &str) -> Result<()> {
    match name {
        Some(name) if !template.conditions.contains_key(name) => {
            format(format!("Unresolved condition dependency {name} in the {section} block of the template"))
        }
        _ => Ok(()),
    }
}

fn check_conditions(template: &Template) -> Result<()> {
    for condition in template.conditions.values() {
        let mut resources = BTreeSet::new();
        check_decision(template, condition, "Conditions", &mut resources)?;
        if !resources.is_empty() {
            let names: Vec<&str> = resources.into_iter().collect();
            return format(format!(
                "Unresolved dependencies [{}]. Cannot reference resources in the Conditions block of the template",
                names.join(", ")
            ));
        }
    }
    Ok(())
}

fn check_rules(template: &Template) -> Result<()> {
    for (name, rule) in &template.rules {
        let mut resources = BTreeSet::new();
        for expression in
            rule.condition.iter().chain(rule.assertions.iter().map(|assertion| &assertion.assert))
        {
            check_decision(template, expression, "Rules", &mut resources)?;
        }
        if !resources.is_empty() {
            let names: Vec<&str> = resources.into_iter().collect();
            return validation(format!(
                "Template format error: Unresolved dependencies [{}]. Cannot reference resources in the Rules block of the template (rule {name})",
                names.join(", ")
            ));
        }
    }
    Ok(())
}

/// What is known before any resource: parameters, pseudo parameters, mappings and other conditions.
fn check_decision<'a>(
    template: &Template,
    expression: &'a Expression,
    section: &str,
    resources: &mut BTreeSet<&'a str>,
) -> Result<()> {
    let mut wrong = None;
    let is_known = |name: &str| pseudo::is_pseudo(name) || template.parameters.contains_key(name);
    walk(expression, &mut |function| {
        match function {
            Function::Ref(name) if !is_known(name) => {
                resources.insert(name);
            }
            Function::Sub { parts, variables } => {
                for part in parts {
                    if let SubPart::Reference(name) = part
                        && !variables.contains_key(name)
                        && !is_known(name)
                    {
                        resources.insert(name);
                    }
                }
            }
            Function::If { condition, .. } if !template.conditions.contains_key(condition) => {
                wrong.get_or_insert(format!("unresolved condition dependency {condition} in Fn::If"));
            }
            Function::Condition(condition) if !template.conditions.contains_key(condition) => {
                wrong.get_or_insert(format!("unresolved condition dependency {condition} in Condition"));
            }
            Function::FindInMap { map: Expression::Scalar(name), default: None, .. } => {
                wrong =
                    wrong.take().or_else(|| missing_mapping(template, &text_of(name).unwrap_or_default()));
            }
            Function::ValueOf { parameter, .. } if !template.parameters.contains_key(parameter) => {
                wrong.get_or_insert(format!("Fn::ValueOf names the parameter {parameter}, which is not in the {section} block's template"));
            }
            _ => {}
        }
        Walk::Everything
    });
    wrong.map_or(Ok(()), function)
}

/// A condition that needs itself has no value. Told are all that go round.
fn check_condition_cycles(template: &Template) -> Result<()> {
    let circle = circle(&condition_needs(template));
    if circle.is_empty() {
        return Ok(());
    }
    format(format!("Circular dependency between conditions: [{}]", circle.join(", ")))
}
