//! Forward: one resource becomes what the version says.

use std::time::Duration;

use gantry_domain::View;
use gantry_types::{Timestamp, Value};

use super::creation;
use super::limits::STABLE_WAIT_MAX;
use super::site::{Halt, Site, Trouble};
use super::waiting::{Cancelled, Look, Waited, until};
use crate::cloudformation::difference::{Verdict, compare};
use crate::cloudformation::failure::{Failure, HandlerErrorCode};
use crate::cloudformation::naming;
use crate::cloudformation::plan::Plan;
use crate::cloudformation::policy::{Action, Policy};
use crate::cloudformation::records::{Kept, Resource, ResourceStatus, Signal, Stack};
use crate::cloudformation::resource::Stability;

const REPLACING: &str =
    "Requested update requires the creation of a new physical resource; hence creating one.";

/// What became of a resource.
#[derive(Debug)]
pub(super) enum Made {
    Complete,
    Failed,
}

/// What the version asks of a resource.
#[expect(clippy::large_enum_variant, reason = "one at a time, and soon taken apart")]
enum Task {
    /// It is as it shall be.
    Nothing,
    /// It was begun in this operation: go on, or know how it ended.
    GoOn(Resource),
    Create(Kept),
    Update(Kept),
    Replace(Kept),
}

/// Makes the resource, from wherever it is.
pub(super) async fn make(site: &Site, plan: &Plan, id: &str, mut cancelled: Cancelled) -> Result<Made, Halt> {
    let _permit = site.permit().await;
    match begin(site, plan, id).await? {
        None => Ok(Made::Complete),
        Some(resource) => match resource.status {
            ResourceStatus::CreateFailed | ResourceStatus::UpdateFailed => Ok(Made::Failed),
            ResourceStatus::CreateComplete | ResourceStatus::UpdateComplete => Ok(Made::Complete),
            _ => match work(site, plan, resource, &mut cancelled).await {
                Ok(attributes) => complete(site, id, attributes).await.map(|()| Made::Complete),
                Err(Trouble::Halted(halt)) => Err(halt),
                Err(Trouble::Failed(failure)) => {
                    let reason = failure.reason(&site.context.uuid());
                    fail(site, id, &reason).await.map(|()| Made::Failed)
                }
                Err(Trouble::Cancelled) => cancel(site, id).await.map(|()| Made::Failed),
            },
        },
    }
}

/// Records what is to be done, with its event. None where nothing is.
async fn begin(site: &Site, plan: &Plan, id: &str) -> Result<Option<Resource>, Halt> {
    let names = naming::Random::new(&site.context);
    let now = Timestamp::now();
    site.commit(|view, ids, stack, journal| {
        let before = Resource::find(view, stack, id)?.map(|found| found.document);
        let (kept, old) = match task(view, plan, stack, id, before.as_ref(), &names) {
            Ok(Task::Nothing) => return Ok((None, vec![])),
            Ok(Task::GoOn(resource)) => return Ok((Some(resource), vec![])),
            Ok(Task::Create(kept)) => (Ok((kept, ResourceStatus::CreateInProgress, None)), before),
            Ok(Task::Update(kept)) => (Ok((kept, ResourceStatus::UpdateInProgress, None)), before),
            Ok(Task::Replace(kept)) => {
                (Ok((kept, ResourceStatus::UpdateInProgress, Some(REPLACING))), before)
            }
            Err(failure) => (Err(failure), before),
        };
        let mut resource = match kept {
            Ok((kept, status, reason)) => Resource {
                logical_id: id.to_owned(),
                status,
                reason: reason.map(str::to_owned),
                changed_at: now,
                began_at: now,
                now: kept,
                former: None,
                surplus: vec![],
                is_new: true,
                touched_in: stack.operation,
                was_tried: false,
            },
            Err(failure) => {
                let resource = refused(plan, stack, id, old, &failure, now, &ids.uuid());
                journal.resource(ids, &resource);
                return Ok((Some(resource.clone()), vec![resource.put(view, stack)]));
            }
        };
        if let Some(old) = old {
            resource.surplus = old.surplus;
            if resource.status == ResourceStatus::CreateInProgress {
                resource.settle(Some(old.now).filter(|_| !old.status.is_gone()));
            } else {
                resource.is_new = old.is_new;
                match old.former {
                    // An operation that failed and was left as it was: the way back leads to before it.
                    Some(former) => {
                        resource.settle(Some(old.now).filter(|now| now.physical_id != former.physical_id));
                        resource.former = Some(former);
                    }
                    None => resource.former = Some(old.now),
                }
            }
        }
        journal.resource(ids, &resource);
        Ok((Some(resource.clone()), vec![resource.put(view, stack)]))
    })
    .await
}

/// A resource that cannot even be asked for, or that a check before anything is made refuses.
pub(super) async fn refuse(site: &Site, plan: &Plan, id: &str, failure: &Failure) -> Result<(), Halt> {
    let now = Timestamp::now();
    site.commit(|view, ids, stack, journal| {
        let old = Resource::find(view, stack, id)?.map(|found| found.document);
        let resource = refused(plan, stack, id, old, failure, now, &ids.uuid());
        journal.resource(ids, &resource);
        Ok(((), vec![resource.put(view, stack)]))
    })
    .await
}

/// The thing that there is stays as it is.
fn refused(
    plan: &Plan,
    stack: &Stack,
    id: &str,
    old: Option<Resource>,
    failure: &Failure,
    now: Timestamp,
    token: &str,
) -> Resource {
    let there = old.filter(|old| !old.is_gone());
    let status = if there.is_some() { ResourceStatus::UpdateFailed } else { ResourceStatus::CreateFailed };
    let mut resource = there.unwrap_or_else(|| plan.absent(id, now));
    resource.status = status;
    resource.reason = Some(failure.reason(token));
    (resource.changed_at, resource.touched_in) = (now, stack.operation);
    resource
}

fn task(
    view: &View,
    plan: &Plan,
    stack: &Stack,
    id: &str,
    before: Option<&Resource>,
    names: &naming::Random,
) -> Result<Task, Failure> {
    let old = match before {
        Some(resource) if resource.touched_in == stack.operation => return Ok(Task::GoOn(resource.clone())),
        Some(resource) if resource.is_gone() || resource.status == ResourceStatus::CreateFailed => None,
        other => other,
    };
    let mut kept = plan.kept(view, stack, id)?;
    kept.generated_name = naming::generated(&kept.resource_type, &stack.name, id, names);
    kept.token = names.token();
    plan.check(id, &kept)?;
    let Some(old) = old else { return Ok(Task::Create(kept)) };
    // What a failed operation may have left half done is done again.
    let is_sound = old.former.is_none();
    match compare(&kept.resource_type, &old.now, &kept) {
        Verdict::Same if is_sound => Ok(Task::Nothing),
        Verdict::Same | Verdict::Update => {
            check_policy(stack, Action::Modify, id, &kept)?;
            kept.physical_id.clone_from(&old.now.physical_id);
            kept.generated_name.clone_from(&old.now.generated_name);
            kept.attributes = old.now.attributes.clone();
            Ok(Task::Update(kept))
        }
        Verdict::Replace => {
            check_policy(stack, Action::Replace, id, &kept)?;
            naming::check_replacement(&old.now, &kept)?;
            Ok(Task::Replace(kept))
        }
    }
}

/// Whether the stack's policy lets an update do this.
pub(super) fn check_policy(stack: &Stack, action: Action, id: &str, kept: &Kept) -> Result<(), Failure> {
    let text = stack.policy_during_update.as_ref().or(stack.policy.as_ref());
    let Some(Ok(policy)) = text.map(|text| Policy::parse(text)) else { return Ok(()) };
    policy.denies(action, id, &kept.resource_type).map_or(Ok(()), |reason| Err(Failure::plain(reason)))
}

/// Does what the record says is to be done. Gives the attributes of the thing once it is stable.
async fn work(
    site: &Site,
    plan: &Plan,
    mut resource: Resource,
    cancelled: &mut Cancelled,
) -> Result<Value, Trouble> {
    let is_made = resource.now.physical_id.is_some();
    if *cancelled.borrow() {
        return Err(Trouble::Cancelled);
    }
    if !is_made {
        resource = creation::create(site, &resource).await?;
    }
    let (kind, wanted) = site.wanted(&resource.logical_id, &resource.now)?;
    let thing = resource.now.physical_id.as_deref().unwrap_or("");
    match resource.former.as_ref().filter(|former| former.physical_id == resource.now.physical_id) {
        Some(former) => {
            let (_, old) = site.wanted(&resource.logical_id, former)?;
            kind.update(&site.caller, &wanted, thing, &old).await?;
        }
        None => kind.configure(&site.caller, &wanted, thing).await?,
    }
    let as_wanted = &wanted;
    let look = || -> Look<'_, (), Failure> {
        Box::pin(async move {
            let stability = kind.stability(&site.caller, as_wanted, thing).await?;
            Ok((stability == Stability::Stable).then_some(()))
        })
    };
    let stable = until(&site.context, cancelled, STABLE_WAIT_MAX, look);
    match stable.await? {
        Waited::Done(()) => {}
        Waited::Cancelled => return Err(Trouble::Cancelled),
        Waited::TimedOut => {
            return Err(Failure::handler(HandlerErrorCode::NotStabilized, "Exceeded attempts to wait").into());
        }
    }
    if resource.former.is_none() {
        await_signals(site, plan, &resource, cancelled).await?;
    }
    Ok(kind.read(&site.caller, &wanted, thing).await?)
}

/// Waits for what the creation policy asks for.
async fn await_signals(
    site: &Site,
    plan: &Plan,
    resource: &Resource,
    cancelled: &mut Cancelled,
) -> Result<(), Trouble> {
    let id = resource.logical_id.as_str();
    let stack = site.stack()?;
    let signals = site.context.read(|view| plan.signals(view, &stack, resource))?;
    let Some((count, timeout)) = signals else { return Ok(()) };
    let left = (resource.began_at + timeout).since(Timestamp::now());
    let stack = &stack;
    let received = || -> Look<'_, Result<(), String>, Halt> {
        Box::pin(async move {
            let signals = site.context.read(|view| Signal::list(view, stack, id))?;
            if let Some(failed) = signals.iter().find(|signal| !signal.document.is_success) {
                let unique = &failed.document.unique_id;
                return Ok(Some(Err(format!("Received FAILURE signal with UniqueId {unique}"))));
            }
            Ok((signals.len() >= count).then_some(Ok(())))
        })
    };
    match until(&site.context, cancelled, left.max(Duration::from_millis(1)), received).await? {
        Waited::Done(Ok(())) => Ok(()),
        Waited::Done(Err(reason)) => Err(Failure::plain(reason).into()),
        Waited::Cancelled => Err(Trouble::Cancelled),
        Waited::TimedOut => {
            let there = site.context.read(|view| Signal::list(view, stack, id))?.len();
            let missing = count.saturating_sub(there);
            Err(Failure::plain(format!(
                "Failed to receive {missing} resource signal(s) for the current batch.  Each resource signal timeout is counted as a FAILURE."
            ))
            .into())
        }
    }
}

async fn complete(site: &Site, id: &str, attributes: Value) -> Result<(), Halt> {
    site.tell(id, |resource, now| {
        resource.status = match resource.status {
            ResourceStatus::CreateInProgress => ResourceStatus::CreateComplete,
            _ => ResourceStatus::UpdateComplete,
        };
        resource.reason = None;
        resource.changed_at = now;
        resource.now.attributes = attributes.clone();
    })
    .await
    .map(|_| ())
}

async fn fail(site: &Site, id: &str, reason: &str) -> Result<(), Halt> {
    site.tell(id, |resource, now| {
        resource.status = match resource.status {
            ResourceStatus::CreateInProgress => ResourceStatus::CreateFailed,
            _ => ResourceStatus::UpdateFailed,
        };
        resource.reason = Some(reason.to_owned());
        resource.changed_at = now;
    })
    .await
    .map(|_| ())
}

async fn cancel(site: &Site, id: &str) -> Result<(), Halt> {
    let is_update = site.resource(id)?.is_some_and(|found| found.status == ResourceStatus::UpdateInProgress);
    fail(site, id, if is_update { "Resource update cancelled" } else { "Resource creation cancelled" }).await
}
