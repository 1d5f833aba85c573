//! Task definitions: registering, deregistering, describing.

use std::collections::BTreeMap;

use gantry_api::ecs::*;
use gantry_api::{ApiError, CallContext, FromValue, IntoValue};
use gantry_domain::task_definition::{
    FamilyCounter, LaunchType, TaskDefinition as DefinitionRecord, TaskDefinitionStatus,
};
use gantry_domain::{Change, Key, Stored, View};
use gantry_types::{Family, Ids, Value, arn};

use super::clusters::missing;
use super::definition::Parsed;
use super::names::{client, invalid, invalid_token, is_name, page_size, task_definition};
use super::tags::{check_tags, tags_of, tags_value};
use crate::Decision;
use crate::page::page;

/// The document of a task definition's record: what Describe gives back, and the tags beside it.
const DEFINITION: &str = "definition";

pub(super) fn register(
    view: &View,
    call: &CallContext,
    input: &RegisterTaskDefinitionRequest,
    _ids: &mut Ids,
) -> Decision<RegisterTaskDefinitionResponse> {
    if !is_name(&input.family, 255) {
        return Err(client("Family contains invalid characters, or is longer than 255."));
    }
    check_tags(call, input.tags.as_deref())?;
    let parsed = Parsed::parse(input)?;
    let (region, family) = (&call.region, Family::new(&input.family));
    let counter = view.get::<FamilyCounter>(&Key::family(region, &family));
    let revision = counter.map_or(0, |counter| counter.last_revision) + 1;
    let arn = arn("ecs", region.as_str(), &format!("task-definition/{family}:{revision}"));
    let shown = TaskDefinition {
        task_definition_arn: Some(arn.to_string()),
        family: Some(family.to_string()),
        revision: i32::try_from(revision).ok(),
        status: Some(TaskDefinitionStatus::Active.to_string()),
        registered_at: Some(call.now),
        registered_by: Some(call.principal.arn.clone()),
        ..parsed.shown
    };
    let mut document = Value::map();
    document.set(DEFINITION, shown.clone().into_value());
    document.set("tags", tags_value(input.tags.as_deref()));
    let record = DefinitionRecord {
        region: region.clone(),
        arn,
        family: family.clone(),
        revision,
        status: TaskDefinitionStatus::Active,
        network_mode: parsed.network_mode,
        requires_compatibilities: parsed.requires_compatibilities,
        cpu: parsed.cpu,
        memory: parsed.memory,
        containers: parsed.containers,
        volumes: parsed.volumes,
        task_role: input.task_role_arn.clone(),
        execution_role: input.execution_role_arn.clone(),
        registered_at: call.now,
        document,
    };
    let next = FamilyCounter { region: region.clone(), family, last_revision: revision };
    let count = match counter {
        Some(counter) => Change::update(next, counter.revision),
        None => Change::create(next),
    };
    let output = RegisterTaskDefinitionResponse {
        task_definition: Some(shown),
        tags: Some(input.tags.clone().unwrap_or_default()),
    };
    Ok((output, vec![count, Change::create(record)]))
}

/// What Describe shows of a record, with its present status.
pub(super) fn shown(record: &DefinitionRecord) -> Result<TaskDefinition, ApiError> {
    let document = record.document.get(DEFINITION).cloned().unwrap_or_default();
    let mut shown = TaskDefinition::from_value(&document).map_err(|mismatch| {
        ApiError::receiver("ServerException", format!("{} is damaged: {mismatch}", record.arn))
    })?;
    shown.status = Some(record.status.to_string());
    Ok(shown)
}

fn set_status(
    record: &DefinitionRecord,
    status: TaskDefinitionStatus,
    member: &str,
    call: &CallContext,
) -> DefinitionRecord {
    let mut record = record.clone();
    record.status = status;
    let mut definition = record.document.get(DEFINITION).cloned().unwrap_or_default();
    definition.set(member, call.now);
    record.document.set(DEFINITION, definition);
    record
}

pub(super) fn deregister(
    view: &View,
    call: &CallContext,
    input: &DeregisterTaskDefinitionRequest,
    _ids: &mut Ids,
) -> Decision<DeregisterTaskDefinitionResponse> {
    let text = &input.task_definition;
    if !has_revision(text) {
        return Err(client("Revision is missing."));
    }
    let found = task_definition(view, call, text)
        .filter(|found| found.status != TaskDefinitionStatus::DeleteInProgress)
        .ok_or_else(|| client("The specified task definition does not exist."))?;
    if found.status == TaskDefinitionStatus::Inactive {
        // As at AWS, deregistering twice is no mistake.
        let output = DeregisterTaskDefinitionResponse { task_definition: Some(shown(found.value())?) };
        return Ok((output, vec![]));
    }
    let record = set_status(found.value(), TaskDefinitionStatus::Inactive, "deregisteredAt", call);
    let output = DeregisterTaskDefinitionResponse { task_definition: Some(shown(&record)?) };
    Ok((output, vec![Change::update(record, found.revision)]))
}

/// Whether a family's name is followed by a revision.
fn has_revision(text: &str) -> bool {
    text.rsplit('/').next().is_some_and(|name| name.contains(':'))
}

/// Deletes inactive revisions. One that tasks or deployments still use stays, as DELETE_IN_PROGRESS.
pub(super) fn delete(
    view: &View,
    call: &CallContext,
    input: &DeleteTaskDefinitionsRequest,
    _ids: &mut Ids,
) -> Decision<DeleteTaskDefinitionsResponse> {
    if input.task_definitions.len() > 10 {
        return Err(invalid("Specified too many task definitions: at most 10."));
    }
    let (mut definitions, mut failures, mut changes) = (Vec::new(), Vec::new(), Vec::<Change>::new());
    for given in &input.task_definitions {
        let Some(found) = task_definition(view, call, given).filter(|_| has_revision(given)) else {
            failures.push(missing(given));
            continue;
        };
        let key = found.value().key();
        if changes.iter().any(|change| change.key == key) {
            continue;
        }
        if found.status == TaskDefinitionStatus::Active {
            let reason = "The specified task definition is still in ACTIVE status. Please deregister the target and try again.";
            failures.push(Failure { reason: Some(reason.to_owned()), ..missing(found.arn.as_str()) });
            continue;
        }
        let record =
            set_status(found.value(), TaskDefinitionStatus::DeleteInProgress, "deleteRequestedAt", call);
        definitions.push(shown(&record)?);
        if is_used(view, &record) {
            changes.push(Change::update(record, found.revision));
        } else {
            changes.push(Change::delete(key, found.revision));
        }
    }
    let output =
        DeleteTaskDefinitionsResponse { task_definitions: Some(definitions), failures: Some(failures) };
    Ok((output, changes))
}

fn is_used(view: &View, record: &DefinitionRecord) -> bool {
    let prefix = format!("{}/", record.region);
    let deployed = view
        .scan::<gantry_domain::service::Service>(&prefix)
        .any(|service| service.deployments.iter().any(|deployment| deployment.task_definition == record.arn));
    let running =
        || view.scan::<gantry_domain::task::Task>(&prefix).any(|task| task.task_definition == record.arn);
    deployed || running()
}

pub(super) fn describe(
    view: &View,
    call: &CallContext,
    input: &DescribeTaskDefinitionRequest,
) -> Result<DescribeTaskDefinitionResponse, ApiError> {
    let found = task_definition(view, call, &input.task_definition)
        .ok_or_else(|| client("Unable to describe task definition."))?;
    let with_tags = input.include.as_deref().unwrap_or_default().iter().any(|each| each == "TAGS");
    Ok(DescribeTaskDefinitionResponse {
        task_definition: Some(shown(found.value())?),
        tags: with_tags.then(|| tags_of(&found.document)),
    })
}

pub(super) fn list(
    view: &View,
    call: &CallContext,
    input: &ListTaskDefinitionsRequest,
) -> Result<ListTaskDefinitionsResponse, ApiError> {
    let status = status(input.status.as_deref())?;
    let descending = input.sort.as_deref() == Some("DESC");
    let definitions = view
        .scan::<DefinitionRecord>(&format!("{}/", call.region))
        .filter(|record| record.status == status)
        .filter(|record| {
            input.family_prefix.as_deref().is_none_or(|family| record.family.as_str() == family)
        });
    // The key sorts by family and number; descending pages count from the other end.
    let key = |record: &&DefinitionRecord| {
        let number = if descending { u32::MAX - record.revision } else { record.revision };
        format!("{}:{number:010}", record.family)
    };
    let mut records: Vec<&DefinitionRecord> = definitions.map(|record| record.value()).collect();
    records.sort_by_key(key);
    let size = page_size(input.max_results, 100, 100)?;
    let page = page(records, key, input.next_token.as_deref(), size, invalid_token)?;
    let arns = page.items.into_iter().map(|record| record.arn.to_string()).collect();
    Ok(ListTaskDefinitionsResponse { task_definition_arns: Some(arns), next_token: page.next })
}

fn status(given: Option<&str>) -> Result<TaskDefinitionStatus, ApiError> {
    match given {
        None => Ok(TaskDefinitionStatus::Active),
        Some(text) => {
            TaskDefinitionStatus::parse(text).ok_or_else(|| invalid(format!("Invalid status: {text}")))
        }
    }
}

pub(super) fn list_families(
    view: &View,
    call: &CallContext,
    input: &ListTaskDefinitionFamiliesRequest,
) -> Result<ListTaskDefinitionFamiliesResponse, ApiError> {
    let wanted = input.status.as_deref().unwrap_or("ALL");
    let prefix = input.family_prefix.as_deref().unwrap_or("");
    let records = view.scan::<DefinitionRecord>(&format!("{}/{prefix}", call.region));
    let mut families: BTreeMap<&str, bool> = BTreeMap::new();
    for record in records {
        *families.entry(record.value().family.as_str()).or_default() |=
            record.status == TaskDefinitionStatus::Active;
    }
    let is_wanted = |any_active: bool| match wanted {
        "ACTIVE" => any_active,
        "INACTIVE" => !any_active,
        _ => true,
    };
    let families = families
        .into_iter()
        .filter(|(_, any_active)| is_wanted(*any_active))
        .map(|(family, _)| family.to_owned());
    let size = page_size(input.max_results, 100, 100)?;
    let page = page(families, String::clone, input.next_token.as_deref(), size, invalid_token)?;
    Ok(ListTaskDefinitionFamiliesResponse { families: Some(page.items), next_token: page.next })
}

/// Whether the definition may run with this launch type.
pub(super) fn check_launch_type(record: &DefinitionRecord, launch_type: LaunchType) -> Result<(), ApiError> {
    let compatible = shown(record)?.compatibilities.unwrap_or_default();
    if compatible.iter().any(|each| each == launch_type.as_str()) {
        Ok(())
    } else {
        Err(invalid(format!("Task definition does not support launch_type {launch_type}.")))
    }
}
