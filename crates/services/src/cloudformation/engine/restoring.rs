//! Back: what a failed update touched becomes what it was. New things stay until the cleanup, because what was changed rests on
//! them until it is changed back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gantry_template::Graph;
use gantry_types::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::limits::{RESOURCES_OF_STACK_AT_ONCE_MAX, STABLE_WAIT_MAX};
use super::site::{Halt, Site, Trouble};
use super::waiting::{Cancelled, Look, Waited, until};
use crate::cloudformation::failure::{Failure, HandlerErrorCode};
use crate::cloudformation::records::{Kept, Resource, ResourceStatus};
use crate::cloudformation::resource::Stability;

/// Restores all that has a former state, and gives the logical ids of those that could not be.
pub(super) async fn restore_all(site: &Site, skipped: &[String]) -> Result<Vec<String>, Halt> {
    for resource in site.resources()? {
        // It was refused before anything was done.
        if resource.status == ResourceStatus::UpdateFailed && resource.former.is_none() {
            site.tell(&resource.logical_id, |resource, now| {
                resource.status = ResourceStatus::UpdateComplete;
                resource.reason = None;
                resource.changed_at = now;
            })
            .await?;
        }
    }
    let resources = site.resources()?;
    let touched: BTreeMap<String, BTreeSet<String>> = resources
        .iter()
        .filter_map(|resource| {
            let former = resource.former.as_ref()?;
            Some((resource.logical_id.clone(), former.depends_on.iter().cloned().collect()))
        })
        .collect();
    let Ok(order) = Graph::new(touched) else {
        // The last good version had an order.
        return Err(Halt::Moved);
    };
    let skipped: Arc<BTreeSet<String>> = Arc::new(skipped.iter().cloned().collect());
    let (_hold, cancelled) = watch::channel(false);
    let (mut done, mut failed) = (BTreeSet::new(), Vec::new());
    let mut started: BTreeSet<String> = BTreeSet::new();
    let mut tasks = JoinSet::new();
    loop {
        for id in order.ready(&done) {
            if tasks.len() < RESOURCES_OF_STACK_AT_ONCE_MAX && started.insert(id.clone()) {
                let (site, cancelled, is_skipped) = (site.clone(), cancelled.clone(), skipped.contains(&id));
                tasks.spawn(async move {
                    let outcome = if is_skipped {
                        skip(&site, &id).await
                    } else {
                        restore(&site, &id, cancelled).await
                    };
                    (id, outcome)
                });
            }
        }
        match tasks.join_next().await {
            None => return Ok(failed),
            Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
            Some(Ok((id, outcome))) => match outcome? {
                Restored::Done => {
                    done.insert(id);
                }
                Restored::Failed => failed.push(id),
            },
        }
    }
}

enum Restored {
    Done,
    Failed,
}

async fn restore(site: &Site, id: &str, mut cancelled: Cancelled) -> Result<Restored, Halt> {
    let _permit = site.permit().await;
    let Some(resource) = site.resource(id)? else { return Ok(Restored::Done) };
    let Some(former) = resource.former.clone() else { return Ok(Restored::Done) };
    let is_same_thing = former.physical_id == resource.now.physical_id;
    site.tell(id, |resource, now| {
        resource.status = ResourceStatus::UpdateInProgress;
        resource.reason = None;
        resource.changed_at = now;
    })
    .await?;
    let outcome = if is_same_thing {
        change_back(site, id, &resource.now, &former, &mut cancelled).await
    } else {
        Ok(former.attributes.clone())
    };
    match outcome {
        Ok(attributes) => {
            finish(site, id, attributes).await?;
            Ok(Restored::Done)
        }
        Err(Trouble::Failed(failure)) => {
            let reason = failure.reason(&site.context.uuid());
            site.tell(id, |resource, now| {
                resource.status = ResourceStatus::UpdateFailed;
                resource.reason = Some(reason.clone());
                resource.changed_at = now;
            })
            .await?;
            Ok(Restored::Failed)
        }
        Err(Trouble::Halted(halt)) => Err(halt),
        Err(Trouble::Cancelled) => Err(Halt::Moved),
    }
}

async fn skip(site: &Site, id: &str) -> Result<Restored, Halt> {
    let Some(former) = site.resource(id)?.and_then(|resource| resource.former) else {
        return Ok(Restored::Done);
    };
    finish(site, id, former.attributes).await.map(|()| Restored::Done)
}

async fn finish(site: &Site, id: &str, attributes: Value) -> Result<(), Halt> {
    site.tell(id, |resource, now| {
        resource.status = ResourceStatus::UpdateComplete;
        resource.reason = None;
        resource.changed_at = now;
        if let Some(former) = resource.former.take() {
            let tried = std::mem::replace(&mut resource.now, former);
            resource.now.attributes = attributes.clone();
            resource.settle(Some(tried));
        }
    })
    .await
    .map(|_| ())
}

async fn change_back(
    site: &Site,
    id: &str,
    tried: &Kept,
    former: &Kept,
    cancelled: &mut Cancelled,
) -> Result<Value, Trouble> {
    let (kind, wanted) = site.wanted(id, former)?;
    let (_, old) = site.wanted(id, tried)?;
    let thing = former.physical_id.as_deref().unwrap_or("");
    kind.update(&site.caller, &wanted, thing, &old).await?;
    let as_wanted = &wanted;
    let look = || -> Look<'_, (), Failure> {
        Box::pin(async move {
            let stability = kind.stability(&site.caller, as_wanted, thing).await?;
            Ok((stability == Stability::Stable).then_some(()))
        })
    };
    let stable = until(&site.context, cancelled, STABLE_WAIT_MAX, look);
    match stable.await? {
        Waited::Done(()) => Ok(kind.read(&site.caller, &wanted, thing).await?),
        Waited::Cancelled => Err(Trouble::Cancelled),
        Waited::TimedOut => {
            Err(Failure::handler(HandlerErrorCode::NotStabilized, "Exceeded attempts to wait").into())
        }
    }
}

/// After an operation that went well: what was is surplus, and what is new is the stack's.
pub(super) async fn settle_all(site: &Site) -> Result<(), Halt> {
    let open = |resource: &Resource| resource.former.is_some() || resource.is_new;
    for resource in site.resources()?.into_iter().filter(|resource| open(resource)) {
        site.note(&resource.logical_id, |resource| {
            let former = resource.former.take();
            resource.settle(former);
            resource.is_new = false;
        })
        .await?;
    }
    Ok(())
}
