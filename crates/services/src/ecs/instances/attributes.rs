//! Attributes: what an instance is, and what callers write beside it for their placement constraints.

use std::collections::BTreeMap;

use gantry_api::ecs::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::container_instance::ContainerInstance as InstanceRecord;
use gantry_domain::{Change, Key, Stored as _, Versioned, View};
use gantry_types::Ids;

use crate::Decision;
use crate::ecs::names::{cluster, container_instance, invalid, invalid_token, page_size};
use crate::page::page;

const ATTRIBUTES_PER_CALL_MAX: usize = 10;
const CUSTOM_MAX: usize = 10;
const NAME_LENGTH_MAX: usize = 128;
const VALUE_LENGTH_MAX: usize = 128;
const TARGET_TYPE: &str = "container-instance";

/// Those that the instance has by itself.
fn is_built_in(name: &str) -> bool {
    name.starts_with("ecs.") || name.starts_with("com.amazonaws.ecs.")
}

fn check(attribute: &Attribute) -> Result<(), ApiError> {
    let plain = |text: &str, more: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c));
    let name = &attribute.name;
    if name.is_empty() || name.len() > NAME_LENGTH_MAX || !plain(name, "-_./\\") {
        return Err(invalid(format!("Invalid attribute name '{name}'.")));
    }
    let value = attribute.value.as_deref().unwrap_or("");
    if value.len() > VALUE_LENGTH_MAX || !plain(value, "-_.@:/\\ ") {
        return Err(invalid(format!("Invalid value of the attribute '{name}'.")));
    }
    Ok(())
}

/// Changes the attributes of every target in one commit.
fn change(
    view: &View,
    call: &CallContext,
    given_cluster: Option<&str>,
    attributes: &[Attribute],
    apply: impl Fn(&mut InstanceRecord, &Attribute) -> Result<(), ApiError>,
) -> Result<Vec<Change>, ApiError> {
    let cluster = cluster(view, call, given_cluster)?;
    if attributes.is_empty() || attributes.len() > ATTRIBUTES_PER_CALL_MAX {
        return Err(invalid(format!(
            "attributes must have between 1 and {ATTRIBUTES_PER_CALL_MAX} elements."
        )));
    }
    let mut targets: BTreeMap<Key, (u64, InstanceRecord)> = BTreeMap::new();
    for attribute in attributes {
        check(attribute)?;
        let target = attribute.target_id.as_deref().unwrap_or("");
        let found: Option<Versioned<'_, InstanceRecord>> = match target {
            "" => None,
            target => container_instance(view, call, &cluster.name, target)?,
        };
        let found = found.ok_or_else(|| {
            errors::target_not_found_exception(format!("The specified target {target} was not found."))
        })?;
        let (_, record) =
            targets.entry(found.value().key()).or_insert_with(|| (found.revision, found.cloned()));
        apply(record, attribute)?;
    }
    let changes = targets.into_values().map(|(revision, mut record)| {
        record.version += 1;
        Change::update(record, revision)
    });
    Ok(changes.collect())
}

pub(in crate::ecs) fn put(
    view: &View,
    call: &CallContext,
    input: &PutAttributesRequest,
    _ids: &mut Ids,
) -> Decision<PutAttributesResponse> {
    let changes = change(view, call, input.cluster.as_deref(), &input.attributes, |record, attribute| {
        if is_built_in(&attribute.name) {
            return Err(invalid(format!("The attribute '{}' can not be set.", attribute.name)));
        }
        record.attributes.insert(attribute.name.clone(), attribute.value.clone());
        if record.attributes.keys().filter(|name| !is_built_in(name)).count() > CUSTOM_MAX {
            return Err(errors::attribute_limit_exceeded_exception(format!(
                "A resource can have at most {CUSTOM_MAX} custom attributes."
            )));
        }
        Ok(())
    })?;
    Ok((PutAttributesResponse { attributes: Some(input.attributes.clone()) }, changes))
}

pub(in crate::ecs) fn delete(
    view: &View,
    call: &CallContext,
    input: &DeleteAttributesRequest,
    _ids: &mut Ids,
) -> Decision<DeleteAttributesResponse> {
    let changes = change(view, call, input.cluster.as_deref(), &input.attributes, |record, attribute| {
        if is_built_in(&attribute.name) {
            return Err(invalid(format!("The attribute '{}' can not be deleted.", attribute.name)));
        }
        record.attributes.remove(&attribute.name);
        Ok(())
    })?;
    Ok((DeleteAttributesResponse { attributes: Some(input.attributes.clone()) }, changes))
}

pub(in crate::ecs) fn list(
    view: &View,
    call: &CallContext,
    input: &ListAttributesRequest,
) -> Result<ListAttributesResponse, ApiError> {
    let cluster = cluster(view, call, input.cluster.as_deref())?;
    let wanted = |name: &str, value: &Option<String>| {
        input.attribute_name.as_deref().is_none_or(|wanted| wanted == name)
            && input.attribute_value.as_ref().is_none_or(|wanted| value.as_ref() == Some(wanted))
    };
    let mut found = Vec::new();
    for instance in view.instances_of_cluster(&call.region, &cluster.name) {
        let instance = instance.value();
        found.extend(instance.attributes.iter().filter(|(name, value)| wanted(name, value)).map(
            |(name, value)| Attribute {
                name: name.clone(),
                value: value.clone(),
                target_id: Some(instance.arn.to_string()),
                target_type: Some(TARGET_TYPE.to_owned()),
            },
        ));
    }
    let size = page_size(input.max_results, 100, 100)?;
    let key = |each: &Attribute| format!("{}|{}", each.target_id.as_deref().unwrap_or(""), each.name);
    let page = page(found, key, input.next_token.as_deref(), size, invalid_token)?;
    Ok(ListAttributesResponse { attributes: Some(page.items), next_token: page.next })
}
