//! One stack's task: phase after phase, until nothing is left to do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gantry_template::OutputValue;
use gantry_types::Timestamp;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::limits::{FAILURE_PAUSE, FAILURES_MAX, LOOK_INTERVAL_MIN, RESOURCES_OF_STACK_AT_ONCE_MAX};
use super::making::{self, Made};
use super::removal::{Extent, Ground, remove_all};
use super::restoring::{restore_all, settle_all};
use super::site::{Halt, Site};
use super::{retention, sharing, waiting};
use crate::Context;
use crate::cloudformation::plan::Plan;
use crate::cloudformation::policy::Action;
use crate::cloudformation::records::{
    OnFailure, Output, Resource, ResourceStatus, Stack, StackStatus, Version,
};
use crate::objects::Found;

/// Works on the stack until it is in no status in progress.
pub(super) async fn work(context: Arc<Context>, permits: Arc<Semaphore>, stack: Stack) {
    let mut failures = 0;
    while failures < FAILURES_MAX {
        // Each phase calls for whoever ordered it.
        let found = Site::new(Arc::clone(&context), Arc::clone(&permits), &stack).stack();
        let Ok(current) = found else { return };
        if !current.status.is_in_progress() {
            return;
        }
        let site = Site::new(Arc::clone(&context), Arc::clone(&permits), &current);
        match phase(&site, current).await {
            Ok(()) => failures = 0,
            Err(Halt::Moved) => {
                failures += 1;
                sleep(LOOK_INTERVAL_MIN).await;
            }
            Err(Halt::Store(error)) => {
                tracing::warn!(stack = stack.name, "the stack waits: {error}");
                failures += 1;
                sleep(FAILURE_PAUSE).await;
            }
        }
    }
}

async fn phase(site: &Site, stack: Stack) -> Result<(), Halt> {
    match stack.status {
        StackStatus::CreateInProgress | StackStatus::UpdateInProgress => forward(site, stack).await,
        StackStatus::RollbackInProgress => roll_back_creation(site, stack).await,
        StackStatus::UpdateRollbackInProgress => roll_back_update(site, stack).await,
        StackStatus::UpdateCompleteCleanupInProgress
        | StackStatus::UpdateRollbackCompleteCleanupInProgress => clean_up(site, stack).await,
        StackStatus::DeleteInProgress => delete(site, stack).await,
        StackStatus::CreateFailed
        | StackStatus::CreateComplete
        | StackStatus::RollbackFailed
        | StackStatus::RollbackComplete
        | StackStatus::DeleteFailed
        | StackStatus::DeleteComplete
        | StackStatus::UpdateComplete
        | StackStatus::UpdateFailed
        | StackStatus::UpdateRollbackFailed
        | StackStatus::UpdateRollbackComplete
        | StackStatus::ReviewInProgress => Ok(()),
    }
}

/// A version of the stack, understood. The inner error is the reason why it cannot be.
fn plan_of(site: &Site, stack: &Stack, number: Option<u64>) -> Result<Result<Plan, String>, Halt> {
    let version = site.context.read(|view| match number {
        None => Ok(None),
        Some(number) => Version::find(view, stack, number),
    })?;
    Ok(match version {
        None => Err("The stack's template is missing.".to_owned()),
        Some(found) => Plan::new(stack, &found.document).map_err(|error| error.to_string()),
    })
}

/// Creation and update.
async fn forward(site: &Site, stack: Stack) -> Result<(), Halt> {
    let plan = match plan_of(site, &stack, stack.target)? {
        Ok(plan) => Arc::new(plan),
        Err(reason) => return give_up(site, &stack, &reason).await,
    };
    let imports = match plan.imports() {
        Ok(imports) => imports,
        Err(failure) => return give_up(site, &stack, failure.message()).await,
    };
    if let Err(reason) = sharing::import(site, &imports).await? {
        return give_up(site, &stack, &reason).await;
    }
    let refused = refuse_before_anything(site, &stack, &plan).await?;
    let outcome = if refused { Walked::Done } else { walk(site, &stack, &plan).await? };
    let resources = site.resources()?;
    if let Some(reason) = failures(&stack, &resources) {
        return give_up(site, &stack, &reason).await;
    }
    if let Walked::TimedOut = outcome {
        let what = if stack.status == StackStatus::CreateInProgress { "creation" } else { "update" };
        return give_up(site, &stack, &format!("Stack {what} time exceeded the specified timeout.")).await;
    }
    let outputs = match site.context.read(|view| plan.outputs(view, &stack)) {
        Ok(outputs) => outputs,
        Err(failure) => return give_up(site, &stack, failure.message()).await,
    };
    if let Err(reason) = sharing::export(site, &exports(&outputs)).await? {
        return give_up(site, &stack, &reason).await;
    }
    let is_creation = stack.status == StackStatus::CreateInProgress;
    if is_creation {
        settle_all(site).await?;
    }
    let outputs: Vec<Output> = outputs.into_iter().map(shown).collect();
    site.turn(stack.status, |_, stack| {
        stack.status = if is_creation {
            StackStatus::CreateComplete
        } else {
            StackStatus::UpdateCompleteCleanupInProgress
        };
        stack.reason = None;
        stack.version = stack.target.take().or(stack.version);
        stack.outputs.clone_from(&outputs);
        stack.deadline = None;
        Ok(vec![])
    })
    .await
}

fn shown(output: OutputValue) -> Output {
    let OutputValue { name, value, description, export_name } = output;
    Output { key: name, value, description, export: export_name }
}

fn exports(outputs: &[OutputValue]) -> BTreeMap<String, String> {
    let pair = |output: &OutputValue| Some((output.export_name.clone()?, output.value.clone()));
    outputs.iter().filter_map(pair).collect()
}

/// Finds what cannot be before anything is made. Whether something was found.
async fn refuse_before_anything(site: &Site, stack: &Stack, plan: &Plan) -> Result<bool, Halt> {
    let touched = |resource: &Resource| resource.touched_in == stack.operation;
    if site.resources()?.iter().any(touched) {
        return Ok(false);
    }
    let found = match site.context.read(|view| plan.check_all(view, stack)) {
        Ok(found) => found,
        Err(failure) => {
            tracing::warn!(stack = stack.name, "checking the template: {}", failure.message());
            return Ok(false);
        }
    };
    let removed = site.resources()?.into_iter().filter(|resource| {
        let id = resource.logical_id.as_str();
        !resource.is_gone() && !plan.has(id)
    });
    let denied = removed.filter_map(|resource| {
        let id = resource.logical_id;
        let failure = making::check_policy(stack, Action::Delete, &id, &resource.now).err()?;
        Some((id, failure))
    });
    let found: Vec<_> = found.into_iter().chain(denied).collect();
    for (id, failure) in &found {
        making::refuse(site, plan, id, failure).await?;
    }
    Ok(!found.is_empty())
}

enum Walked {
    Done,
    TimedOut,
}

/// Makes the resources in their order, until all are made, one fails, or the operation is given up. Nothing is under way
/// when it ends.
async fn walk(site: &Site, stack: &Stack, plan: &Arc<Plan>) -> Result<Walked, Halt> {
    let graph = plan.evaluation.graph();
    let (cancel, cancelled) = watch::channel(false);
    let (mut done, mut started) = (BTreeSet::new(), BTreeSet::new());
    let mut tasks = JoinSet::new();
    let mut interruption = Box::pin(interrupted(site, stack));
    let mut outcome = Ok(Walked::Done);
    loop {
        let is_given_up = *cancelled.borrow();
        for id in graph.ready(&done) {
            if !is_given_up && tasks.len() < RESOURCES_OF_STACK_AT_ONCE_MAX && started.insert(id.clone()) {
                let (site, plan, cancelled) = (site.clone(), Arc::clone(plan), cancelled.clone());
                tasks.spawn(async move {
                    let made = making::make(&site, &plan, &id, cancelled).await;
                    (id, made)
                });
            }
        }
        tokio::select! {
            ended = tasks.join_next() => match ended {
                None => return outcome,
                Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
                Some(Ok((id, Ok(Made::Complete)))) => {
                    done.insert(id);
                }
                Some(Ok((_, Ok(Made::Failed)))) => {
                    cancel.send_replace(true);
                }
                Some(Ok((_, Err(halt)))) => {
                    // The others end where they are; the next try goes on there.
                    outcome = Err(halt);
                    tasks.shutdown().await;
                    return outcome;
                }
            },
            why = &mut interruption, if !is_given_up => {
                outcome = why;
                cancel.send_replace(true);
            }
        }
    }
}

/// Ends when the stack is told to do something else, or its time is up.
async fn interrupted(site: &Site, stack: &Stack) -> Result<Walked, Halt> {
    let (_hold, mut never) = watch::channel(false);
    let look = || -> waiting::Look<'_, Walked, Halt> {
        Box::pin(async move {
            if site.stack()?.status != stack.status {
                return Err(Halt::Moved);
            }
            Ok(stack.deadline.filter(|deadline| *deadline <= Timestamp::now()).map(|_| Walked::TimedOut))
        })
    };
    let forever = std::time::Duration::from_secs(365 * 24 * 60 * 60);
    match waiting::until(&site.context, &mut never, forever, look).await? {
        waiting::Waited::Done(walked) => Ok(walked),
        waiting::Waited::TimedOut | waiting::Waited::Cancelled => Ok(Walked::TimedOut),
    }
}

/// Which resources failed in this operation, in AWS's words.
fn failures(stack: &Stack, resources: &[Resource]) -> Option<String> {
    let of = |status: ResourceStatus| -> Vec<&str> {
        let failed =
            |resource: &&Resource| resource.status == status && resource.touched_in == stack.operation;
        resources.iter().filter(failed).map(|resource| resource.logical_id.as_str()).collect()
    };
    let mut parts = Vec::new();
    for (status, verb) in [(ResourceStatus::CreateFailed, "create"), (ResourceStatus::UpdateFailed, "update")]
    {
        let ids = of(status);
        if !ids.is_empty() {
            parts.push(format!("The following resource(s) failed to {verb}: [{}].", ids.join(", ")));
        }
    }
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// The creation or update fails: what the caller wants then begins.
async fn give_up(site: &Site, stack: &Stack, reason: &str) -> Result<(), Halt> {
    let reason = reason.strip_suffix('.').unwrap_or(reason);
    let (status, reason) = match (stack.status, stack.on_failure) {
        (StackStatus::CreateInProgress, OnFailure::Rollback) => {
            (StackStatus::RollbackInProgress, format!("{reason}. Rollback requested by user."))
        }
        (StackStatus::CreateInProgress, OnFailure::Delete) => {
            (StackStatus::DeleteInProgress, format!("{reason}. Delete requested by user."))
        }
        (StackStatus::CreateInProgress, OnFailure::DoNothing) => {
            (StackStatus::CreateFailed, format!("{reason}."))
        }
        (_, OnFailure::DoNothing) => (StackStatus::UpdateFailed, format!("{reason}.")),
        (_, OnFailure::Rollback | OnFailure::Delete) => {
            (StackStatus::UpdateRollbackInProgress, format!("{reason}."))
        }
    };
    site.turn(stack.status, |_, stack| {
        stack.status = status;
        stack.reason = Some(reason.clone());
        stack.deadline = None;
        Ok(vec![])
    })
    .await
}

fn not_deleted(failed: &[String]) -> String {
    format!("The following resource(s) failed to delete: [{}].", failed.join(", "))
}

fn whole(resources: &[Resource]) -> BTreeMap<String, Extent> {
    resources.iter().map(|resource| (resource.logical_id.clone(), Extent::Whole)).collect()
}

/// Former things and new ones: when a stack goes, all of them do.
async fn unite(site: &Site) -> Result<Vec<Resource>, Halt> {
    settle_all(site).await?;
    site.resources()
}

async fn roll_back_creation(site: &Site, stack: Stack) -> Result<(), Halt> {
    let resources = unite(site).await?;
    let ground = if stack.retain_except_on_create { Ground::RolledBackWhole } else { Ground::RolledBack };
    let failed = remove_all(site, whole(&resources), ground, &[]).await?;
    sharing::release(site, &BTreeSet::new()).await?;
    // What is exported is in use by nobody: the stack was never complete.
    let _ = sharing::export(site, &BTreeMap::new()).await?;
    site.turn(stack.status, |_, stack| {
        (stack.status, stack.reason) = match failed.as_slice() {
            [] => (StackStatus::RollbackComplete, None),
            failed => (StackStatus::RollbackFailed, Some(not_deleted(failed))),
        };
        Ok(vec![])
    })
    .await
}

async fn roll_back_update(site: &Site, stack: Stack) -> Result<(), Halt> {
    let mut failed = restore_all(site, &stack.spared).await?;
    let exports: BTreeMap<String, String> = stack
        .outputs
        .iter()
        .filter_map(|output| Some((output.export.clone()?, output.value.clone())))
        .collect();
    let mut reason = None;
    if failed.is_empty() {
        reason = sharing::export(site, &exports).await?.err();
    }
    failed.sort_unstable();
    site.turn(stack.status, |_, stack| {
        (stack.status, stack.reason) = match (failed.as_slice(), &reason) {
            ([], None) => (StackStatus::UpdateRollbackCompleteCleanupInProgress, None),
            ([], Some(reason)) => (StackStatus::UpdateRollbackFailed, Some(reason.clone())),
            (failed, _) => (
                StackStatus::UpdateRollbackFailed,
                Some(format!("The following resource(s) failed to update: [{}].", failed.join(", "))),
            ),
        };
        if stack.status != StackStatus::UpdateRollbackFailed {
            stack.target = None;
        }
        Ok(vec![])
    })
    .await
}

/// After an update, or after one was taken back: what the stack has no use for goes.
async fn clean_up(site: &Site, stack: Stack) -> Result<(), Halt> {
    let is_update = stack.status == StackStatus::UpdateCompleteCleanupInProgress;
    let plan = plan_of(site, &stack, stack.version)?.ok();
    let ground = match (is_update, stack.retain_except_on_create) {
        (true, _) => Ground::Removed,
        (false, true) => Ground::RolledBackWhole,
        (false, false) => Ground::RolledBack,
    };
    if is_update {
        settle_all(site).await?;
    }
    let extent = |resource: &Resource| {
        // Without its template nothing of the stack is taken for superfluous.
        let is_dropped = if is_update {
            plan.as_ref().is_some_and(|plan| !plan.has(&resource.logical_id))
        } else {
            resource.is_new
        };
        match (is_dropped, resource.surplus.is_empty()) {
            (true, _) => Some(Extent::Dropped),
            (false, false) => Some(Extent::Surplus),
            (false, true) => None,
        }
    };
    let extents: BTreeMap<String, Extent> = site
        .resources()?
        .iter()
        .filter_map(|resource| Some((resource.logical_id.clone(), extent(resource)?)))
        .collect();
    let failed = remove_all(site, extents, ground, &[]).await?;
    if let Some(imports) = plan.and_then(|plan| plan.imports().ok()) {
        sharing::release(site, &imports).await?;
    }
    site.turn(stack.status, |view, stack| {
        stack.status =
            if is_update { StackStatus::UpdateComplete } else { StackStatus::UpdateRollbackComplete };
        let what = if is_update { "Update" } else { "Rollback" };
        stack.reason = (!failed.is_empty())
            .then(|| format!("{what} successful. One or more resources could not be deleted."));
        (stack.spared, stack.policy_during_update) = (vec![], None);
        let old = Version::list(view, stack)?.into_iter();
        let is_old =
            |found: &Found<Version>| stack.version.is_none_or(|number| found.name != format!("{number:010}"));
        Ok(old.filter(is_old).take(retention::CHANGES_MAX).map(|found| found.delete()).collect())
    })
    .await
}

async fn delete(site: &Site, stack: Stack) -> Result<(), Halt> {
    if let Err(reason) = sharing::export(site, &BTreeMap::new()).await? {
        return site
            .turn(stack.status, |_, stack| {
                (stack.status, stack.reason) = (StackStatus::DeleteFailed, Some(reason.clone()));
                Ok(vec![])
            })
            .await;
    }
    let resources = unite(site).await?;
    let failed = remove_all(site, whole(&resources), Ground::Removed, &stack.spared).await?;
    if failed.is_empty() {
        sharing::release(site, &BTreeSet::new()).await?;
        retention::clear_change_sets(site).await?;
        retention::make_room(site).await?;
    }
    let now = Timestamp::now();
    site.turn(stack.status, |_, stack| {
        (stack.status, stack.reason) = match failed.as_slice() {
            [] => (StackStatus::DeleteComplete, None),
            failed => (StackStatus::DeleteFailed, Some(not_deleted(failed))),
        };
        stack.spared = vec![];
        if failed.is_empty() {
            stack.deleted_at = Some(now);
        }
        Ok(vec![])
    })
    .await
}
