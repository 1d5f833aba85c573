//! Tags. They stand in each record's document under `Tags`.

use gantry_api::elbv2::*;
use gantry_api::{ApiError, CallContext, FromValue, IntoValue};
use gantry_domain::{Change, View};
use gantry_types::{Ids, Value};

use super::names::{balancer, group, listener, rule, validation};
use crate::Decision;
use crate::reserved::{is_aws, is_reserved};

const TAGS_MAX: usize = 50;
const RESOURCES_MAX: usize = 20;

pub(super) fn tags_of(document: &Value) -> Vec<Tag> {
    document.get("Tags").and_then(|tags| FromValue::from_value(tags).ok()).unwrap_or_default()
}

/// A document that holds the tags of a creation.
pub(super) fn document(call: &CallContext, tags: Option<&[Tag]>) -> Result<Value, ApiError> {
    let mut own = Vec::new();
    put(call, &mut own, tags.unwrap_or_default())?;
    let mut document = Value::map();
    document.set("Tags", own.into_value());
    Ok(document)
}

fn put(call: &CallContext, tags: &mut Vec<Tag>, more: &[Tag]) -> Result<(), ApiError> {
    for (index, tag) in more.iter().enumerate() {
        if tag.key.is_empty() || tag.key.chars().count() > 128 || is_reserved(call, &tag.key) {
            return Err(validation(format!("Tag key '{}' is invalid", tag.key)));
        }
        if tag.value.as_deref().unwrap_or("").chars().count() > 256 {
            return Err(validation(format!("The value of tag '{}' is longer than 256 characters", tag.key)));
        }
        if more[..index].iter().any(|other| other.key == tag.key) {
            return Err(errors::duplicate_tag_keys_exception(format!(
                "Tag key '{}' is given more than once",
                tag.key
            )));
        }
        tags.retain(|other| other.key != tag.key);
        tags.push(tag.clone());
    }
    if tags.iter().filter(|tag| !is_aws(&tag.key)).count() > TAGS_MAX {
        return Err(errors::too_many_tags_exception(format!("A resource has at most {TAGS_MAX} tags")));
    }
    Ok(())
}

/// Edits the tags of whatever the ARN names.
fn edit(
    view: &View,
    call: &CallContext,
    text: &str,
    edit: &dyn Fn(&mut Vec<Tag>) -> Result<(), ApiError>,
) -> Result<Change, ApiError> {
    macro_rules! change {
        ($find:path) => {{
            let found = $find(view, call, text)?;
            let mut record = found.value().clone();
            let mut tags = tags_of(&record.document);
            edit(&mut tags)?;
            record.document.set("Tags", tags.into_value());
            Ok(Change::update(record, found.revision))
        }};
    }
    match kind(text) {
        "targetgroup" => change!(group),
        "listener" => change!(listener),
        "listener-rule" => change!(rule),
        _ => change!(balancer),
    }
}

fn kind(text: &str) -> &str {
    text.splitn(6, ':').nth(5).and_then(|resource| resource.split('/').next()).unwrap_or("")
}

/// The resources of one call, each once.
fn unique(arns: &[String]) -> Result<impl Iterator<Item = &String>, ApiError> {
    if arns.is_empty() || arns.len() > RESOURCES_MAX {
        return Err(validation(format!("Between 1 and {RESOURCES_MAX} resources must be specified")));
    }
    Ok(arns.iter().enumerate().filter(|(index, arn)| !arns[..*index].contains(arn)).map(|(_, arn)| arn))
}

pub(super) fn add(
    view: &View,
    call: &CallContext,
    input: &AddTagsInput,
    _ids: &mut Ids,
) -> Decision<AddTagsOutput> {
    let changes = unique(&input.resource_arns)?;
    let changes = changes.map(|arn| edit(view, call, arn, &|tags| put(call, tags, &input.tags)));
    Ok((AddTagsOutput {}, changes.collect::<Result<_, _>>()?))
}

pub(super) fn remove(
    view: &View,
    call: &CallContext,
    input: &RemoveTagsInput,
    _ids: &mut Ids,
) -> Decision<RemoveTagsOutput> {
    let changes = unique(&input.resource_arns)?.map(|arn| {
        edit(view, call, arn, &|tags| {
            tags.retain(|tag| !input.tag_keys.contains(&tag.key) || is_reserved(call, &tag.key));
            Ok(())
        })
    });
    Ok((RemoveTagsOutput {}, changes.collect::<Result<_, _>>()?))
}

pub(super) fn describe(
    view: &View,
    call: &CallContext,
    input: &DescribeTagsInput,
) -> Result<DescribeTagsOutput, ApiError> {
    let describe = |text: &String| {
        let tags = match kind(text) {
            "targetgroup" => tags_of(&group(view, call, text)?.document),
            "listener" => tags_of(&listener(view, call, text)?.document),
            "listener-rule" => tags_of(&rule(view, call, text)?.document),
            _ => tags_of(&balancer(view, call, text)?.document),
        };
        Ok(TagDescription { resource_arn: Some(text.clone()), tags: Some(tags) })
    };
    let descriptions = unique(&input.resource_arns)?.map(describe).collect::<Result<_, ApiError>>()?;
    Ok(DescribeTagsOutput { tag_descriptions: Some(descriptions) })
}
