//! Making a thing exactly once.
//!
//! The creating call's commit carries the record of the physical id ([`accompanying`]). So after a restart either both are
//! there, and the walk goes on behind the creation, or neither is, and the call is made again. Which handlers can carry it:
//! - `write`, `settings`, `secret`: they commit once, and the companion's changes are part of that commit;
//! - `read`: makes nothing;
//! - `steps`, `io`: several commits, or none in the records. Their things have names that were decided and recorded before;
//!   the record notes that the call was tried, and if a restart's call finds the name taken, the thing is ours.
//!
//! A call that succeeds and changes nothing found a thing of that name, as ECS's `CreateCluster` does: `AlreadyExists`, or a
//! rollback would remove what is somebody else's.

use std::sync::Arc;

use gantry_api::ApiError;
use gantry_types::Timestamp;

use super::site::{Halt, Site, Trouble};
use crate::cloudformation::caller::ALREADY_THERE;
use crate::cloudformation::failure::HandlerErrorCode;
use crate::cloudformation::records::{Journal, Resource};
use crate::cloudformation::resource::{Creation, PhysicalId};
use crate::context::Companion;
use crate::takes_companion;

const INITIATED: &str = "Resource creation Initiated";

/// Makes the thing of a record that has none, and gives the record as it is then.
pub(super) async fn create(site: &Site, resource: &Resource) -> Result<Resource, Trouble> {
    let logical_id = &resource.logical_id;
    let (kind, wanted) = site.wanted(logical_id, &resource.now)?;
    let (service, operation, input, id) = match kind.create(&wanted)? {
        Creation::Configured { id } => return Ok(initiated(site, logical_id, id).await?),
        Creation::Call { service, operation, input, id } => (service, operation, input, id),
    };
    let is_accompanied = takes_companion(service, operation);
    if !is_accompanied && !resource.was_tried {
        site.note(logical_id, |resource| resource.was_tried = true).await?;
    }
    let companion = accompanying(site, logical_id, &id);
    let output = match site.caller.call_with(companion, service, operation, input).await {
        Ok(output) => output,
        Err(failure) => match id {
            PhysicalId::Is(name)
                if !is_accompanied && resource.was_tried && failure.is(HandlerErrorCode::AlreadyExists) =>
            {
                return Ok(initiated(site, logical_id, name).await?);
            }
            _ => return Err(failure.into()),
        },
    };
    let made = site.resource(logical_id)?.ok_or(Halt::Moved)?;
    if made.now.physical_id.is_some() {
        return Ok(made);
    }
    let id = id.of(&output).ok_or_else(|| no_id(operation))?;
    Ok(initiated(site, logical_id, id).await?)
}

async fn initiated(site: &Site, logical_id: &str, id: String) -> Result<Resource, Halt> {
    site.tell(logical_id, |resource, now| made(resource, now, &id)).await
}

fn made(resource: &mut Resource, now: Timestamp, id: &str) {
    resource.now.physical_id = Some(id.to_owned());
    resource.reason = Some(INITIATED.to_owned());
    resource.changed_at = now;
}

/// The changes beside the creating call's own: the record with the physical id, and the event.
fn accompanying(site: &Site, logical_id: &str, id: &PhysicalId) -> Companion {
    let (site, logical_id, id) = (site.clone(), logical_id.to_owned(), id.clone());
    let now = Timestamp::now();
    Arc::new(move |view, ids, output, changes_something| {
        let gone =
            || ApiError::receiver("ServiceUnavailable", "The stack has gone meanwhile.").with_status(503);
        let stack = site.stack_in(view).map_err(|_| gone())?.document;
        let mut found = Resource::find(view, &stack, &logical_id)?.ok_or_else(gone)?;
        let physical_id = id.of(output).ok_or_else(|| no_id(&logical_id))?;
        if !changes_something {
            let message = format!(
                "Resource of type '{}' with identifier '{physical_id}' already exists.",
                found.document.now.resource_type
            );
            return Err(ApiError::sender(ALREADY_THERE, message));
        }
        made(&mut found.document, now, &physical_id);
        let mut journal = Journal::new(view, &stack, now);
        journal.resource(ids, &found.document);
        let mut changes = journal.changes;
        changes.push(found.update());
        Ok(changes)
    })
}

fn no_id(of: &str) -> ApiError {
    ApiError::receiver("InternalFailure", format!("The output of {of} does not say what was made."))
}
