//! Templates, of stacks and on their own.

use gantry_api::cloudformation::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::View;
use gantry_template as language;

use super::request::{body, capabilities_of, json_text, template};
use super::{change_sets, stack_or_gone, stacks, validation};
use crate::cloudformation::resources;

pub(in crate::cloudformation) fn get(
    view: &View,
    call: &CallContext,
    input: &GetTemplateInput,
) -> Result<GetTemplateOutput, ApiError> {
    let version = match (&input.change_set_name, &input.stack_name) {
        (Some(name), stack_name) => {
            change_sets::find(view, call, stack_name.as_deref(), name)?.1.document.version
        }
        (None, Some(name)) => {
            let stack = stack_or_gone(view, call, name)?;
            stacks::last_version(view, &stack)?
        }
        (None, None) => return Err(validation("Either StackName or ChangeSetName must be specified.")),
    };
    Ok(GetTemplateOutput {
        template_body: Some(version.body),
        stages_available: Some(vec!["Original".to_owned(), "Processed".to_owned()]),
    })
}

fn declarations(template: &language::Template) -> impl Iterator<Item = (&String, &language::Parameter)> {
    template.parameters.iter()
}

pub(in crate::cloudformation) fn validate(
    _view: &View,
    _call: &CallContext,
    input: &ValidateTemplateInput,
) -> Result<ValidateTemplateOutput, ApiError> {
    let template = template(body(input.template_body.as_ref(), input.template_url.as_ref(), None)?)?;
    let (capabilities, reason) = capabilities_of(&template);
    let parameter = |(key, parameter): (&String, &language::Parameter)| TemplateParameter {
        parameter_key: Some(key.clone()),
        default_value: parameter.default.clone(),
        no_echo: Some(parameter.no_echo),
        description: parameter.description.clone(),
    };
    Ok(ValidateTemplateOutput {
        parameters: Some(declarations(&template).map(parameter).collect()),
        description: template.description.clone(),
        capabilities: (!capabilities.is_empty()).then_some(capabilities),
        capabilities_reason: reason,
        declared_transforms: (!template.transforms.is_empty()).then(|| template.transforms.clone()),
    })
}

pub(in crate::cloudformation) fn summary(
    view: &View,
    call: &CallContext,
    input: &GetTemplateSummaryInput,
) -> Result<GetTemplateSummaryOutput, ApiError> {
    if input.stack_set_name.is_some() {
        return Err(validation("Gantry has no stack sets yet."));
    }
    let previous = match &input.stack_name {
        Some(name) => Some(stacks::last_version(view, &stack_or_gone(view, call, name)?)?.body),
        None => None,
    };
    let template =
        template(body(input.template_body.as_ref(), input.template_url.as_ref(), previous.as_deref())?)?;
    let (capabilities, reason) = capabilities_of(&template);
    let parameter = |(key, parameter): (&String, &language::Parameter)| ParameterDeclaration {
        parameter_key: Some(key.clone()),
        default_value: parameter.default.clone(),
        parameter_type: Some(parameter.parameter_type.clone()),
        no_echo: Some(parameter.no_echo),
        description: parameter.description.clone(),
        parameter_constraints: Some(ParameterConstraints {
            allowed_values: parameter.allowed_values.clone(),
        }),
    };
    let types = template.resource_types();
    let unknown: Vec<String> = types.iter().filter(|name| resources::find(name).is_none()).cloned().collect();
    let version = template.document.get("AWSTemplateFormatVersion").and_then(|version| version.as_str());
    Ok(GetTemplateSummaryOutput {
        parameters: Some(declarations(&template).map(parameter).collect()),
        description: template.description.clone(),
        capabilities: (!capabilities.is_empty()).then_some(capabilities),
        capabilities_reason: reason,
        resource_types: Some(types),
        version: version.map(str::to_owned),
        metadata: template.metadata.as_ref().map(json_text),
        declared_transforms: (!template.transforms.is_empty()).then(|| template.transforms.clone()),
        resource_identifier_summaries: None,
        warnings: (!unknown.is_empty()).then_some(Warnings { unrecognized_resource_types: Some(unknown) }),
    })
}

pub(in crate::cloudformation) fn limits(
    _view: &View,
    _call: &CallContext,
    _input: &DescribeAccountLimitsInput,
) -> Result<DescribeAccountLimitsOutput, ApiError> {
    let limit = |name: &str, value: i32| AccountLimit { name: Some(name.to_owned()), value: Some(value) };
    let limits = vec![
        limit("StackLimit", 2000),
        limit("StackOutputsLimit", 200),
        limit("ConcurrentResourcesLimit", 64),
    ];
    Ok(DescribeAccountLimitsOutput { account_limits: Some(limits), next_token: None })
}
