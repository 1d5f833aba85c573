//! What is known of parameters, but for their values.

use gantry_api::ssm::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::View;

use super::filters::{self, Place};
use super::names::invalid;
use super::records;
use crate::page::page;

const RESULTS_DEFAULT: i32 = 50;

pub(super) fn describe(
    view: &View,
    call: &CallContext,
    input: &DescribeParametersRequest,
) -> Result<DescribeParametersResult, ApiError> {
    let filters = wanted(input)?;
    filters::check(&filters, Place::Describe)?;
    // Nobody shares parameters with the one account that there is.
    let all = if input.shared == Some(true) { vec![] } else { records::list(view, &call.region)? };
    let found = all.into_iter().map(|found| found.document).filter(|kept| filters::matches(&filters, kept));
    let parameters = found.map(|kept| kept.newest.metadata(&call.region));
    let key = |parameter: &ParameterMetadata| parameter.name.clone().unwrap_or_default();
    let size = usize::try_from(input.max_results.unwrap_or(RESULTS_DEFAULT)).unwrap_or(1);
    let bad_token = || errors::invalid_next_token("The specified token is not valid.");
    let page = page(parameters, key, input.next_token.as_deref(), size, bad_token)?;
    Ok(DescribeParametersResult { parameters: Some(page.items), next_token: page.next })
}

/// Both generations of filters in the form of the newer one.
fn wanted(input: &DescribeParametersRequest) -> Result<Vec<ParameterStringFilter>, ApiError> {
    let older = input.filters.as_deref().unwrap_or_default();
    let newer = input.parameter_filters.as_deref().unwrap_or_default();
    if !older.is_empty() && !newer.is_empty() {
        return Err(invalid("You can use either Filters or ParameterFilters in a single request."));
    }
    let renewed = |filter: &ParametersFilter| ParameterStringFilter {
        key: filter.key.clone(),
        option: Some("BeginsWith".to_owned()).filter(|_| filter.key == "Name"),
        values: Some(filter.values.clone()),
    };
    Ok(if older.is_empty() { newer.to_vec() } else { older.iter().map(renewed).collect() })
}
