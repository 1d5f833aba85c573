//! How long deleted stacks are remembered: a bounded number of them for each region, the oldest first to go.

use gantry_domain::object::Object;
use gantry_domain::{Change, Key, View};

use super::site::{Halt, Site};
use crate::cloudformation::records::{ChangeSet, Stack};
use crate::objects::Found;

/// Deleted stacks of a region that can still be described.
const DELETED_MAX: usize = 100;
/// Changes of one commit.
pub(super) const CHANGES_MAX: usize = 60;

/// Removes what the stack's change sets left.
pub(super) async fn clear_change_sets(site: &Site) -> Result<(), Halt> {
    loop {
        let is_done = site
            .commit(|view, _, stack, _| {
                let sets = ChangeSet::list(view, stack)?;
                let changes: Vec<Change> = sets.iter().take(CHANGES_MAX).map(Found::delete).collect();
                Ok((changes.is_empty(), changes))
            })
            .await?;
        if is_done {
            return Ok(());
        }
    }
}

/// Forgets the oldest of the deleted stacks, so that one more has room.
pub(super) async fn make_room(site: &Site) -> Result<(), Halt> {
    loop {
        let is_done = site
            .commit(|view, _, stack, _| {
                let mut deleted = Stack::list_deleted(view, &stack.region)?;
                if deleted.len() < DELETED_MAX {
                    return Ok((true, vec![]));
                }
                deleted.sort_by_key(|found| found.document.deleted_at);
                let oldest = &deleted[0];
                let mut changes = records_of(view, &oldest.document);
                // The stack's own record goes last.
                if changes.is_empty() {
                    changes.push(oldest.delete());
                }
                Ok((false, changes))
            })
            .await?;
        if is_done {
            return Ok(());
        }
    }
}

/// Whatever stands under the stack's unique part.
fn records_of(view: &View, stack: &Stack) -> Vec<Change> {
    let mut changes = Vec::new();
    for kind in ["event", "resource", "version", "signal", "change-set"] {
        let prefix = format!("cloudformation/{kind}/{}/{}/", stack.region, stack.uuid());
        let delete = |object: gantry_domain::Versioned<'_, Object>| {
            Change::delete(Key::object(&object.class, &object.name), object.revision)
        };
        changes.extend(view.scan::<Object>(&prefix).take(CHANGES_MAX - changes.len()).map(delete));
    }
    changes
}
