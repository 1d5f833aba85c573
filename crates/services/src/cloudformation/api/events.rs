//! What happened to a stack, newest first.

use gantry_api::cloudformation::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::View;

use super::{PAGE_SIZE, invalid_token, stack_or_gone};
use crate::cloudformation::records::{Event, Stack as Record};
use crate::objects::Found;
use crate::page::{Page, page};

/// A page of events, newest first.
fn newest(view: &View, stack: &Record, token: Option<&str>) -> Result<Page<Event>, ApiError> {
    let events = Event::list(view, stack)?;
    // The later an event, the smaller its key.
    let key = |found: &Found<Event>| {
        let (number, rest) = found.name.split_once('-').unwrap_or((&found.name, ""));
        format!("{:020}-{rest}", u64::MAX.saturating_sub(number.parse().unwrap_or(0)))
    };
    let page = page(events, key, token, PAGE_SIZE, invalid_token)?;
    Ok(Page { items: page.items.into_iter().map(|found| found.document).collect(), next: page.next })
}

pub(in crate::cloudformation) fn describe(
    view: &View,
    call: &CallContext,
    input: &DescribeStackEventsInput,
) -> Result<DescribeStackEventsOutput, ApiError> {
    let stack = stack_or_gone(view, call, &input.stack_name)?;
    let page = newest(view, &stack, input.next_token.as_deref())?;
    let shown = |event: Event| StackEvent {
        stack_id: stack.id.clone(),
        stack_name: stack.name.clone(),
        event_id: event.id,
        logical_resource_id: Some(event.logical_id),
        physical_resource_id: event.physical_id,
        resource_type: Some(event.resource_type),
        timestamp: event.at,
        resource_status: Some(event.status),
        resource_status_reason: event.reason,
        resource_properties: event.properties,
        client_request_token: event.token,
        ..Default::default()
    };
    Ok(DescribeStackEventsOutput {
        stack_events: Some(page.items.into_iter().map(shown).collect()),
        next_token: page.next,
    })
}

pub(in crate::cloudformation) fn describe_operations(
    view: &View,
    call: &CallContext,
    input: &DescribeEventsInput,
) -> Result<DescribeEventsOutput, ApiError> {
    let Some(name) = &input.stack_name else {
        return Err(super::validation("Gantry describes the events of a StackName only."));
    };
    let stack = stack_or_gone(view, call, name)?;
    let page = newest(view, &stack, input.next_token.as_deref())?;
    let only_failed = input.filters.as_ref().and_then(|filters| filters.failed_events) == Some(true);
    let shown = |event: Event| OperationEvent {
        stack_id: Some(stack.id.clone()),
        event_id: Some(event.id),
        event_type: Some("STACK_EVENT".to_owned()),
        logical_resource_id: Some(event.logical_id),
        physical_resource_id: event.physical_id,
        resource_type: Some(event.resource_type),
        timestamp: Some(event.at),
        resource_status: Some(event.status),
        resource_status_reason: event.reason,
        resource_properties: event.properties,
        client_request_token: event.token,
        ..Default::default()
    };
    let events = page.items.into_iter().filter(|event| !only_failed || event.status.ends_with("FAILED"));
    Ok(DescribeEventsOutput { operation_events: Some(events.map(shown).collect()), next_token: page.next })
}
