//! Backward: things are removed, each before what it rests on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gantry_template::Graph;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::limits::{CONFLICT_WAIT_MAX, RESOURCES_OF_STACK_AT_ONCE_MAX, STABLE_WAIT_MAX};
use super::site::{Halt, Site, Trouble};
use super::waiting::{Cancelled, Look, Waited, until};
use crate::cloudformation::failure::{Failure, HandlerErrorCode};
use crate::cloudformation::records::{Kept, Resource, ResourceStatus};
use crate::objects::Found;

/// What of a resource goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of it. Its record stays, for whoever asks what became of the stack.
    Whole,
    /// All of it, with its record: the stack goes on without it.
    Dropped,
    /// Only what the stack has no use for any more.
    Surplus,
}

/// On what grounds it goes, which its policies may refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ground {
    /// The stack or the template lets go of it.
    Removed,
    /// The operation that made it is taken back.
    RolledBack,
    /// The same, and what `RetainExceptOnCreate` keeps goes too.
    RolledBackWhole,
}

/// Removes all that, and gives the logical ids of those that could not be.
pub(super) async fn remove_all(
    site: &Site,
    extents: BTreeMap<String, Extent>,
    ground: Ground,
    spared: &[String],
) -> Result<Vec<String>, Halt> {
    let order = order(&site.resources()?, &extents);
    let spared: Arc<BTreeSet<String>> = Arc::new(spared.iter().cloned().collect());
    // Nothing gives up a removal.
    let (_hold, cancelled) = watch::channel(false);
    let (mut gone, mut failed) = (BTreeSet::new(), BTreeSet::new());
    let mut started: BTreeSet<String> = BTreeSet::new();
    let mut tasks = JoinSet::new();
    loop {
        for id in order.deletable(&gone) {
            if tasks.len() < RESOURCES_OF_STACK_AT_ONCE_MAX && started.insert(id.clone()) {
                let (site, extent, spared, cancelled) =
                    (site.clone(), extents[&id], Arc::clone(&spared), cancelled.clone());
                tasks.spawn(async move {
                    let is_spared = spared.contains(&id);
                    let outcome =
                        remove(&site, &id, extent, ground, is_spared.then_some(Spared), cancelled).await;
                    (id, outcome)
                });
            }
        }
        match tasks.join_next().await {
            None => return Ok(failed.into_iter().collect()),
            Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
            Some(Ok((id, outcome))) => match outcome? {
                Removed::Gone => {
                    gone.insert(id);
                }
                Removed::Failed => {
                    failed.insert(id);
                }
            },
        }
    }
}

/// The caller asked to leave it alone.
struct Spared;

enum Removed {
    Gone,
    Failed,
}

/// What rests on what, of the things that go.
fn order(resources: &[Resource], extents: &BTreeMap<String, Extent>) -> Graph {
    let mut needs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for resource in resources.iter().filter(|resource| extents.contains_key(&resource.logical_id)) {
        let mut rests_on: BTreeSet<String> = BTreeSet::new();
        if extents[&resource.logical_id] != Extent::Surplus {
            rests_on.extend(resource.now.depends_on.iter().cloned());
        }
        rests_on.extend(resource.surplus.iter().flat_map(|kept| kept.depends_on.iter().cloned()));
        needs.insert(resource.logical_id.clone(), rests_on);
    }
    let names: BTreeSet<String> = needs.keys().cloned().collect();
    // Versions may rest on each other in a circle, the old one of this on the new one of that: then the order does not matter.
    Graph::new(needs).unwrap_or_else(|_| {
        let free = names.into_iter().map(|name| (name, BTreeSet::new())).collect();
        Graph::new(free).expect("without needs there is no circle")
    })
}

async fn remove(
    site: &Site,
    id: &str,
    extent: Extent,
    ground: Ground,
    spared: Option<Spared>,
    mut cancelled: Cancelled,
) -> Result<Removed, Halt> {
    let _permit = site.permit().await;
    let Some(resource) = site.resource(id)? else { return Ok(Removed::Gone) };
    for surplus in &resource.surplus {
        let policy = match ground {
            Ground::Removed => surplus.update_replace_policy.as_str(),
            Ground::RolledBack | Ground::RolledBackWhole => "Delete",
        };
        match remove_thing(site, id, surplus, policy, &mut cancelled).await? {
            Removed::Gone => forget_surplus(site, id, surplus).await?,
            Removed::Failed => return Ok(Removed::Failed),
        }
    }
    if extent == Extent::Surplus {
        return Ok(Removed::Gone);
    }
    if !resource.is_gone() {
        let policy = match (resource.now.deletion_policy.as_str(), ground) {
            _ if spared.is_some() => "Retain",
            ("RetainExceptOnCreate", Ground::RolledBack) | (_, Ground::RolledBackWhole) => "Delete",
            ("RetainExceptOnCreate", _) => "Retain",
            (policy, _) => policy,
        };
        if let Removed::Failed = remove_main(site, &resource, policy, &mut cancelled).await? {
            return Ok(Removed::Failed);
        }
    }
    if extent == Extent::Dropped {
        site.commit(|view, _, stack, _| {
            let found = Resource::find(view, stack, id)?;
            Ok(((), found.iter().map(Found::delete).collect()))
        })
        .await?;
    }
    Ok(Removed::Gone)
}

/// The thing that stands for the resource.
async fn remove_main(
    site: &Site,
    resource: &Resource,
    policy: &str,
    cancelled: &mut Cancelled,
) -> Result<Removed, Halt> {
    let id = resource.logical_id.as_str();
    if policy == "Retain" {
        turn(site, id, ResourceStatus::DeleteSkipped, None).await?;
        return Ok(Removed::Gone);
    }
    if resource.status != ResourceStatus::DeleteInProgress {
        turn(site, id, ResourceStatus::DeleteInProgress, None).await?;
    }
    match delete(site, id, &resource.now, policy, cancelled).await? {
        Ok(()) => {
            turn(site, id, ResourceStatus::DeleteComplete, None).await?;
            Ok(Removed::Gone)
        }
        Err(failure) => {
            let reason = failure.reason(&site.context.uuid());
            turn(site, id, ResourceStatus::DeleteFailed, Some(&reason)).await?;
            Ok(Removed::Failed)
        }
    }
}

async fn turn(site: &Site, id: &str, status: ResourceStatus, reason: Option<&str>) -> Result<(), Halt> {
    site.tell(id, |resource, now| {
        resource.status = status;
        resource.reason = reason.map(str::to_owned);
        resource.changed_at = now;
    })
    .await
    .map(|_| ())
}

/// A thing beside the one that stands for the resource: events tell of it, the resource's own status does not change.
async fn remove_thing(
    site: &Site,
    id: &str,
    kept: &Kept,
    policy: &str,
    cancelled: &mut Cancelled,
) -> Result<Removed, Halt> {
    if policy == "Retain" {
        tell(site, id, kept, ResourceStatus::DeleteSkipped, None).await?;
        return Ok(Removed::Gone);
    }
    tell(site, id, kept, ResourceStatus::DeleteInProgress, None).await?;
    match delete(site, id, kept, policy, cancelled).await? {
        Ok(()) => {
            tell(site, id, kept, ResourceStatus::DeleteComplete, None).await?;
            Ok(Removed::Gone)
        }
        Err(failure) => {
            let reason = failure.reason(&site.context.uuid());
            tell(site, id, kept, ResourceStatus::DeleteFailed, Some(&reason)).await?;
            Ok(Removed::Failed)
        }
    }
}

async fn tell(
    site: &Site,
    id: &str,
    kept: &Kept,
    status: ResourceStatus,
    reason: Option<&str>,
) -> Result<(), Halt> {
    site.commit(|view, ids, stack, journal| {
        if let Some(found) = Resource::find(view, stack, id)? {
            let reason = reason.map(str::to_owned);
            journal.resource(
                ids,
                &Resource { now: kept.clone(), former: None, status, reason, ..found.document },
            );
        }
        Ok(((), vec![]))
    })
    .await
}

async fn forget_surplus(site: &Site, id: &str, kept: &Kept) -> Result<(), Halt> {
    site.note(id, |resource| resource.surplus.retain(|other| other.physical_id != kept.physical_id))
        .await
        .map(|_| ())
}

/// Deletes a thing and waits until it is gone. What something else still rests on is tried again for a while, because what a
/// service leaves behind goes a little later than the service.
async fn delete(
    site: &Site,
    logical_id: &str,
    kept: &Kept,
    policy: &str,
    cancelled: &mut Cancelled,
) -> Result<Result<(), Failure>, Halt> {
    if policy == "Snapshot" {
        return Ok(Err(Failure::plain(
            "Gantry makes no snapshots yet: the DeletionPolicy Snapshot is not supported.",
        )));
    }
    let Some(thing) = kept.physical_id.as_deref() else { return Ok(Ok(())) };
    match try_delete(site, logical_id, kept, thing, cancelled).await {
        Ok(()) => Ok(Ok(())),
        Err(Trouble::Failed(failure)) => Ok(Err(failure)),
        Err(Trouble::Halted(halt)) => Err(halt),
        Err(Trouble::Cancelled) => Err(Halt::Moved),
    }
}

async fn try_delete(
    site: &Site,
    logical_id: &str,
    kept: &Kept,
    thing: &str,
    cancelled: &mut Cancelled,
) -> Result<(), Trouble> {
    let (kind, wanted) = site.wanted(logical_id, kept)?;
    let wanted = &wanted;
    let look = || -> Look<'_, (), Failure> {
        Box::pin(async move {
            match kind.delete(&site.caller, wanted, thing).await {
                Ok(()) => Ok(Some(())),
                Err(failure) if failure.is(HandlerErrorCode::ResourceConflict) => Ok(None),
                Err(failure) => Err(failure),
            }
        })
    };
    if until(&site.context, cancelled, CONFLICT_WAIT_MAX, look).await? != Waited::Done(()) {
        // The last try, whose refusal is the reason.
        kind.delete(&site.caller, wanted, thing).await?;
    }
    let look = || -> Look<'_, (), Failure> {
        Box::pin(async move { Ok(kind.is_gone(&site.caller, wanted, thing).await?.then_some(())) })
    };
    match until(&site.context, cancelled, STABLE_WAIT_MAX, look).await? {
        Waited::Done(()) => Ok(()),
        Waited::Cancelled => Err(Trouble::Cancelled),
        Waited::TimedOut => {
            Err(Failure::handler(HandlerErrorCode::NotStabilized, "Exceeded attempts to wait").into())
        }
    }
}
