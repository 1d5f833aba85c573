//! Tags of parameters.

use gantry_api::ssm::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::View;
use gantry_types::Ids;

use super::names::invalid;
use super::records::{self, Kept};
use crate::Decision;
use crate::objects::Found;
use crate::reserved::{is_aws, is_reserved};

const TAGS_MAX: usize = 50;

/// The tags that a parameter is made with.
pub(super) fn given(call: &CallContext, tags: &[Tag]) -> Result<Vec<Tag>, ApiError> {
    let mut own = Vec::new();
    put(call, &mut own, tags)?;
    Ok(own)
}

fn put(call: &CallContext, own: &mut Vec<Tag>, more: &[Tag]) -> Result<(), ApiError> {
    for tag in more {
        if is_reserved(call, &tag.key) {
            return Err(invalid("aws: prefixed tag key names are not allowed for external use."));
        }
        match own.iter_mut().find(|other| other.key == tag.key) {
            Some(other) => other.value.clone_from(&tag.value),
            None => own.push(tag.clone()),
        }
    }
    if own.iter().filter(|tag| !is_aws(&tag.key)).count() > TAGS_MAX {
        Err(errors::too_many_tags_error(""))
    } else {
        Ok(())
    }
}

fn tagged(view: &View, call: &CallContext, kind: &str, name: &str) -> Result<Found<Kept>, ApiError> {
    if kind != "Parameter" {
        return Err(errors::invalid_resource_type(""));
    }
    records::find(view, &call.region, name)?.ok_or_else(|| errors::invalid_resource_id(""))
}

pub(super) fn add(
    view: &View,
    call: &CallContext,
    input: &AddTagsToResourceRequest,
    _ids: &mut Ids,
) -> Decision<AddTagsToResourceResult> {
    let mut found = tagged(view, call, &input.resource_type, &input.resource_id)?;
    put(call, &mut found.document.tags, &input.tags)?;
    Ok((AddTagsToResourceResult {}, vec![found.update()]))
}

pub(super) fn remove(
    view: &View,
    call: &CallContext,
    input: &RemoveTagsFromResourceRequest,
    _ids: &mut Ids,
) -> Decision<RemoveTagsFromResourceResult> {
    let mut found = tagged(view, call, &input.resource_type, &input.resource_id)?;
    found.document.tags.retain(|tag| !input.tag_keys.contains(&tag.key) || is_reserved(call, &tag.key));
    Ok((RemoveTagsFromResourceResult {}, vec![found.update()]))
}

pub(super) fn list(
    view: &View,
    call: &CallContext,
    input: &ListTagsForResourceRequest,
) -> Result<ListTagsForResourceResult, ApiError> {
    let tags = tagged(view, call, &input.resource_type, &input.resource_id)?.document.tags;
    Ok(ListTagsForResourceResult { tag_list: Some(tags) })
}
