//! A stack's resources as they are.

use gantry_api::cloudformation::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::View;

use super::request::json_text;
use super::{PAGE_SIZE, invalid_token, stack_or_gone, validation};
use crate::cloudformation::plan::{Known, Plan};
use crate::cloudformation::records::{Resource, Stack as Record, Version};
use crate::page::page;

/// `DescribeStackResources` gives no pages.
const DESCRIBED_MAX: usize = 100;

fn all(view: &View, stack: &Record) -> Result<Vec<Resource>, ApiError> {
    Ok(Resource::list(view, stack)?.into_iter().map(|found| found.document).collect())
}

fn in_sync() -> StackResourceDriftInformation {
    StackResourceDriftInformation {
        stack_resource_drift_status: "NOT_CHECKED".to_owned(),
        last_check_timestamp: None,
    }
}

pub(in crate::cloudformation) fn describe_many(
    view: &View,
    call: &CallContext,
    input: &DescribeStackResourcesInput,
) -> Result<DescribeStackResourcesOutput, ApiError> {
    let stack = match (&input.stack_name, &input.physical_resource_id) {
        (Some(_), Some(_)) => {
            return Err(validation("Only one of stackName and physicalResourceId can be specified"));
        }
        (Some(name), None) => stack_or_gone(view, call, name)?,
        (None, Some(id)) => stack_of(view, call, id)?,
        (None, None) => return Err(validation("Either stackName or physicalResourceId must be specified")),
    };
    let wanted = input.logical_resource_id.as_deref();
    let mut found = all(view, &stack)?;
    found.retain(|resource| wanted.is_none_or(|wanted| wanted == resource.logical_id));
    found.truncate(DESCRIBED_MAX);
    let shown = |resource: Resource| StackResource {
        stack_name: Some(stack.name.clone()),
        stack_id: Some(stack.id.clone()),
        physical_resource_id: resource.shown_id().map(str::to_owned),
        logical_resource_id: resource.logical_id,
        resource_type: resource.now.resource_type,
        timestamp: resource.changed_at,
        resource_status: resource.status.as_str().to_owned(),
        resource_status_reason: resource.reason,
        drift_information: Some(in_sync()),
        ..Default::default()
    };
    Ok(DescribeStackResourcesOutput { stack_resources: Some(found.into_iter().map(shown).collect()) })
}

/// The stack that a thing belongs to.
fn stack_of(view: &View, call: &CallContext, physical_id: &str) -> Result<Record, ApiError> {
    for found in Record::list(view, &call.region)? {
        if all(view, &found.document)?.iter().any(|resource| resource.shown_id() == Some(physical_id)) {
            return Ok(found.document);
        }
    }
    Err(validation(format!("Stack for {physical_id} does not exist")))
}

pub(in crate::cloudformation) fn describe_one(
    view: &View,
    call: &CallContext,
    input: &DescribeStackResourceInput,
) -> Result<DescribeStackResourceOutput, ApiError> {
    let stack = stack_or_gone(view, call, &input.stack_name)?;
    let id = &input.logical_resource_id;
    let found = Resource::find(view, &stack, id)?
        .ok_or_else(|| validation(format!("Resource {id} does not exist for stack {}", stack.name)))?;
    let resource = found.document;
    let detail = StackResourceDetail {
        stack_name: Some(stack.name.clone()),
        stack_id: Some(stack.id.clone()),
        physical_resource_id: resource.shown_id().map(str::to_owned),
        metadata: Some(metadata(view, &stack, id).unwrap_or_else(|| "{}".to_owned())),
        logical_resource_id: resource.logical_id,
        resource_type: resource.now.resource_type,
        last_updated_timestamp: resource.changed_at,
        resource_status: resource.status.as_str().to_owned(),
        resource_status_reason: resource.reason,
        drift_information: Some(in_sync()),
        ..Default::default()
    };
    Ok(DescribeStackResourceOutput { stack_resource_detail: Some(detail) })
}

/// A resource's metadata as the template has it by now; what is not known yet leaves it out.
fn metadata(view: &View, stack: &Record, id: &str) -> Option<String> {
    let version = Version::find(view, stack, stack.shown_version()?).ok()??;
    let plan = Plan::new(stack, &version.document).ok()?;
    let known = Known::new(view, stack).ok()?;
    let metadata = plan.evaluation.metadata(id, &known).ok()??;
    Some(json_text(&metadata))
}

pub(in crate::cloudformation) fn list(
    view: &View,
    call: &CallContext,
    input: &ListStackResourcesInput,
) -> Result<ListStackResourcesOutput, ApiError> {
    let stack = stack_or_gone(view, call, &input.stack_name)?;
    let key = |resource: &Resource| resource.logical_id.clone();
    let page = page(all(view, &stack)?, key, input.next_token.as_deref(), PAGE_SIZE, invalid_token)?;
    let summary = |resource: Resource| StackResourceSummary {
        physical_resource_id: resource.shown_id().map(str::to_owned),
        logical_resource_id: resource.logical_id,
        resource_type: resource.now.resource_type,
        last_updated_timestamp: resource.changed_at,
        resource_status: resource.status.as_str().to_owned(),
        resource_status_reason: resource.reason,
        drift_information: Some(StackResourceDriftInformationSummary {
            stack_resource_drift_status: "NOT_CHECKED".to_owned(),
            last_check_timestamp: None,
        }),
        ..Default::default()
    };
    let summaries = page.items.into_iter().map(summary).collect();
    Ok(ListStackResourcesOutput { stack_resource_summaries: Some(summaries), next_token: page.next })
}
