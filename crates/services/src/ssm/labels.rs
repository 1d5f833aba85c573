//! Labels of versions: each label stands at one version of a parameter.

use gantry_api::ssm::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::View;
use gantry_types::Ids;

use super::get::version_not_found;
use super::names::Selector;
use super::records::{self, Kept};
use crate::Decision;
use crate::objects::Found;

const LABELS_MAX: usize = 10;

pub(super) fn label(
    view: &View,
    call: &CallContext,
    input: &LabelParameterVersionRequest,
    _ids: &mut Ids,
) -> Decision<LabelParameterVersionResult> {
    let (mut found, number) = labelled(view, call, &input.name, input.parameter_version)?;
    let (valid, invalid): (Vec<_>, Vec<_>) = input.labels.iter().cloned().partition(|label| is_valid(label));
    let is_changed = !valid.is_empty();
    for label in valid {
        found.document.labels.insert(label, number);
    }
    if found.document.labels_of(number).len() > LABELS_MAX {
        return Err(errors::parameter_version_label_limit_exceeded(format!(
            "A parameter version can have a maximum of {LABELS_MAX} labels. Move one or more labels to another version and \
             try again."
        )));
    }
    let result =
        LabelParameterVersionResult { invalid_labels: Some(invalid), parameter_version: Some(number) };
    Ok((result, if is_changed { vec![found.update()] } else { vec![] }))
}

pub(super) fn unlabel(
    view: &View,
    call: &CallContext,
    input: &UnlabelParameterVersionRequest,
    _ids: &mut Ids,
) -> Decision<UnlabelParameterVersionResult> {
    let (mut found, number) = labelled(view, call, &input.name, Some(input.parameter_version))?;
    let (mut removed, mut invalid) = (Vec::new(), Vec::new());
    for label in &input.labels {
        if found.document.labels.get(label) == Some(&number) {
            found.document.labels.remove(label);
            removed.push(label.clone());
        } else {
            invalid.push(label.clone());
        }
    }
    let changes = if removed.is_empty() { vec![] } else { vec![found.update()] };
    Ok((
        UnlabelParameterVersionResult { removed_labels: Some(removed), invalid_labels: Some(invalid) },
        changes,
    ))
}

/// The parameter, and the number of the version that is meant: the newest where none is named.
fn labelled(
    view: &View,
    call: &CallContext,
    name: &str,
    number: Option<i64>,
) -> Result<(Found<Kept>, i64), ApiError> {
    let found = records::find(view, &call.region, name)?.ok_or_else(|| errors::parameter_not_found(""))?;
    let number = number.unwrap_or(found.document.newest.number());
    match found.document.version(view, number)? {
        Some(_) => Ok((found, number)),
        None => Err(version_not_found(name, &Selector::Version(number))),
    }
}

/// Letters, digits and `.-_`, not a digit first, nor `aws` or `ssm` in any case.
fn is_valid(label: &str) -> bool {
    let lower = label.to_ascii_lowercase();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    label.chars().all(is_plain)
        && !label.starts_with(|c: char| c.is_ascii_digit())
        && !lower.starts_with("aws")
        && !lower.starts_with("ssm")
}
