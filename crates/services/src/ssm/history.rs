//! All versions of a parameter.

use gantry_api::ssm::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::View;

use super::names::Asked;
use super::records::{self, Version, version_name};
use crate::page::page;

const RESULTS_DEFAULT: i32 = 50;

pub(super) fn get(
    view: &View,
    call: &CallContext,
    input: &GetParameterHistoryRequest,
) -> Result<GetParameterHistoryResult, ApiError> {
    let asked = Asked::parse(&call.region, &input.name)?;
    let found = if asked.by_arn {
        records::find_alike(view, &call.region, &asked.name)?
    } else {
        records::find(view, &call.region, &asked.name)?
    };
    let kept = found.ok_or_else(|| errors::parameter_not_found(""))?.document;
    let mut versions: Vec<Version> = kept.older(view)?.into_iter().map(|version| version.document).collect();
    versions.push(kept.newest.clone());
    let size = usize::try_from(input.max_results.unwrap_or(RESULTS_DEFAULT)).unwrap_or(1);
    let bad_token = || errors::invalid_next_token("The specified token is not valid.");
    let key = |version: &Version| version_name(version.number());
    let page = page(versions, key, input.next_token.as_deref(), size, bad_token)?;
    let shown =
        |version: &Version| version.history(kept.labels_of(version.number()), input.with_decryption.into());
    Ok(GetParameterHistoryResult {
        parameters: Some(page.items.iter().map(shown).collect()),
        next_token: page.next,
    })
}
