//! Tags of groups, by ARN and by name.

use std::collections::BTreeMap;

use gantry_api::logs::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::View;
use gantry_types::Ids;

use super::names::{by_arn, group, invalid};
use super::records::Group;
use crate::Decision;
use crate::objects::Found;
use crate::reserved::{is_aws, is_reserved};

const TAGS_MAX: usize = 50;
const KEY_CHARACTERS_MAX: usize = 128;
const VALUE_CHARACTERS_MAX: usize = 256;

pub(super) fn check_tags(call: &CallContext, tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
    for (key, value) in tags {
        let too_long =
            key.chars().count() > KEY_CHARACTERS_MAX || value.chars().count() > VALUE_CHARACTERS_MAX;
        if key.is_empty() || too_long || is_reserved(call, key) {
            return Err(invalid(format!(
                "The tag '{key}' is not valid: a key has 1 to {KEY_CHARACTERS_MAX} characters and does not begin with \
                 aws:, a value has at most {VALUE_CHARACTERS_MAX}."
            )));
        }
    }
    Ok(())
}

fn put(
    call: &CallContext,
    mut group: Found<Group>,
    more: &BTreeMap<String, String>,
    too_many: impl FnOnce() -> ApiError,
) -> Decision<()> {
    check_tags(call, more)?;
    group.document.tags.extend(more.iter().map(|(key, value)| (key.clone(), value.clone())));
    if group.document.tags.keys().filter(|key| !is_aws(key)).count() > TAGS_MAX {
        return Err(too_many());
    }
    Ok(((), vec![group.update()]))
}

fn remove(call: &CallContext, mut group: Found<Group>, keys: &[String]) -> Decision<()> {
    group.document.tags.retain(|key, _| !keys.contains(key) || is_reserved(call, key));
    Ok(((), vec![group.update()]))
}

pub(super) fn tag(
    view: &View,
    call: &CallContext,
    input: &TagResourceRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let too_many = || {
        errors::too_many_tags_exception(format!("A resource can have no more than {TAGS_MAX} tags."))
            .with_member("resourceName", input.resource_arn.as_str())
    };
    put(call, by_arn(view, &input.resource_arn)?, &input.tags, too_many)
}

pub(super) fn untag(
    view: &View,
    call: &CallContext,
    input: &UntagResourceRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    remove(call, by_arn(view, &input.resource_arn)?, &input.tag_keys)
}

pub(super) fn list(
    view: &View,
    _call: &CallContext,
    input: &ListTagsForResourceRequest,
) -> Result<ListTagsForResourceResponse, ApiError> {
    let tags = by_arn(view, &input.resource_arn)?.document.tags;
    Ok(ListTagsForResourceResponse { tags: Some(tags) })
}

pub(super) fn tag_group(
    view: &View,
    call: &CallContext,
    input: &TagLogGroupRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let too_many = || invalid(format!("A log group can have no more than {TAGS_MAX} tags."));
    put(call, group(view, &call.region, &input.log_group_name)?, &input.tags, too_many)
}

pub(super) fn untag_group(
    view: &View,
    call: &CallContext,
    input: &UntagLogGroupRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    remove(call, group(view, &call.region, &input.log_group_name)?, &input.tags)
}

pub(super) fn list_group(
    view: &View,
    call: &CallContext,
    input: &ListTagsLogGroupRequest,
) -> Result<ListTagsLogGroupResponse, ApiError> {
    let tags = group(view, &call.region, &input.log_group_name)?.document.tags;
    Ok(ListTagsLogGroupResponse { tags: Some(tags) })
}
