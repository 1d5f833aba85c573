//! Listings of groups.

use gantry_api::logs::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::View;

use super::groups::streams_of;
use super::names::{by_arn, find_group, group_missing, invalid};
use super::records::{Group, groups};
use super::token::invalid_token;
use crate::Context;
use crate::objects::{self, Found};
use crate::page::page;

const GROUPS_DEFAULT: i32 = 50;

/// With how much each holds, which the log store knows.
pub(super) async fn describe_groups(
    context: &Context,
    call: &CallContext,
    input: &DescribeLogGroupsRequest,
) -> Result<DescribeLogGroupsResponse, ApiError> {
    let (page, streams) = context.read(|view| {
        let page = described(view, call, input)?;
        let streams = page.items.iter().map(|group| streams_of(view, group));
        let streams = streams.collect::<Result<Vec<_>, _>>()?;
        Ok::<_, ApiError>((page, streams))
    })?;
    let ids = streams.iter().flatten().map(|stream| stream.document.stream_id()).collect();
    let mut summaries = context.logs().summaries(ids).await?.into_iter();
    let shown = page.items.into_iter().zip(&streams).map(|(group, streams)| {
        let bytes: u64 = summaries.by_ref().take(streams.len()).map(|summary| summary.bytes).sum();
        LogGroup { stored_bytes: i64::try_from(bytes).ok(), ..group.shown }
    });
    Ok(DescribeLogGroupsResponse { log_groups: Some(shown.collect()), next_token: page.next })
}

fn described(
    view: &View,
    call: &CallContext,
    input: &DescribeLogGroupsRequest,
) -> Result<crate::page::Page<Group>, ApiError> {
    let (prefix, pattern) = (input.log_group_name_prefix.as_deref(), input.log_group_name_pattern.as_deref());
    if prefix.is_some() && pattern.is_some() {
        return Err(invalid(
            "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
        ));
    }
    let found = match &input.log_group_identifiers {
        Some(_) if prefix.is_some() || pattern.is_some() => {
            return Err(invalid("logGroupIdentifiers cannot be used with a prefix or pattern of names."));
        }
        Some(identifiers) => named(view, call, identifiers)?,
        None => objects::list(view, &groups(&call.region))?,
    };
    let is_wanted = |group: &Group| {
        prefix.is_none_or(|prefix| group.name().starts_with(prefix))
            && pattern.is_none_or(|pattern| group.name().contains(pattern))
            && is_class(group, input.log_group_class.as_deref())
    };
    let wanted = found.into_iter().map(|found| found.document).filter(is_wanted);
    paged(wanted, input.next_token.as_deref(), input.limit)
}

fn named(view: &View, call: &CallContext, identifiers: &[String]) -> Result<Vec<Found<Group>>, ApiError> {
    let mut found = identifiers
        .iter()
        .map(|identifier| match identifier.starts_with("arn:") {
            true => by_arn(view, identifier),
            false => find_group(view, &call.region, identifier)?.ok_or_else(group_missing),
        })
        .collect::<Result<Vec<_>, _>>()?;
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found.dedup_by(|a, b| a.document.id == b.document.id);
    Ok(found)
}

fn is_class(group: &Group, class: Option<&str>) -> bool {
    class.is_none_or(|class| group.shown.log_group_class.as_deref() == Some(class))
}

fn paged(
    groups: impl Iterator<Item = Group>,
    token: Option<&str>,
    limit: Option<i32>,
) -> Result<crate::page::Page<Group>, ApiError> {
    let size = usize::try_from(limit.unwrap_or(GROUPS_DEFAULT)).unwrap_or(1);
    page(groups, |group| group.name().to_owned(), token, size, invalid_token)
}

pub(super) fn list_groups(
    view: &View,
    call: &CallContext,
    input: &ListLogGroupsRequest,
) -> Result<ListLogGroupsResponse, ApiError> {
    // No group has data sources or indexed fields here.
    let is_none = input.data_sources.is_some() || input.field_index_names.is_some();
    let is_wanted = |group: &Group| {
        !is_none
            && input.log_group_name_pattern.as_deref().is_none_or(|pattern| has_name(group, pattern))
            && is_class(group, input.log_group_class.as_deref())
            && input.log_group_tags.iter().flatten().all(|filter| has_tag(group, filter))
    };
    let found = objects::list::<Group>(view, &groups(&call.region))?;
    let wanted = found.into_iter().map(|found| found.document).filter(is_wanted);
    let page = paged(wanted, input.next_token.as_deref(), input.limit)?;
    let summary = |group: Group| LogGroupSummary {
        log_group_arn: group.shown.log_group_arn,
        log_group_class: group.shown.log_group_class,
        log_group_name: group.shown.log_group_name,
    };
    Ok(ListLogGroupsResponse {
        log_groups: Some(page.items.into_iter().map(summary).collect()),
        next_token: page.next,
    })
}

/// One of several parts, divided by `|`; one that begins with `^` has to stand at the name's beginning.
fn has_name(group: &Group, pattern: &str) -> bool {
    pattern.split('|').any(|part| match part.strip_prefix('^') {
        Some(start) => group.name().starts_with(start),
        None => group.name().contains(part),
    })
}

/// The key has one of the values, if any are named; `*` at an end stands for anything, and `!` turns the value around.
fn has_tag(group: &Group, filter: &TagFilter) -> bool {
    let Some(own) = group.tags.get(&filter.key) else { return false };
    let matches = |value: &String| {
        let (is_wanted, value) =
            value.strip_prefix('!').map_or((true, value.as_str()), |value| (false, value));
        let (starts_anyhow, value) = value.strip_prefix('*').map_or((false, value), |value| (true, value));
        let (ends_anyhow, value) = value.strip_suffix('*').map_or((false, value), |value| (true, value));
        is_wanted
            == match (starts_anyhow, ends_anyhow) {
                (false, false) => own == value,
                (false, true) => own.starts_with(value),
                (true, false) => own.ends_with(value),
                (true, true) => own.contains(value),
            }
    };
    filter.values.as_deref().is_none_or(|values| values.is_empty() || values.iter().any(matches))
}
