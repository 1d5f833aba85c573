//! Tags of roles, policies and instance profiles.

use gantry_api::iam::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::View;
use gantry_types::Ids;

use super::listing::{Listed, listed};
use super::policies::{customer_policy, policy};
use super::records::{exceeded, profile, role};
use super::roles::unprotected;
use crate::Decision;
use crate::reserved::{is_aws, is_reserved};

const TAGS_MAX: usize = 50;

/// Adds tags; one whose key is there already, whatever its case, is replaced.
pub(super) fn put(call: &CallContext, tags: &mut Vec<Tag>, more: &[Tag]) -> Result<(), ApiError> {
    for (index, tag) in more.iter().enumerate() {
        let same = |other: &Tag| other.key.to_lowercase() == tag.key.to_lowercase();
        if more[..index].iter().any(same) {
            return Err(errors::invalid_input_exception(
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            ));
        }
        if is_reserved(call, &tag.key) {
            return Err(errors::invalid_input_exception(
                "Tag keys that begin with aws: are reserved for system use.",
            ));
        }
        tags.retain(|other| !same(other));
        tags.push(tag.clone());
    }
    if tags.iter().filter(|tag| !is_aws(&tag.key)).count() > TAGS_MAX {
        Err(exceeded("TagsPerResource", TAGS_MAX))
    } else {
        Ok(())
    }
}

fn put_in(call: &CallContext, tags: &mut Option<Vec<Tag>>, more: &[Tag]) -> Result<(), ApiError> {
    put(call, tags.get_or_insert_default(), more)
}

fn remove(call: &CallContext, tags: &mut Option<Vec<Tag>>, keys: &[String]) {
    let is_named = |tag: &Tag| {
        !is_reserved(call, &tag.key) && keys.iter().any(|key| key.to_lowercase() == tag.key.to_lowercase())
    };
    if let Some(own) = tags {
        own.retain(|tag| !is_named(tag));
    }
    if tags.as_ref().is_some_and(Vec::is_empty) {
        *tags = None;
    }
}

fn page(
    tags: Option<Vec<Tag>>,
    marker: Option<&str>,
    items_max: Option<i32>,
) -> Result<Listed<Tag>, ApiError> {
    // A marker has room for a part of the longest key only; a number stands for each.
    let mut tags = tags.unwrap_or_default();
    tags.sort_by(|a, b| a.key.cmp(&b.key));
    let numbered = tags.into_iter().enumerate();
    let page = listed(numbered, |(number, _)| format!("{number:03}"), marker, items_max)?;
    Ok(Listed {
        items: page.items.into_iter().map(|(_, tag)| tag).collect(),
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}

pub(super) fn tag_role(
    view: &View,
    call: &CallContext,
    input: &TagRoleRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let mut role = unprotected(view, &input.role_name)?;
    put_in(call, &mut role.document.shown.tags, &input.tags)?;
    Ok(((), vec![role.update()]))
}

pub(super) fn untag_role(
    view: &View,
    call: &CallContext,
    input: &UntagRoleRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let mut role = unprotected(view, &input.role_name)?;
    remove(call, &mut role.document.shown.tags, &input.tag_keys);
    Ok(((), vec![role.update()]))
}

pub(super) fn list_role_tags(
    view: &View,
    _call: &CallContext,
    input: &ListRoleTagsRequest,
) -> Result<ListRoleTagsResponse, ApiError> {
    let tags = role(view, &input.role_name)?.document.shown.tags;
    let page = page(tags, input.marker.as_deref(), input.max_items)?;
    Ok(ListRoleTagsResponse { tags: page.items, is_truncated: page.is_truncated, marker: page.marker })
}

pub(super) fn tag_policy(
    view: &View,
    call: &CallContext,
    input: &TagPolicyRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let mut policy = customer_policy(view, &input.policy_arn)?;
    put_in(call, &mut policy.document.shown.tags, &input.tags)?;
    Ok(((), vec![policy.update()]))
}

pub(super) fn untag_policy(
    view: &View,
    call: &CallContext,
    input: &UntagPolicyRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let mut policy = customer_policy(view, &input.policy_arn)?;
    remove(call, &mut policy.document.shown.tags, &input.tag_keys);
    Ok(((), vec![policy.update()]))
}

pub(super) fn list_policy_tags(
    view: &View,
    _call: &CallContext,
    input: &ListPolicyTagsRequest,
) -> Result<ListPolicyTagsResponse, ApiError> {
    let tags = policy(view, &input.policy_arn)?.shown().tags;
    let page = page(tags, input.marker.as_deref(), input.max_items)?;
    Ok(ListPolicyTagsResponse { tags: page.items, is_truncated: page.is_truncated, marker: page.marker })
}

pub(super) fn tag_instance_profile(
    view: &View,
    call: &CallContext,
    input: &TagInstanceProfileRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let mut profile = profile(view, &input.instance_profile_name)?;
    put_in(call, &mut profile.document.tags, &input.tags)?;
    Ok(((), vec![profile.update()]))
}

pub(super) fn untag_instance_profile(
    view: &View,
    call: &CallContext,
    input: &UntagInstanceProfileRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let mut profile = profile(view, &input.instance_profile_name)?;
    remove(call, &mut profile.document.tags, &input.tag_keys);
    Ok(((), vec![profile.update()]))
}

pub(super) fn list_instance_profile_tags(
    view: &View,
    _call: &CallContext,
    input: &ListInstanceProfileTagsRequest,
) -> Result<ListInstanceProfileTagsResponse, ApiError> {
    let tags = profile(view, &input.instance_profile_name)?.document.tags;
    let page = page(tags, input.marker.as_deref(), input.max_items)?;
    Ok(ListInstanceProfileTagsResponse {
        tags: page.items,
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}
