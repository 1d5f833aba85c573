//! Signals from what a creation policy waits for.

use gantry_api::CallContext;
use gantry_api::cloudformation::SignalResourceInput;
use gantry_domain::View;
use gantry_types::Ids;

use super::{stack, validation};
use crate::Decision;
use crate::cloudformation::records::{Journal, Resource, ResourceStatus, Signal};

/// Signals of one resource.
const SIGNALS_MAX: usize = 1000;

pub(in crate::cloudformation) fn signal(
    view: &View,
    call: &CallContext,
    input: &SignalResourceInput,
    ids: &mut Ids,
) -> Decision<()> {
    let stack = stack(view, call, &input.stack_name)?.document;
    let id = &input.logical_resource_id;
    let found = Resource::find(view, &stack, id)?
        .ok_or_else(|| validation(format!("Resource {id} does not exist for stack {}", stack.name)))?;
    let mut resource = found.document;
    if !matches!(resource.status, ResourceStatus::CreateInProgress | ResourceStatus::UpdateInProgress) {
        return Err(validation(format!(
            "Resource {id} is in {} state and cannot be signaled",
            resource.status.as_str()
        )));
    }
    let there = Signal::list(view, &stack, id)?;
    // The same once more changes nothing.
    if there.iter().any(|signal| signal.document.unique_id == input.unique_id) {
        return Ok(((), vec![]));
    }
    if there.len() >= SIGNALS_MAX {
        return Err(validation(format!("Resource {id} cannot be signaled more than {SIGNALS_MAX} times")));
    }
    let status = &input.status;
    resource.reason = Some(format!("Received {status} signal with UniqueId {}", input.unique_id));
    let mut journal = Journal::new(view, &stack, call.now);
    journal.resource(ids, &resource);
    let mut changes = journal.changes;
    let signal = Signal { unique_id: input.unique_id.clone(), is_success: status == "SUCCESS", at: call.now };
    changes.push(signal.create(&stack, id));
    Ok(((), changes))
}
