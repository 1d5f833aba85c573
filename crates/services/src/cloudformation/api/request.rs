//! What a request says about a version: template, parameters, tags, capabilities.

use std::collections::BTreeMap;

use gantry_api::cloudformation as api;
use gantry_api::{ApiError, CallContext};
use gantry_domain::View;
use gantry_template::{
    Evaluation, Expression, ParameterInput, ParameterLookup, ParameterValues, Template, TemplateError,
    limits, lookup_failed,
};
use gantry_types::{Region, Value};

use super::{of_template, refuse_url, validation};
use crate::cloudformation::plan::{Plan, Preview};
use crate::cloudformation::records::{Parameter, Stack, Version};
use crate::cloudformation::resources;

/// The members that creations, updates and change sets share.
pub(super) struct Request<'a> {
    pub(super) template_body: Option<&'a String>,
    pub(super) template_url: Option<&'a String>,
    pub(super) use_previous_template: bool,
    pub(super) parameters: &'a [api::Parameter],
    pub(super) tags: Option<&'a [api::Tag]>,
    pub(super) capabilities: &'a [String],
    pub(super) notification_arns: Option<&'a [String]>,
    pub(super) role_arn: Option<&'a String>,
    pub(super) resource_types: &'a [String],
}

/// Types whose things grant rights, with the property that names them.
const GRANTING: [(&str, &str); 7] = [
    ("AWS::IAM::AccessKey", ""),
    ("AWS::IAM::Group", "GroupName"),
    ("AWS::IAM::InstanceProfile", "InstanceProfileName"),
    ("AWS::IAM::ManagedPolicy", "ManagedPolicyName"),
    ("AWS::IAM::Policy", ""),
    ("AWS::IAM::Role", "RoleName"),
    ("AWS::IAM::User", "UserName"),
];
const LOOKUP_ROUNDS_MAX: usize = 3;

/// Reads a template from a request.
pub(super) fn template(text: &str) -> Result<Template, ApiError> {
    Template::parse(text, limits::BODY_BYTES_MAX).map_err(of_template)
}

/// The text of the request's template, or the previous one.
pub(super) fn body<'a>(
    text: Option<&'a String>,
    url: Option<&'a String>,
    previous: Option<&'a str>,
) -> Result<&'a str, ApiError> {
    refuse_url("TemplateURL", url)?;
    text.map(String::as_str)
        .or(previous)
        .ok_or_else(|| validation("Either Template URL or Template Body must be specified."))
}

/// The request as a version of the stack, with its plan, if nothing is wrong with it that can be known before.
pub(super) fn understand(
    view: &View,
    call: &CallContext,
    stack: &Stack,
    request: &Request<'_>,
    previous: Option<&Version>,
) -> Result<(Version, Plan), ApiError> {
    let previous_body =
        previous.filter(|_| request.use_previous_template).map(|version| version.body.as_str());
    let body = body(request.template_body, request.template_url, previous_body)?;
    let template = template(body)?;
    check_types(&template, request.resource_types)?;
    let values = parameters(view, call, &template, request.parameters, previous)?;
    check_capabilities(&template, request.capabilities)?;
    let tags = match request.tags {
        Some(tags) => read_tags(tags)?,
        None => previous.map(|version| version.tags.clone()).unwrap_or_default(),
    };
    let version = Version {
        body: body.to_owned(),
        parameters: values
            .iter()
            .map(|(key, value)| Parameter {
                key: key.clone(),
                given: value.given.clone(),
                looked_up: value.resolved.clone(),
                is_hidden: value.no_echo,
            })
            .collect(),
        tags,
        description: template.description.clone(),
        capabilities: request.capabilities.to_vec(),
        notification_arns: match request.notification_arns {
            Some(arns) => arns.to_vec(),
            None => previous.map(|version| version.notification_arns.clone()).unwrap_or_default(),
        },
        role_arn: request.role_arn.cloned().or_else(|| previous.and_then(|version| version.role_arn.clone())),
    };
    let plan = Plan::new(stack, &version).map_err(of_template)?;
    let preview = Preview::new(view, stack, &plan)?;
    plan.evaluation.check_rules(&preview).map_err(of_template)?;
    check_functions(&plan.evaluation, &preview)?;
    Ok((version, plan))
}

/// Evaluates everything once, with marks for what does not exist yet: what fails so would fail later. Imports are left to the
/// operation itself, as at AWS.
fn check_functions(evaluation: &Evaluation, preview: &Preview<'_>) -> Result<(), ApiError> {
    let has_imports = !evaluation.import_names().map_err(of_template)?.is_empty();
    for (id, _) in evaluation.resources() {
        match evaluation.properties(id, preview) {
            Err(TemplateError::Function(_) | TemplateError::Validation(_)) if has_imports => {}
            outcome => outcome.map(|_| ()).map_err(of_template)?,
        }
    }
    match evaluation.outputs(preview) {
        // A name that is known later only may hold what no name may.
        Err(TemplateError::Format(_)) => Ok(()),
        Err(TemplateError::Function(_) | TemplateError::Validation(_)) if has_imports => Ok(()),
        outcome => outcome.map(|_| ()).map_err(of_template),
    }
}

/// Types that are not there fail before anything is made, with those that are.
fn check_types(template: &Template, allowed: &[String]) -> Result<(), ApiError> {
    let types = template.resource_types();
    let unknown: Vec<&str> =
        types.iter().map(String::as_str).filter(|name| resources::find(name).is_none()).collect();
    if !unknown.is_empty() {
        let supported: Vec<&str> = resources::TYPES.iter().map(|kind| kind.name()).collect();
        return Err(validation(format!(
            "Template format error: Unrecognized resource types: [{}]. Gantry supports: {}",
            unknown.join(", "),
            supported.join(", ")
        )));
    }
    let is_allowed = |name: &String| {
        allowed.is_empty()
            || allowed.iter().any(|allowed| {
                allowed == name || allowed.strip_suffix('*').is_some_and(|start| name.starts_with(start))
            })
    };
    match types.iter().find(|name| !is_allowed(name)) {
        None => Ok(()),
        Some(name) => {
            Err(validation(format!("Resource type {name} is not allowed by parameter ResourceTypes")))
        }
    }
}

/// What the template needs a caller to acknowledge, with the reason.
pub(super) fn capabilities_of(template: &Template) -> (Vec<String>, Option<String>) {
    let granting: Vec<(&str, bool)> = template
        .resources
        .values()
        .filter_map(|resource| {
            let (name, property) = GRANTING.iter().find(|(name, _)| *name == resource.resource_type)?;
            let is_named = resource.properties.get(*property).is_some_and(|name| !is_no_value(name));
            Some((*name, is_named))
        })
        .collect();
    let mut capabilities = Vec::new();
    if granting.iter().any(|(_, is_named)| *is_named) {
        capabilities.push("CAPABILITY_NAMED_IAM".to_owned());
    } else if !granting.is_empty() {
        capabilities.push("CAPABILITY_IAM".to_owned());
    }
    if !template.transforms.is_empty() {
        capabilities.push("CAPABILITY_AUTO_EXPAND".to_owned());
    }
    let mut types: Vec<&str> = granting.iter().map(|(name, _)| *name).collect();
    types.sort_unstable();
    types.dedup();
    let reason = (!types.is_empty())
        .then(|| format!("The following resource(s) require capabilities: [{}]", types.join(", ")));
    (capabilities, reason)
}

fn is_no_value(expression: &Expression) -> bool {
    matches!(expression, Expression::Function(function)
        if matches!(&**function, gantry_template::Function::Ref(name) if name == "AWS::NoValue"))
}

fn check_capabilities(template: &Template, given: &[String]) -> Result<(), ApiError> {
    let (needed, _) = capabilities_of(template);
    let is_given = |name: &str| {
        given
            .iter()
            .any(|given| given == name || (name == "CAPABILITY_IAM" && given == "CAPABILITY_NAMED_IAM"))
    };
    let missing: Vec<&str> = needed.iter().map(String::as_str).filter(|name| !is_given(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(api::errors::insufficient_capabilities_exception(format!(
        "Requires capabilities : [{}]",
        missing.join(", ")
    )))
}

fn read_tags(given: &[api::Tag]) -> Result<BTreeMap<String, String>, ApiError> {
    let mut tags = BTreeMap::new();
    for tag in given {
        if tag.key.to_ascii_lowercase().starts_with("aws:") {
            return Err(validation("aws: prefixed tag key names are not allowed for external use."));
        }
        if tags.insert(tag.key.clone(), tag.value.clone()).is_some() {
            return Err(validation(format!("Duplicate tag key {}", tag.key)));
        }
    }
    Ok(tags)
}

fn parameters(
    view: &View,
    call: &CallContext,
    template: &Template,
    given: &[api::Parameter],
    previous: Option<&Version>,
) -> Result<ParameterValues, ApiError> {
    let mut inputs = BTreeMap::new();
    for parameter in given {
        let Some(key) = &parameter.parameter_key else {
            return Err(validation("Parameter key must not be null."));
        };
        let input = match (&parameter.parameter_value, parameter.use_previous_value) {
            (None, Some(true)) => ParameterInput::Previous,
            (Some(_), Some(true)) => {
                return Err(validation(format!(
                    "Invalid input for parameter key {key}. Cannot specify usePreviousValue as true and non empty value for a parameter"
                )));
            }
            (Some(value), _) => ParameterInput::Value(value.clone()),
            (None, _) => ParameterInput::Value(String::new()),
        };
        if inputs.insert(key.clone(), input).is_some() {
            return Err(validation(format!("Duplicate parameter key {key}")));
        }
    }
    let before = previous.into_iter().flat_map(|version| &version.parameters);
    let before = before.map(|parameter| (parameter.key.clone(), parameter.given.clone())).collect();
    let mut values = template.parameter_values(&inputs, &before).map_err(of_template)?;
    // A value from the Parameter Store may be the id of something that has to exist.
    for _ in 0..LOOKUP_ROUNDS_MAX {
        let mut resolved_some = false;
        for lookup in values.lookups() {
            let missing = || of_template(lookup_failed(&lookup));
            match &lookup {
                ParameterLookup::SsmValue { parameter, name } => {
                    let value = ssm_value(view, call, name).ok_or_else(missing)?;
                    values.resolve(parameter, value);
                    resolved_some = true;
                }
                ParameterLookup::SsmName { name, .. } => {
                    ssm_value(view, call, name).ok_or_else(missing)?;
                }
                ParameterLookup::Resource { parameter_type, value, .. } => {
                    if !exists(view, &call.region, parameter_type, value) {
                        return Err(missing());
                    }
                }
            }
        }
        if !resolved_some {
            break;
        }
    }
    Ok(values)
}

fn ssm_value(view: &View, call: &CallContext, name: &str) -> Option<String> {
    let input = gantry_api::ssm::GetParameterRequest { name: name.to_owned(), ..Default::default() };
    crate::ssm::get_parameter(view, call, &input).ok()?.parameter?.value
}

/// Whether something of a parameter's type is there. Of types that are not served anything is taken.
fn exists(view: &View, region: &Region, parameter_type: &str, id: &str) -> bool {
    use gantry_domain::network::SecurityGroup;
    match parameter_type {
        "AWS::EC2::VPC::Id" => view.vpc(region, &id.into()).is_some(),
        "AWS::EC2::Subnet::Id" => view.subnet(region, &id.into()).is_some(),
        "AWS::EC2::SecurityGroup::Id" => {
            view.get::<SecurityGroup>(&gantry_domain::Key::security_group(region, &id.into())).is_some()
        }
        "AWS::EC2::SecurityGroup::GroupName" => {
            view.scan::<SecurityGroup>(&format!("{region}/")).any(|group| group.name == id)
        }
        "AWS::EC2::AvailabilityZone::Name" => {
            crate::ec2::region::ZONE_LETTERS.iter().any(|letter| format!("{region}{letter}") == id)
        }
        _ => true,
    }
}

/// Parameters as answers show them.
pub(super) fn shown_parameters(version: &Version) -> Vec<api::Parameter> {
    let shown = |parameter: &Parameter| api::Parameter {
        parameter_key: Some(parameter.key.clone()),
        parameter_value: Some(if parameter.is_hidden { "****".to_owned() } else { parameter.given.clone() }),
        resolved_value: parameter.looked_up.clone(),
        use_previous_value: None,
    };
    version.parameters.iter().map(shown).collect()
}

pub(super) fn shown_tags(version: &Version) -> Vec<api::Tag> {
    version.tags.iter().map(|(key, value)| api::Tag { key: key.clone(), value: value.clone() }).collect()
}

/// A document of properties as text.
pub(super) fn json_text(value: &Value) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
