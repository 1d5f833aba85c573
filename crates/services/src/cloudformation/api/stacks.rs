//! Creating and updating stacks.

use std::time::Duration;

use gantry_api::cloudformation::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::{Change, View};
use gantry_types::{Ids, arn};

use super::request::{Request, understand};
use super::{difference, refuse_url, stack, validation};
use crate::Decision;
use crate::cloudformation::records::{Journal, OnFailure, Stack as Record, StackStatus, Version};
use crate::objects::Found;

/// Stacks of a region, as AWS's default quota.
const STACKS_MAX: usize = 2000;
const NAME_CHARACTERS_MAX: usize = 128;
pub(super) const USER_INITIATED: &str = "User Initiated";
pub(super) const NO_UPDATES: &str = "No updates are to be performed.";

pub(in crate::cloudformation) fn create(
    view: &View,
    call: &CallContext,
    input: &CreateStackInput,
    ids: &mut Ids,
) -> Decision<CreateStackOutput> {
    refuse_url("StackPolicyURL", input.stack_policy_url.as_ref())?;
    check_name(&input.stack_name)?;
    if input.on_failure.is_some() && input.disable_rollback.is_some() {
        return Err(validation("Cannot specify both DisableRollback and OnFailure"));
    }
    let reviewed = match Record::find(view, &call.region, &input.stack_name)? {
        Some(found) if found.document.status == StackStatus::ReviewInProgress => Some(found),
        Some(found) => {
            let token =
                input.client_request_token.as_ref().map(|token| (token.clone(), "CreateStack".to_owned()));
            if token.is_some() && found.document.token == token {
                return Ok((
                    CreateStackOutput { stack_id: Some(found.document.id), operation_id: None },
                    vec![],
                ));
            }
            return Err(already_exists(&input.stack_name));
        }
        None => None,
    };
    let mut stack = match &reviewed {
        Some(found) => found.document.clone(),
        None => fresh(view, call, &input.stack_name, ids)?,
    };
    let request = Request {
        template_body: input.template_body.as_ref(),
        template_url: input.template_url.as_ref(),
        use_previous_template: false,
        parameters: input.parameters.as_deref().unwrap_or_default(),
        tags: input.tags.as_deref(),
        capabilities: input.capabilities.as_deref().unwrap_or_default(),
        notification_arns: input.notification_arns.as_deref(),
        role_arn: input.role_arn.as_ref(),
        resource_types: input.resource_types.as_deref().unwrap_or_default(),
    };
    let (version, _) = understand(view, call, &stack, &request, None)?;
    stack.on_failure = match (input.on_failure.as_deref(), input.disable_rollback) {
        (Some("DELETE"), _) => OnFailure::Delete,
        (Some("DO_NOTHING"), _) | (None, Some(true)) => OnFailure::DoNothing,
        _ => OnFailure::Rollback,
    };
    stack.timeout_minutes = input.timeout_in_minutes;
    stack.deadline = deadline(call, input.timeout_in_minutes);
    stack.is_protected = input.enable_termination_protection == Some(true);
    stack.retain_except_on_create = input.retain_except_on_create == Some(true);
    stack.policy = policy(input.stack_policy_body.as_ref())?;
    stack.token = input.client_request_token.clone().map(|token| (token, "CreateStack".to_owned()));
    let output = CreateStackOutput { stack_id: Some(stack.id.clone()), operation_id: None };
    let changes = begin(view, call, ids, stack, version, reviewed);
    Ok((output, changes))
}

pub(super) fn already_exists(name: &str) -> ApiError {
    errors::already_exists_exception(format!("Stack [{name}] already exists"))
}

fn check_name(name: &str) -> Result<(), ApiError> {
    let constraint = if name.chars().count() > NAME_CHARACTERS_MAX {
        "Member must have length less than or equal to 128"
    } else if name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    {
        return Ok(());
    } else {
        "Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
    };
    Err(validation(format!(
        "1 validation error detected: Value '{name}' at 'stackName' failed to satisfy constraint: {constraint}"
    )))
}

pub(super) fn policy(text: Option<&String>) -> Result<Option<String>, ApiError> {
    if let Some(text) = text {
        super::policies::check(text)?;
    }
    Ok(text.cloned())
}

fn deadline(call: &CallContext, minutes: Option<i32>) -> Option<gantry_types::Timestamp> {
    let minutes = u64::try_from(minutes?).ok()?;
    Some(call.now + Duration::from_secs(minutes.saturating_mul(60)))
}

/// A stack that does not exist yet.
pub(super) fn fresh(view: &View, call: &CallContext, name: &str, ids: &mut Ids) -> Result<Record, ApiError> {
    check_name(name)?;
    if Record::list(view, &call.region)?.len() >= STACKS_MAX {
        return Err(errors::limit_exceeded_exception(format!(
            "Limit for stack has been exceeded: {STACKS_MAX}"
        )));
    }
    let id = arn("cloudformation", call.region.as_str(), &format!("stack/{name}/{}", ids.uuid())).to_string();
    Ok(Record {
        id,
        name: name.to_owned(),
        region: call.region.clone(),
        status: StackStatus::ReviewInProgress,
        reason: Some(USER_INITIATED.to_owned()),
        created_at: call.now,
        updated_at: None,
        deleted_at: None,
        caller: call.principal.arn.clone(),
        version: None,
        target: None,
        versions: 0,
        operation: 0,
        on_failure: OnFailure::Rollback,
        retain_except_on_create: false,
        timeout_minutes: None,
        deadline: None,
        is_protected: false,
        policy: None,
        policy_during_update: None,
        outputs: vec![],
        change_set_id: None,
        token: None,
        spared: vec![],
    })
}

/// Starts a creation or an update: `found` is the stack's record, if there is one.
pub(super) fn begin(
    view: &View,
    call: &CallContext,
    ids: &mut Ids,
    mut stack: Record,
    version: Version,
    found: Option<Found<Record>>,
) -> Vec<Change> {
    let is_creation = stack.version.is_none() && stack.operation == 0;
    stack.status = if is_creation { StackStatus::CreateInProgress } else { StackStatus::UpdateInProgress };
    stack.reason = Some(USER_INITIATED.to_owned());
    stack.caller.clone_from(&call.principal.arn);
    stack.versions += 1;
    stack.operation += 1;
    stack.target = Some(stack.versions);
    stack.spared = vec![];
    if !is_creation {
        stack.updated_at = Some(call.now);
    }
    let mut journal = Journal::new(view, &stack, call.now);
    journal.stack(ids, &stack);
    let mut changes = journal.changes;
    changes.push(version.create(&stack, stack.versions));
    changes.push(match found {
        Some(found) => Found { document: stack, ..found }.update(),
        None => stack.create(),
    });
    changes
}

pub(in crate::cloudformation) fn update(
    view: &View,
    call: &CallContext,
    input: &UpdateStackInput,
    ids: &mut Ids,
) -> Decision<UpdateStackOutput> {
    refuse_url("StackPolicyURL", input.stack_policy_url.as_ref())?;
    refuse_url("StackPolicyDuringUpdateURL", input.stack_policy_during_update_url.as_ref())?;
    let found = stack(view, call, &input.stack_name)?;
    let mut stack = found.document.clone();
    let token = input.client_request_token.clone().map(|token| (token, "UpdateStack".to_owned()));
    if token.is_some() && stack.token == token {
        return Ok((UpdateStackOutput { stack_id: Some(stack.id), operation_id: None }, vec![]));
    }
    check_updatable(&stack)?;
    let before = last_version(view, &stack)?;
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
    let (version, plan) = understand(view, call, &stack, &request, Some(&before))?;
    check_same_types(view, &stack, &plan)?;
    let is_sound = !matches!(stack.status, StackStatus::CreateFailed | StackStatus::UpdateFailed);
    if is_sound && !difference::is_update(view, &stack, &plan, &before, &version)? {
        return Err(validation(NO_UPDATES));
    }
    stack.on_failure =
        if input.disable_rollback == Some(true) { OnFailure::DoNothing } else { OnFailure::Rollback };
    stack.retain_except_on_create = input.retain_except_on_create == Some(true);
    if input.stack_policy_body.is_some() {
        stack.policy = policy(input.stack_policy_body.as_ref())?;
    }
    stack.policy_during_update = policy(input.stack_policy_during_update_body.as_ref())?;
    stack.token = token;
    stack.deadline = None;
    let output = UpdateStackOutput { stack_id: Some(stack.id.clone()), operation_id: None };
    let changes = begin(view, call, ids, stack, version, Some(found));
    Ok((output, changes))
}

pub(super) fn check_updatable(stack: &Record) -> Result<(), ApiError> {
    if stack.status.takes_update() {
        return Ok(());
    }
    let (id, status) = (&stack.id, stack.status.as_str());
    Err(validation(format!("Stack:{id} is in {status} state and can not be updated.")))
}

/// The version that a request's "previous" means.
pub(super) fn last_version(view: &View, stack: &Record) -> Result<Version, ApiError> {
    let number = stack.version.or(stack.target).unwrap_or(0);
    let found = Version::find(view, stack, number)?;
    found.map(|found| found.document).ok_or_else(|| {
        ApiError::receiver("InternalFailure", format!("The template of stack {} is missing.", stack.name))
    })
}

pub(super) fn check_same_types(
    view: &View,
    stack: &Record,
    plan: &crate::cloudformation::plan::Plan,
) -> Result<(), ApiError> {
    let mut changed = Vec::new();
    for found in crate::cloudformation::records::Resource::list(view, stack)? {
        let resource = found.document;
        let new = plan.evaluation.resource(&resource.logical_id);
        if !resource.is_gone() && new.is_some_and(|new| new.resource_type != resource.now.resource_type) {
            changed.push(resource.logical_id);
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    Err(validation(format!(
        "Update of resource type is not permitted. The new template modifies resource type of the following resources: [{}]",
        changed.join(", ")
    )))
}
