//! Where a stack's tasks meet: its records, and who calls for it.

use std::sync::Arc;

use gantry_api::ApiError;
use gantry_domain::{Change, View};
use gantry_types::{Ids, Region, Timestamp};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::Context;
use crate::cloudformation::caller::Caller;
use crate::cloudformation::failure::Failure;
use crate::cloudformation::records::{Journal, Kept, Resource, Stack, StackStatus};
use crate::cloudformation::resource::{ResourceType, Wanted};
use crate::cloudformation::resources;
use crate::objects::Found;

/// Why a walk ends without an outcome.
#[derive(Debug)]
pub(super) enum Halt {
    /// The store failed: the same again, later.
    Store(ApiError),
    /// The stack is not in the state that the walk belongs to any more.
    Moved,
}

impl From<ApiError> for Halt {
    fn from(error: ApiError) -> Self {
        Self::Store(error)
    }
}

/// A failure of a resource, or a reason to stop working on it for now.
#[derive(Debug)]
pub(super) enum Trouble {
    Failed(Failure),
    Halted(Halt),
    Cancelled,
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        if failure.is_passing() {
            return Self::Halted(Halt::Store(ApiError::receiver("ServiceUnavailable", failure.message())));
        }
        Self::Failed(failure)
    }
}
impl From<Halt> for Trouble {
    fn from(halt: Halt) -> Self {
        Self::Halted(halt)
    }
}
impl From<ApiError> for Trouble {
    fn from(error: ApiError) -> Self {
        Self::Halted(Halt::Store(error))
    }
}

#[derive(Clone)]
pub(super) struct Site {
    pub(super) context: Arc<Context>,
    pub(super) caller: Caller,
    pub(super) region: Region,
    pub(super) stack_name: String,
    pub(super) stack_id: String,
    permits: Arc<Semaphore>,
}

impl Site {
    pub(super) fn new(context: Arc<Context>, permits: Arc<Semaphore>, stack: &Stack) -> Self {
        Self {
            caller: Caller::new(Arc::clone(&context), stack.region.clone(), stack.caller.clone()),
            context,
            region: stack.region.clone(),
            stack_name: stack.name.clone(),
            stack_id: stack.id.clone(),
            permits,
        }
    }

    /// A resource's turn among all that the engine works on.
    pub(super) async fn permit(&self) -> SemaphorePermit<'_> {
        self.permits.acquire().await.expect("nobody closes the semaphore")
    }

    pub(super) fn stack_in(&self, view: &View) -> Result<Found<Stack>, Halt> {
        let found = Stack::find(view, &self.region, &self.stack_name)?;
        found.filter(|found| found.document.id == self.stack_id).ok_or(Halt::Moved)
    }
    pub(super) fn stack(&self) -> Result<Stack, Halt> {
        self.context.read(|view| self.stack_in(view)).map(|found| found.document)
    }
    pub(super) fn resources(&self) -> Result<Vec<Resource>, Halt> {
        self.context.read(|view| {
            let stack = self.stack_in(view)?.document;
            Ok(Resource::list(view, &stack)?.into_iter().map(|found| found.document).collect())
        })
    }
    pub(super) fn resource(&self, logical_id: &str) -> Result<Option<Resource>, Halt> {
        self.context.read(|view| {
            let stack = self.stack_in(view)?.document;
            Ok(Resource::find(view, &stack, logical_id)?.map(|found| found.document))
        })
    }

    /// Commits what `decide` makes of the stack's records.
    pub(super) async fn commit<T: Send>(
        &self,
        decide: impl Fn(&View, &mut Ids, &Stack, &mut Journal<'_>) -> Result<(T, Vec<Change>), ApiError>,
    ) -> Result<T, Halt> {
        let now = Timestamp::now();
        let outcome = self
            .context
            .attempt(|view, ids| {
                let Ok(found) = self.stack_in(view) else { return Ok((None, vec![])) };
                let mut journal = Journal::new(view, &found.document, now);
                let (outcome, mut changes) = decide(view, ids, &found.document, &mut journal)?;
                changes.append(&mut journal.changes);
                Ok((Some(outcome), changes))
            })
            .await?;
        outcome.ok_or(Halt::Moved)
    }

    /// Changes a resource's record and writes the event that says so. Gives what the record has become.
    pub(super) async fn tell(
        &self,
        logical_id: &str,
        edit: impl Fn(&mut Resource, Timestamp),
    ) -> Result<Resource, Halt> {
        self.change(logical_id, |resource, now, journal, ids| {
            edit(resource, now);
            journal.resource(ids, resource);
        })
        .await
    }

    /// Changes a resource's record without a word.
    pub(super) async fn note(
        &self,
        logical_id: &str,
        edit: impl Fn(&mut Resource),
    ) -> Result<Resource, Halt> {
        self.change(logical_id, |resource, _, _, _| edit(resource)).await
    }

    async fn change(
        &self,
        logical_id: &str,
        edit: impl Fn(&mut Resource, Timestamp, &mut Journal<'_>, &mut Ids),
    ) -> Result<Resource, Halt> {
        let now = Timestamp::now();
        let outcome = self
            .commit(|view, ids, stack, journal| {
                let Some(found) = Resource::find(view, stack, logical_id)? else { return Ok((None, vec![])) };
                let mut resource = found.document.clone();
                edit(&mut resource, now, journal, ids);
                Ok((Some(resource.clone()), vec![Found { document: resource, ..found }.update()]))
            })
            .await?;
        outcome.ok_or(Halt::Moved)
    }

    /// Moves the stack from one status on, with its event. `edit` may refuse because something else changed.
    pub(super) async fn turn(
        &self,
        from: StackStatus,
        edit: impl Fn(&View, &mut Stack) -> Result<Vec<Change>, ApiError>,
    ) -> Result<(), Halt> {
        let now = Timestamp::now();
        let has_turned = self
            .context
            .attempt(|view, ids| {
                let Ok(found) = self.stack_in(view) else { return Ok((false, vec![])) };
                if found.document.status != from {
                    return Ok((false, vec![]));
                }
                let mut stack = found.document.clone();
                let mut changes = edit(view, &mut stack)?;
                let mut journal = Journal::new(view, &found.document, now);
                journal.stack(ids, &stack);
                changes.append(&mut journal.changes);
                let found = Found { document: stack, ..found };
                match found.document.status {
                    StackStatus::DeleteComplete => changes.extend(Stack::bury(found)),
                    _ => changes.push(found.update()),
                }
                Ok((true, changes))
            })
            .await?;
        if has_turned { Ok(()) } else { Err(Halt::Moved) }
    }

    /// What a type is told about a thing.
    pub(super) fn wanted<'a>(
        &'a self,
        logical_id: &'a str,
        kept: &'a Kept,
    ) -> Result<(&'static dyn ResourceType, Wanted<'a>), Failure> {
        let kind = resources::find(&kept.resource_type).ok_or_else(|| {
            Failure::plain(format!(
                "Gantry does not support resources of the type {} yet.",
                kept.resource_type
            ))
        })?;
        let wanted = Wanted {
            logical_id,
            resource_type: kind.name(),
            properties: &kept.properties,
            generated_name: &kept.generated_name,
            token: &kept.token,
            stack_tags: &kept.stack_tags,
        };
        Ok((kind, wanted))
    }
}
