//! What is done from time to time: letting expired events go, and clearing up behind deleted groups.

use std::collections::BTreeSet;

use gantry_api::ApiError;
use gantry_domain::View;
use gantry_types::Timestamp;

use super::records::{GROUPS, Group};
use super::streams::orphans;
use crate::Context;
use crate::objects;

/// Records that one commit clears away.
const ORPHANS_AT_ONCE_MAX: usize = 100;
/// Commits of one round.
const COMMITS_MAX: usize = 100;

/// Removes what nobody can see any more. To be called a few times an hour.
pub async fn maintain(context: &Context, now: Timestamp) -> Result<(), ApiError> {
    let expired_before = context.read(|view| expired_before(&all_groups(view)?, now))?;
    if let Some(before) = expired_before {
        let store = context.logs().store.clone();
        let expiring = tokio::task::spawn_blocking(move || store.expire(before));
        if let Err(panic) = expiring.await {
            tracing::error!("expiring log events: {panic}");
        }
    }
    for _ in 0..COMMITS_MAX {
        let cleared = context.attempt(|view, _| {
            let known: BTreeSet<String> = all_groups(view)?.into_iter().map(|group| group.id).collect();
            let changes: Vec<_> =
                orphans(view, |group| known.contains(group)).take(ORPHANS_AT_ONCE_MAX).collect();
            Ok((changes.len(), changes))
        });
        if cleared.await? < ORPHANS_AT_ONCE_MAX {
            break;
        }
    }
    Ok(())
}

/// The groups of all regions.
fn all_groups(view: &View) -> Result<Vec<Group>, ApiError> {
    let prefix = format!("{GROUPS}/");
    let classes: BTreeSet<String> =
        view.scan::<gantry_domain::object::Object>(&prefix).map(|object| object.class.clone()).collect();
    let mut groups = Vec::new();
    for class in classes {
        groups.extend(objects::list::<Group>(view, &class)?.into_iter().map(|found| found.document));
    }
    Ok(groups)
}

/// The time before which no group keeps anything. A segment holds events of all groups, so one group that keeps its events
/// for ever keeps everybody's on disk; what has expired is not shown all the same.
fn expired_before(groups: &[Group], now: Timestamp) -> Result<Option<Timestamp>, ApiError> {
    let limits: Option<Vec<Timestamp>> = groups.iter().map(|group| group.expired_before(now)).collect();
    Ok(limits.and_then(|limits| limits.into_iter().min()))
}
