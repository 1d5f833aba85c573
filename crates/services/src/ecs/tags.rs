//! Tags of everything that has an ARN.

use gantry_api::ecs::*;
use gantry_api::{ApiError, CallContext, FromValue, IntoValue};
use gantry_domain::{Change, Stored, Versioned, View};
use gantry_types::{Arn, Ids, Value};

use super::names::{cluster_name, invalid, service, task, task_definition};
use crate::Decision;

const TAGS_MAX: usize = 50;

pub(super) fn check_tags(tags: Option<&[Tag]>) -> Result<(), ApiError> {
    let tags = tags.unwrap_or_default();
    if tags.len() > TAGS_MAX {
        return Err(invalid(format!("The number of tags exceeds the maximum of {TAGS_MAX}.")));
    }
    for (index, tag) in tags.iter().enumerate() {
        let key = tag.key.as_deref().unwrap_or("");
        if key.is_empty() || key.chars().count() > 128 {
            return Err(invalid("Tag keys must be between 1 and 128 characters long."));
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(invalid("Tag keys must not begin with aws:."));
        }
        if tag.value.as_deref().unwrap_or("").chars().count() > 256 {
            return Err(invalid("Tag values must be up to 256 characters long."));
        }
        if tags[..index].iter().any(|other| other.key == tag.key) {
            return Err(invalid(format!("Duplicate tag key '{key}'.")));
        }
    }
    Ok(())
}

/// Tags as documents keep them.
pub(super) fn tags_value(tags: Option<&[Tag]>) -> Value {
    tags.filter(|tags| !tags.is_empty()).map_or(Value::Null, |tags| tags.to_vec().into_value())
}

pub(super) fn tags_of(document: &Value) -> Vec<Tag> {
    document.get("tags").and_then(|tags| FromValue::from_value(tags).ok()).unwrap_or_default()
}

/// Edits the tags of the resource that `arn` names, whichever it is.
fn edit(
    view: &View,
    call: &CallContext,
    text: &str,
    edit: impl FnOnce(&mut Vec<Tag>) -> Result<(), ApiError>,
) -> Result<Vec<Change>, ApiError> {
    fn change<T: Stored + Clone>(
        found: Option<Versioned<'_, T>>,
        document: impl FnOnce(&mut T) -> &mut Value,
        edit: impl FnOnce(&mut Vec<Tag>) -> Result<(), ApiError>,
    ) -> Result<Vec<Change>, ApiError> {
        let found = found.ok_or_else(not_found)?;
        let mut record = found.value().clone();
        let document = document(&mut record);
        let mut tags = tags_of(document);
        edit(&mut tags)?;
        check_tags(Some(&tags))?;
        document.set("tags", tags_value(Some(&tags)));
        Ok(vec![Change::update(record, found.revision)])
    }
    let arn: Arn = text.parse().map_err(|_| invalid(format!("Invalid arn syntax. Given arn: {text}")))?;
    let parts: Vec<&str> = arn.resource().split('/').collect();
    match parts.as_slice() {
        ["cluster", name] => {
            let found =
                view.cluster(&call.region, &cluster_name(Some(name))).filter(|cluster| cluster.active);
            change(found, |record| &mut record.document, edit)
        }
        ["service", cluster, name] => {
            let found = service(view, call, &cluster_name(Some(cluster)), name);
            change(found, |record| &mut record.document, edit)
        }
        ["task", cluster, id] => {
            change(task(view, call, &cluster_name(Some(cluster)), id), |record| &mut record.document, edit)
        }
        ["task-definition", name] => {
            change(task_definition(view, call, name), |record| &mut record.document, edit)
        }
        _ => Err(not_found()),
    }
}

fn not_found() -> ApiError {
    errors::resource_not_found_exception(
        "The specified resource could not be found. Check the ARN and try again.",
    )
}

pub(super) fn tag(
    view: &View,
    call: &CallContext,
    input: &TagResourceRequest,
    _ids: &mut Ids,
) -> Decision<TagResourceResponse> {
    check_tags(Some(&input.tags))?;
    let changes = edit(view, call, &input.resource_arn, |tags| {
        for tag in &input.tags {
            tags.retain(|other| other.key != tag.key);
            tags.push(tag.clone());
        }
        Ok(())
    })?;
    Ok((TagResourceResponse {}, changes))
}

pub(super) fn untag(
    view: &View,
    call: &CallContext,
    input: &UntagResourceRequest,
    _ids: &mut Ids,
) -> Decision<UntagResourceResponse> {
    let changes = edit(view, call, &input.resource_arn, |tags| {
        tags.retain(|tag| !tag.key.as_ref().is_some_and(|key| input.tag_keys.contains(key)));
        Ok(())
    })?;
    Ok((UntagResourceResponse {}, changes))
}

pub(super) fn list(
    view: &View,
    call: &CallContext,
    input: &ListTagsForResourceRequest,
) -> Result<ListTagsForResourceResponse, ApiError> {
    let mut tags = Vec::new();
    edit(view, call, &input.resource_arn, |found| {
        tags.clone_from(found);
        Ok(())
    })?;
    Ok(ListTagsForResourceResponse { tags: Some(tags) })
}
