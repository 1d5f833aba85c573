//! Values of parameters by their names.

use std::collections::BTreeSet;

use gantry_api::ssm::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::View;

use super::names::{Asked, Selector};
use super::public;
use super::records::{self, Decryption};

pub(crate) fn get(
    view: &View,
    call: &CallContext,
    input: &GetParameterRequest,
) -> Result<GetParameterResult, ApiError> {
    let parameter = one(view, call, &input.name, input.with_decryption.into())?;
    Ok(GetParameterResult { parameter: Some(parameter) })
}

/// The answer has the parameters in the order of their names, whatever the order that they were asked for in.
pub(super) fn get_many(
    view: &View,
    call: &CallContext,
    input: &GetParametersRequest,
) -> Result<GetParametersResult, ApiError> {
    let (mut parameters, mut invalid) = (Vec::new(), Vec::new());
    for name in input.names.iter().collect::<BTreeSet<_>>() {
        match one(view, call, name, input.with_decryption.into()) {
            Ok(parameter) => parameters.push(parameter),
            Err(error) if matches!(error.code.as_ref(), "ParameterNotFound" | "ParameterVersionNotFound") => {
                invalid.push(name.clone());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(GetParametersResult { parameters: Some(parameters), invalid_parameters: Some(invalid) })
}

fn one(view: &View, call: &CallContext, text: &str, decryption: Decryption) -> Result<Parameter, ApiError> {
    let asked = Asked::parse(&call.region, text)?;
    let selector = asked.selector.as_ref().map(Selector::shown);
    if let Some(parameter) = public::find(&call.region, &asked.name) {
        return match asked.selector {
            None | Some(Selector::Version(public::VERSION)) => Ok(Parameter { selector, ..parameter }),
            Some(other) => Err(version_not_found(&asked.name, &other)),
        };
    }
    let found = if asked.by_arn {
        records::find_alike(view, &call.region, &asked.name)?
    } else {
        records::find(view, &call.region, &asked.name)?
    };
    // AWS names no parameter in this message, so that the text is empty.
    let kept = found.ok_or_else(|| errors::parameter_not_found(""))?.document;
    let number = match &asked.selector {
        None => Some(kept.newest.number()),
        Some(Selector::Version(number)) => Some(*number),
        Some(Selector::Label(label)) => kept.labels.get(label).copied(),
    };
    let version = number.map(|number| kept.version(view, number)).transpose()?.flatten();
    match (version, &asked.selector) {
        (Some(version), _) => Ok(version.parameter(&call.region, selector, decryption)),
        (None, Some(selector)) => Err(version_not_found(&asked.name, selector)),
        (None, None) => Err(errors::parameter_not_found("")),
    }
}

pub(super) fn version_not_found(name: &str, selector: &Selector) -> ApiError {
    errors::parameter_version_not_found(match selector {
        Selector::Version(number) => {
            format!(
                "Systems Manager could not find version {number} of {name}. Verify the version and try again."
            )
        }
        Selector::Label(label) => {
            format!(
                "Systems Manager could not find label {label} for parameter {name}. Verify the label and try again."
            )
        }
    })
}
