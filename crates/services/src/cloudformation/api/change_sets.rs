//! Change sets: a version that waits for its execution.

use gantry_api::cloudformation::*;
use gantry_api::{ApiError, CallContext, FromValue, IntoValue};
use gantry_domain::View;
use gantry_types::{Ids, arn};

use super::request::{Request, shown_parameters, shown_tags, understand};
use super::stacks::{already_exists, begin, check_same_types, check_updatable, fresh, last_version};
use super::{PAGE_SIZE, difference, invalid_token, no_stack, stack, validation};
use crate::Decision;
use crate::cloudformation::records::{
    ChangeSet, ChangeSetStatus, ExecutionStatus, Journal, OnFailure, Stack as Record, StackStatus,
};
use crate::objects::Found;
use crate::page::page;

/// Change sets of one stack.
const CHANGE_SETS_MAX: usize = 1000;
const NO_CHANGES: &str =
    "The submitted information didn't contain changes. Submit different information to create a change set.";
const NO_CHANGES_TRANSFORMED: &str = "No updates are to be performed.";

pub(in crate::cloudformation) fn create(
    view: &View,
    call: &CallContext,
    input: &CreateChangeSetInput,
    ids: &mut Ids,
) -> Decision<CreateChangeSetOutput> {
    refuse_unserved(input)?;
    let found = Record::find_any(view, &call.region, &input.stack_name)?
        .filter(|found| found.document.deleted_at.is_none());
    let is_creation = match input.change_set_type.as_deref() {
        Some("CREATE") => true,
        Some("IMPORT") => return Err(validation("Gantry does not import resources into stacks yet.")),
        _ => false,
    };
    let (stack, found) = match (found, is_creation) {
        (Some(found), true) if found.document.status != StackStatus::ReviewInProgress => {
            return Err(already_exists(&found.document.name));
        }
        (Some(found), _) => (found.document.clone(), Some(found)),
        (None, true) => (fresh(view, call, &input.stack_name, ids)?, None),
        (None, false) => return Err(validation(format!("Stack [{}] does not exist", input.stack_name))),
    };
    if !is_creation {
        check_updatable(&stack)?;
    }
    let existing = ChangeSet::list(view, &stack)?;
    let same = existing.iter().position(|set| set.name == input.change_set_name);
    let replaced = match same.map(|index| &existing[index]) {
        None => None,
        Some(same) if input.client_token.is_some() && same.document.client_token == input.client_token => {
            let output =
                CreateChangeSetOutput { id: Some(same.document.id.clone()), stack_id: Some(stack.id) };
            return Ok((output, vec![]));
        }
        // The AWS CLI names change sets by the second, and here several fit into one.
        Some(same) if is_done(&same.document) => Some(same),
        Some(_) => {
            return Err(errors::already_exists_exception(format!(
                "ChangeSet {} cannot be created due to a mismatch with existing attribute Name",
                input.change_set_name
            )));
        }
    };
    if existing.len() >= CHANGE_SETS_MAX {
        return Err(errors::limit_exceeded_exception(format!(
            "Limit for change sets has been exceeded: {CHANGE_SETS_MAX}"
        )));
    }
    let before = if is_creation { None } else { Some(last_version(view, &stack)?) };
    let request = Request {
        template_body: input.template_body.as_ref(),
        template_url: input.template_url.as_ref(),
        use_previous_template: input.use_previous_template == Some(true),
        parameters: input.parameters.as_deref().unwrap_or_default(),
        tags: input.tags.as_deref(),
        capabilities: input.capabilities.as_deref().unwrap_or_default(),
        notification_arns: input.notification_arns.as_deref(),
        role_arn: input.role_arn.as_ref(),
        resource_types: input.resource_types.as_deref().unwrap_or_default(),
    };
    let (version, plan) = understand(view, call, &stack, &request, before.as_ref())?;
    check_same_types(view, &stack, &plan)?;
    let changes = difference::changes(view, &stack, &plan)?;
    let has_changes = match &before {
        None => true,
        Some(before) => difference::is_update(view, &stack, &plan, before, &version)?,
    };
    let no_changes =
        if plan.evaluation.template().transforms.is_empty() { NO_CHANGES } else { NO_CHANGES_TRANSFORMED };
    let name = &input.change_set_name;
    let resource = format!("changeSet/{name}/{}", ids.uuid());
    let set = ChangeSet {
        id: arn("cloudformation", call.region.as_str(), &resource).to_string(),
        name: name.clone(),
        description: input.description.clone(),
        created_at: call.now,
        status: if has_changes { ChangeSetStatus::CreateComplete } else { ChangeSetStatus::Failed },
        reason: (!has_changes).then(|| no_changes.to_owned()),
        execution: if has_changes { ExecutionStatus::Available } else { ExecutionStatus::Unavailable },
        is_creation,
        on_failure: match input.on_stack_failure.as_deref() {
            Some("DO_NOTHING") => Some(OnFailure::DoNothing),
            Some("DELETE") => Some(OnFailure::Delete),
            Some(_) => Some(OnFailure::Rollback),
            None => None,
        },
        client_token: input.client_token.clone(),
        version,
        changes: changes.into_value(),
        operation: stack.operation,
    };
    let output = CreateChangeSetOutput { id: Some(set.id.clone()), stack_id: Some(stack.id.clone()) };
    let mut commit = vec![match replaced {
        Some(old) => {
            Found { document: set, revision: old.revision, class: old.class.clone(), name: old.name.clone() }
                .update()
        }
        None => set.create(&stack),
    }];
    match found {
        Some(found) => commit.push(found.check()),
        None => {
            let mut journal = Journal::new(view, &stack, call.now);
            journal.stack(ids, &stack);
            commit.append(&mut journal.changes);
            commit.push(stack.create());
        }
    }
    Ok((output, commit))
}

/// Nothing can be done with it any more but to read it.
fn is_done(set: &ChangeSet) -> bool {
    set.status == ChangeSetStatus::Failed || set.execution == ExecutionStatus::ExecuteComplete
}

fn refuse_unserved(input: &CreateChangeSetInput) -> Result<(), ApiError> {
    let unserved = [
        ("ResourcesToImport", input.resources_to_import.as_ref().is_some_and(|list| !list.is_empty())),
        ("ImportExistingResources", input.import_existing_resources == Some(true)),
        ("IncludeNestedStacks", input.include_nested_stacks == Some(true)),
        ("DeploymentMode", input.deployment_mode.is_some()),
    ];
    match unserved.iter().find(|(_, is_set)| *is_set) {
        None => Ok(()),
        Some((name, _)) => Err(validation(format!("Gantry does not support {name} of change sets yet."))),
    }
}

/// A change set by its name and stack, or by its id alone.
pub(super) fn find(
    view: &View,
    call: &CallContext,
    stack_name: Option<&str>,
    name: &str,
) -> Result<(Found<Record>, Found<ChangeSet>), ApiError> {
    let missing = || errors::change_set_not_found_exception(format!("ChangeSet [{name}] does not exist"));
    let is_id = name.starts_with("arn:");
    let stacks = match stack_name {
        Some(stack_name) => vec![
            stack(view, call, stack_name)
                .map_err(|_| if is_id { missing() } else { no_stack(stack_name) })?,
        ],
        None if is_id => Record::list(view, &call.region)?,
        None => {
            return Err(validation(
                "StackName must be specified if ChangeSetName is not specified as an ARN.",
            ));
        }
    };
    let plain = if is_id { name.rsplit('/').nth(1).unwrap_or("") } else { name };
    for stack in stacks {
        let found = ChangeSet::find(view, &stack.document, plain)?;
        if let Some(set) = found.filter(|set| !is_id || set.document.id == name) {
            return Ok((stack, set));
        }
    }
    Err(missing())
}

/// How a change set can be executed by now: one that was computed on an earlier state of the stack cannot.
fn execution(stack: &Record, set: &ChangeSet) -> ExecutionStatus {
    match set.execution {
        ExecutionStatus::Available if set.operation != stack.operation => ExecutionStatus::Obsolete,
        other => other,
    }
}

pub(in crate::cloudformation) fn describe(
    view: &View,
    call: &CallContext,
    input: &DescribeChangeSetInput,
) -> Result<DescribeChangeSetOutput, ApiError> {
    let (stack, set) = find(view, call, input.stack_name.as_deref(), &input.change_set_name)?;
    let (stack, set) = (stack.document, set.document);
    let changes: Vec<(usize, Change)> = Vec::<Change>::from_value(&set.changes)
        .map_err(|mismatch| ApiError::receiver("InternalFailure", mismatch.to_string()))?
        .into_iter()
        .enumerate()
        .collect();
    let page = page(
        changes,
        |(index, _)| format!("{index:06}"),
        input.next_token.as_deref(),
        PAGE_SIZE,
        invalid_token,
    )?;
    Ok(DescribeChangeSetOutput {
        change_set_id: Some(set.id.clone()),
        change_set_name: Some(set.name.clone()),
        stack_id: Some(stack.id.clone()),
        stack_name: Some(stack.name.clone()),
        description: set.description.clone(),
        parameters: Some(shown_parameters(&set.version)),
        creation_time: Some(set.created_at),
        execution_status: Some(execution(&stack, &set).as_str().to_owned()),
        status: Some(set.status.as_str().to_owned()),
        status_reason: set.reason.clone(),
        notification_arns: Some(set.version.notification_arns.clone()),
        rollback_configuration: Some(RollbackConfiguration::default()),
        capabilities: Some(set.version.capabilities.clone()),
        tags: Some(shown_tags(&set.version)),
        changes: Some(page.items.into_iter().map(|(_, change)| change).collect()),
        next_token: page.next,
        include_nested_stacks: Some(false),
        ..Default::default()
    })
}

pub(in crate::cloudformation) fn list(
    view: &View,
    call: &CallContext,
    input: &ListChangeSetsInput,
) -> Result<ListChangeSetsOutput, ApiError> {
    let stack = stack(view, call, &input.stack_name)?.document;
    let sets = ChangeSet::list(view, &stack)?.into_iter().map(|found| found.document);
    let page = page(sets, |set| set.name.clone(), input.next_token.as_deref(), PAGE_SIZE, invalid_token)?;
    let summary = |set: ChangeSet| ChangeSetSummary {
        stack_id: Some(stack.id.clone()),
        stack_name: Some(stack.name.clone()),
        execution_status: Some(execution(&stack, &set).as_str().to_owned()),
        change_set_id: Some(set.id),
        change_set_name: Some(set.name),
        status: Some(set.status.as_str().to_owned()),
        status_reason: set.reason,
        creation_time: Some(set.created_at),
        description: set.description,
        include_nested_stacks: Some(false),
        ..Default::default()
    };
    Ok(ListChangeSetsOutput {
        summaries: Some(page.items.into_iter().map(summary).collect()),
        next_token: page.next,
    })
}

pub(in crate::cloudformation) fn delete(
    view: &View,
    call: &CallContext,
    input: &DeleteChangeSetInput,
    _ids: &mut Ids,
) -> Decision<DeleteChangeSetOutput> {
    match find(view, call, input.stack_name.as_deref(), &input.change_set_name) {
        Ok((_, set)) => Ok((DeleteChangeSetOutput {}, vec![set.delete()])),
        // That there is none is as it shall be.
        Err(error) if error.code == "ChangeSetNotFound" => Ok((DeleteChangeSetOutput {}, vec![])),
        Err(error) => Err(error),
    }
}

pub(in crate::cloudformation) fn execute(
    view: &View,
    call: &CallContext,
    input: &ExecuteChangeSetInput,
    ids: &mut Ids,
) -> Decision<ExecuteChangeSetOutput> {
    let (found, set) = find(view, call, input.stack_name.as_deref(), &input.change_set_name)?;
    let execution = execution(&found.document, &set.document);
    if execution != ExecutionStatus::Available {
        return Err(errors::invalid_change_set_status_exception(format!(
            "ChangeSet [{}] cannot be executed in its current execution status of [{}]",
            set.document.id,
            execution.as_str()
        )));
    }
    let mut stack = found.document.clone();
    let is_ready = match set.document.is_creation {
        true => stack.status == StackStatus::ReviewInProgress,
        false => stack.status.takes_update(),
    };
    if !is_ready {
        check_updatable(&stack)?;
    }
    stack.on_failure = match (set.document.on_failure, input.disable_rollback) {
        (Some(on_failure), _) => on_failure,
        (None, Some(true)) => OnFailure::DoNothing,
        (None, _) => OnFailure::Rollback,
    };
    stack.retain_except_on_create = input.retain_except_on_create == Some(true);
    stack.change_set_id = Some(set.document.id.clone());
    stack.token = input.client_request_token.clone().map(|token| (token, "ExecuteChangeSet".to_owned()));
    stack.deadline = None;
    let version = set.document.version.clone();
    let mut changes = begin(view, call, ids, stack, version, Some(found));
    let executed = ChangeSet { execution: ExecutionStatus::ExecuteComplete, ..set.document.clone() };
    changes.push(Found { document: executed, ..set }.update());
    Ok((ExecuteChangeSetOutput {}, changes))
}
