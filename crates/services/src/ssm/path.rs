//! All parameters below a path.

use gantry_api::ssm::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::View;

use super::filters::{self, Place};
use super::names::{check_path, invalid, is_below};
use super::public;
use super::records::{self, Kept};
use crate::page::page;

const RESULTS_DEFAULT: i32 = 10;

pub(super) fn get(
    view: &View,
    call: &CallContext,
    input: &GetParametersByPathRequest,
) -> Result<GetParametersByPathResult, ApiError> {
    check_path(&input.path)?;
    let filters = input.parameter_filters.as_deref().unwrap_or_default();
    filters::check(filters, Place::ByPath)?;
    let recursive = input.recursive == Some(true);
    let mut parameters = Vec::new();
    for parameter in public::all(&call.region) {
        let name = parameter.name.as_deref().unwrap_or_default();
        if is_below(name, &input.path, recursive) && input.path.starts_with("/aws/") && filters.is_empty() {
            parameters.push(parameter);
        }
    }
    for found in records::list(view, &call.region)? {
        let kept = found.document;
        if is_below(kept.name(), &input.path, recursive) && filters::matches(filters, &kept) {
            parameters.extend(chosen(view, call, &kept, filters, input)?);
        }
    }
    let key = |parameter: &Parameter| parameter.name.clone().unwrap_or_default();
    let size = usize::try_from(input.max_results.unwrap_or(RESULTS_DEFAULT)).unwrap_or(1);
    let bad_token = || invalid("The specified token is not valid.");
    let page = page(parameters, key, input.next_token.as_deref(), size, bad_token)?;
    Ok(GetParametersByPathResult { parameters: Some(page.items), next_token: page.next })
}

/// The version that the label filter names, or the newest.
fn chosen(
    view: &View,
    call: &CallContext,
    kept: &Kept,
    filters: &[ParameterStringFilter],
    input: &GetParametersByPathRequest,
) -> Result<Option<Parameter>, ApiError> {
    let labels = filters
        .iter()
        .filter(|filter| filter.key == "Label")
        .flat_map(|filter| filter.values.iter().flatten());
    let label = labels.into_iter().find(|label| kept.labels.contains_key(*label));
    let number = label.map_or(kept.newest.number(), |label| kept.labels[label]);
    let selector = label.map(|label| format!(":{label}"));
    let version = kept.version(view, number)?;
    Ok(version.map(|version| version.parameter(&call.region, selector, input.with_decryption.into())))
}
