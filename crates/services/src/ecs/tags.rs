//! Tags of everything that has an ARN.

use gantry_api::ecs::{
    ListTagsForResourceRequest, ListTagsForResourceResponse, Tag, TagResourceRequest, TagResourceResponse,
    UntagResourceRequest, UntagResourceResponse, errors,
};
use gantry_api::{ApiError, CallContext, FromValue, IntoValue};
use gantry_domain::service::{Cluster, Service, ServiceStatus};
use gantry_domain::task::Task;
use gantry_domain::task_definition::{TaskDefinition, TaskDefinitionStatus};
use gantry_domain::{Change, Versioned, View};
use gantry_types::{ACCOUNT, Arn, ClusterName, Ids, Value};

use super::names::{invalid, service, task, task_definition};
use crate::Decision;
use crate::reserved::{is_aws, is_reserved};

const TAGS_MAX: usize = 50;

fn reserved() -> ApiError {
    invalid("Tag keys must not begin with aws:.")
}

/// AWS's own tags do not count.
pub(super) fn check_count(tags: &[Tag]) -> Result<(), ApiError> {
    let own = tags.iter().filter(|tag| !tag.key.as_deref().is_some_and(is_aws)).count();
    if own > TAGS_MAX {
        return Err(invalid(format!("The number of tags exceeds the maximum of {TAGS_MAX}.")));
    }
    Ok(())
}

/// Checks tags that a caller gives.
pub(super) fn check_tags(call: &CallContext, tags: Option<&[Tag]>) -> Result<(), ApiError> {
    let tags = tags.unwrap_or_default();
    check_count(tags)?;
    for (index, tag) in tags.iter().enumerate() {
        let key = tag.key.as_deref().unwrap_or("");
        if key.is_empty() || key.chars().count() > 128 {
            return Err(invalid("Tag keys must be between 1 and 128 characters long."));
        }
        if is_reserved(call, key) {
            return Err(reserved());
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

/// A resource that can be tagged, as it was read.
enum Tagged<'v> {
    Cluster(Versioned<'v, Cluster>),
    Service(Versioned<'v, Service>),
    Task(Versioned<'v, Task>),
    TaskDefinition(Versioned<'v, TaskDefinition>),
}

/// The resource that an ARN names, whichever it is.
fn find<'v>(view: &'v View, call: &CallContext, text: &str) -> Result<Tagged<'v>, ApiError> {
    let arn: Arn = text.parse().map_err(|_| invalid(format!("Invalid arn syntax. Given arn: {text}")))?;
    let here = arn.service() == "ecs" && arn.region() == call.region.as_str() && arn.account() == ACCOUNT;
    let parts: Vec<&str> = arn.resource().split('/').filter(|_| here).collect();
    let found = match parts.as_slice() {
        ["cluster", name] => view.cluster(&call.region, &ClusterName::new(*name)).map(Tagged::Cluster),
        ["service", cluster, _] => {
            service(view, call, &ClusterName::new(*cluster), text)?.map(Tagged::Service)
        }
        ["task", cluster, _] => task(view, call, &ClusterName::new(*cluster), text)?.map(Tagged::Task),
        ["task-definition", name] if name.contains(':') => {
            task_definition(view, call, text).map(Tagged::TaskDefinition)
        }
        _ => None,
    };
    let (kind, is_inactive) = match &found {
        None => return Err(not_found()),
        Some(Tagged::Cluster(cluster)) => ("cluster", !cluster.active),
        Some(Tagged::Service(service)) => ("service", service.status == ServiceStatus::Inactive),
        Some(Tagged::Task(_)) => ("task", false),
        Some(Tagged::TaskDefinition(definition)) => {
            ("task definition", definition.status != TaskDefinitionStatus::Active)
        }
    };
    match found {
        Some(found) if !is_inactive => Ok(found),
        _ => {
            Err(invalid(format!("The specified {kind} is inactive. Specify an active {kind} and try again.")))
        }
    }
}

impl Tagged<'_> {
    fn tags(&self) -> Vec<Tag> {
        tags_of(match self {
            Self::Cluster(found) => &found.value().document,
            Self::Service(found) => &found.value().document,
            Self::Task(found) => &found.value().document,
            Self::TaskDefinition(found) => &found.value().document,
        })
    }

    fn set_tags(&self, tags: &[Tag]) -> Change {
        let value = tags_value(Some(tags));
        macro_rules! update {
            ($found:expr) => {{
                let mut record = $found.value().clone();
                record.document.set("tags", value);
                Change::update(record, $found.revision)
            }};
        }
        match self {
            Self::Cluster(found) => update!(found),
            Self::Service(found) => update!(found),
            Self::Task(found) => update!(found),
            Self::TaskDefinition(found) => update!(found),
        }
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
    check_tags(call, Some(&input.tags))?;
    let found = find(view, call, &input.resource_arn)?;
    let mut tags = found.tags();
    tags.retain(|tag| !input.tags.iter().any(|given| given.key == tag.key));
    tags.extend(input.tags.iter().cloned());
    check_count(&tags)?;
    Ok((TagResourceResponse {}, vec![found.set_tags(&tags)]))
}

pub(super) fn untag(
    view: &View,
    call: &CallContext,
    input: &UntagResourceRequest,
    _ids: &mut Ids,
) -> Decision<UntagResourceResponse> {
    if input.tag_keys.iter().any(|key| is_reserved(call, key)) {
        return Err(reserved());
    }
    let found = find(view, call, &input.resource_arn)?;
    let mut tags = found.tags();
    tags.retain(|tag| !tag.key.as_ref().is_some_and(|key| input.tag_keys.contains(key)));
    Ok((UntagResourceResponse {}, vec![found.set_tags(&tags)]))
}

pub(super) fn list(
    view: &View,
    call: &CallContext,
    input: &ListTagsForResourceRequest,
) -> Result<ListTagsForResourceResponse, ApiError> {
    Ok(ListTagsForResourceResponse { tags: Some(find(view, call, &input.resource_arn)?.tags()) })
}
