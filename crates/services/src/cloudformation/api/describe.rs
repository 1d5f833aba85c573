//! Stacks as they are.

use gantry_api::cloudformation::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::View;

use super::request::{shown_parameters, shown_tags};
use super::{PAGE_SIZE, invalid_token, stack_or_gone};
use crate::cloudformation::records::{OnFailure, Stack as Record, Version};
use crate::page::page;

pub(in crate::cloudformation) fn describe(
    view: &View,
    call: &CallContext,
    input: &DescribeStacksInput,
) -> Result<DescribeStacksOutput, ApiError> {
    if let Some(name) = input.stack_name.as_deref().filter(|name| !name.is_empty()) {
        let stack = stack_or_gone(view, call, name)?;
        return Ok(DescribeStacksOutput { stacks: Some(vec![shown(view, &stack)?]), next_token: None });
    }
    let all = Record::list(view, &call.region)?.into_iter().map(|found| found.document);
    let page = page(all, |stack| stack.name.clone(), input.next_token.as_deref(), PAGE_SIZE, invalid_token)?;
    let stacks = page.items.iter().map(|stack| shown(view, stack)).collect::<Result<_, _>>()?;
    Ok(DescribeStacksOutput { stacks: Some(stacks), next_token: page.next })
}

fn shown(view: &View, stack: &Record) -> Result<Stack, ApiError> {
    let version = match stack.shown_version() {
        Some(number) => Version::find(view, stack, number)?.map(|found| found.document),
        None => None,
    };
    let output = |output: &crate::cloudformation::records::Output| Output {
        output_key: Some(output.key.clone()),
        output_value: Some(output.value.clone()),
        description: output.description.clone(),
        export_name: output.export.clone(),
    };
    Ok(Stack {
        stack_id: Some(stack.id.clone()),
        stack_name: stack.name.clone(),
        change_set_id: stack.change_set_id.clone(),
        description: version.as_ref().and_then(|version| version.description.clone()),
        parameters: Some(version.as_ref().map(shown_parameters).unwrap_or_default()),
        creation_time: stack.created_at,
        deletion_time: stack.deleted_at,
        last_updated_time: stack.updated_at,
        rollback_configuration: Some(RollbackConfiguration::default()),
        stack_status: stack.status.as_str().to_owned(),
        stack_status_reason: stack.reason.clone(),
        disable_rollback: Some(stack.on_failure == OnFailure::DoNothing),
        notification_arns: Some(
            version.as_ref().map(|version| version.notification_arns.clone()).unwrap_or_default(),
        ),
        timeout_in_minutes: stack.timeout_minutes,
        capabilities: version.as_ref().map(|version| version.capabilities.clone()),
        outputs: Some(stack.outputs.iter().map(output).collect()),
        role_arn: version.as_ref().and_then(|version| version.role_arn.clone()),
        tags: Some(version.as_ref().map(shown_tags).unwrap_or_default()),
        enable_termination_protection: Some(stack.is_protected),
        drift_information: Some(StackDriftInformation {
            stack_drift_status: "NOT_CHECKED".to_owned(),
            last_check_timestamp: None,
        }),
        retain_except_on_create: stack.retain_except_on_create.then_some(true),
        ..Default::default()
    })
}

pub(in crate::cloudformation) fn list(
    view: &View,
    call: &CallContext,
    input: &ListStacksInput,
) -> Result<ListStacksOutput, ApiError> {
    let filter = input.stack_status_filter.as_deref().unwrap_or_default();
    let all = Record::list(view, &call.region)?.into_iter().chain(Record::list_deleted(view, &call.region)?);
    let matching = all
        .map(|found| found.document)
        .filter(|stack| filter.is_empty() || filter.iter().any(|status| status == stack.status.as_str()));
    // Newest first: the later a stack was made, the smaller its key.
    let key = |stack: &Record| {
        format!("{:020} {}", u64::MAX.saturating_sub(stack.created_at.millis().unsigned_abs()), stack.id)
    };
    let page = page(matching, key, input.next_token.as_deref(), PAGE_SIZE, invalid_token)?;
    let summary = |stack: &Record| -> Result<StackSummary, ApiError> {
        let version = match stack.shown_version() {
            Some(number) => Version::find(view, stack, number)?.map(|found| found.document),
            None => None,
        };
        Ok(StackSummary {
            stack_id: Some(stack.id.clone()),
            stack_name: stack.name.clone(),
            template_description: version.and_then(|version| version.description),
            creation_time: stack.created_at,
            last_updated_time: stack.updated_at,
            deletion_time: stack.deleted_at,
            stack_status: stack.status.as_str().to_owned(),
            stack_status_reason: stack.reason.clone(),
            drift_information: Some(StackDriftInformationSummary {
                stack_drift_status: "NOT_CHECKED".to_owned(),
                last_check_timestamp: None,
            }),
            ..Default::default()
        })
    };
    let summaries = page.items.iter().map(summary).collect::<Result<_, _>>()?;
    Ok(ListStacksOutput { stack_summaries: Some(summaries), next_token: page.next })
}
