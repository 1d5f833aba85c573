//! What else is done to stacks: deleting, taking back, going on, protecting.

use gantry_api::cloudformation::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::{Change, View};
use gantry_types::Ids;

use super::stacks::USER_INITIATED;
use super::{stack, validation};
use crate::Decision;
use crate::cloudformation::records::{Journal, Resource, ResourceStatus, Stack as Record, StackStatus};
use crate::objects::Found;

/// Moves a stack on by order of the caller.
fn order(
    view: &View,
    call: &CallContext,
    ids: &mut Ids,
    found: Found<Record>,
    status: StackStatus,
    edit: impl FnOnce(&mut Record),
) -> Vec<Change> {
    let mut stack = found.document.clone();
    stack.status = status;
    stack.reason = Some(USER_INITIATED.to_owned());
    stack.caller.clone_from(&call.principal.arn);
    stack.deadline = None;
    edit(&mut stack);
    let mut journal = Journal::new(view, &stack, call.now);
    journal.stack(ids, &stack);
    let mut changes = journal.changes;
    changes.push(Found { document: stack, ..found }.update());
    changes
}

fn token(given: Option<&String>, operation: &str) -> Option<(String, String)> {
    given.map(|token| (token.clone(), operation.to_owned()))
}

pub(in crate::cloudformation) fn delete(
    view: &View,
    call: &CallContext,
    input: &DeleteStackInput,
    ids: &mut Ids,
) -> Decision<()> {
    // That there is none is as it shall be.
    let Ok(found) = stack(view, call, &input.stack_name) else { return Ok(((), vec![])) };
    let (name, id) = (&found.document.name, &found.document.id);
    if found.document.is_protected {
        return Err(validation(format!(
            "Stack [{name}] cannot be deleted while TerminationProtection is enabled"
        )));
    }
    let status = found.document.status;
    let retained = input.retain_resources.clone().unwrap_or_default();
    if !retained.is_empty() && status != StackStatus::DeleteFailed {
        return Err(validation(format!(
            "Invalid operation on stack [{id}]. When you delete a stack, specify which resources to retain only when the stack is in the DELETE_FAILED state."
        )));
    }
    match status {
        StackStatus::DeleteInProgress => return Ok(((), vec![])),
        StackStatus::UpdateInProgress
        | StackStatus::UpdateCompleteCleanupInProgress
        | StackStatus::UpdateRollbackInProgress
        | StackStatus::UpdateRollbackCompleteCleanupInProgress => {
            return Err(validation(format!(
                "Stack [{name}] cannot be deleted while in status {}",
                status.as_str()
            )));
        }
        _ => {}
    }
    let mut spared = retained;
    if input.deletion_mode.as_deref() == Some("FORCE_DELETE_STACK") {
        if status != StackStatus::DeleteFailed {
            return Err(validation(format!(
                "Invalid operation on stack [{id}]. A stack can be deleted by force only when it is in the DELETE_FAILED state."
            )));
        }
        let resources = Resource::list(view, &found.document)?.into_iter().map(|found| found.document);
        let failed = resources.filter(|resource| resource.status == ResourceStatus::DeleteFailed);
        spared.extend(failed.map(|resource| resource.logical_id));
    }
    for id in &spared {
        if Resource::find(view, &found.document, id)?.is_none() {
            return Err(validation(format!(
                "The specified resource [{id}] to retain does not exist in the stack"
            )));
        }
    }
    let changes = order(view, call, ids, found, StackStatus::DeleteInProgress, |stack| {
        stack.spared = spared;
        stack.token = token(input.client_request_token.as_ref(), "DeleteStack");
    });
    Ok(((), changes))
}

pub(in crate::cloudformation) fn cancel_update(
    view: &View,
    call: &CallContext,
    input: &CancelUpdateStackInput,
    ids: &mut Ids,
) -> Decision<()> {
    let found = stack(view, call, &input.stack_name)?;
    if found.document.status != StackStatus::UpdateInProgress {
        return Err(validation("CancelUpdateStack cannot be called from current stack status"));
    }
    let changes = order(view, call, ids, found, StackStatus::UpdateRollbackInProgress, |stack| {
        stack.token = token(input.client_request_token.as_ref(), "CancelUpdateStack");
    });
    Ok(((), changes))
}

pub(in crate::cloudformation) fn continue_rollback(
    view: &View,
    call: &CallContext,
    input: &ContinueUpdateRollbackInput,
    ids: &mut Ids,
) -> Decision<ContinueUpdateRollbackOutput> {
    let found = stack(view, call, &input.stack_name)?;
    if found.document.status != StackStatus::UpdateRollbackFailed {
        return Err(not_rolled_back(&found.document));
    }
    let skipped = input.resources_to_skip.clone().unwrap_or_default();
    for id in &skipped {
        let resource = Resource::find(view, &found.document, id)?.map(|found| found.document);
        if resource.is_none_or(|resource| resource.status != ResourceStatus::UpdateFailed) {
            return Err(validation(format!(
                "The following resources cannot be skipped: [{id}]. Only resources in the UPDATE_FAILED state can be."
            )));
        }
    }
    let changes = order(view, call, ids, found, StackStatus::UpdateRollbackInProgress, |stack| {
        stack.spared = skipped;
        stack.token = token(input.client_request_token.as_ref(), "ContinueUpdateRollback");
    });
    Ok((ContinueUpdateRollbackOutput {}, changes))
}

fn not_rolled_back(stack: &Record) -> ApiError {
    let (id, status) = (&stack.id, stack.status.as_str());
    validation(format!("Stack:{id} is in {status} state and can not be rolled back."))
}

pub(in crate::cloudformation) fn roll_back(
    view: &View,
    call: &CallContext,
    input: &RollbackStackInput,
    ids: &mut Ids,
) -> Decision<RollbackStackOutput> {
    let found = stack(view, call, &input.stack_name)?;
    let status = match found.document.status {
        StackStatus::CreateFailed => StackStatus::RollbackInProgress,
        StackStatus::UpdateFailed if found.document.version.is_some() => {
            StackStatus::UpdateRollbackInProgress
        }
        StackStatus::UpdateFailed => StackStatus::RollbackInProgress,
        _ => return Err(not_rolled_back(&found.document)),
    };
    let id = found.document.id.clone();
    let changes = order(view, call, ids, found, status, |stack| {
        stack.retain_except_on_create = input.retain_except_on_create == Some(true);
        stack.token = token(input.client_request_token.as_ref(), "RollbackStack");
    });
    Ok((RollbackStackOutput { stack_id: Some(id), operation_id: None }, changes))
}

pub(in crate::cloudformation) fn protect(
    view: &View,
    call: &CallContext,
    input: &UpdateTerminationProtectionInput,
    _ids: &mut Ids,
) -> Decision<UpdateTerminationProtectionOutput> {
    let mut found = stack(view, call, &input.stack_name)?;
    found.document.is_protected = input.enable_termination_protection;
    let output = UpdateTerminationProtectionOutput { stack_id: Some(found.document.id.clone()) };
    Ok((output, vec![found.update()]))
}
