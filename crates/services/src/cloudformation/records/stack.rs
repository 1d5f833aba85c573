//! One stack. What its template says stands in its versions, what became of it in its resources.

use gantry_api::ApiError;
use gantry_domain::{Change, View};
use gantry_types::{Region, Timestamp};
use serde::{Deserialize, Serialize};

use super::{StackStatus, documents};
use crate::objects::{self, Found};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stack {
    /// `arn:..:stack/NAME/UUID`.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) region: Region,
    pub(crate) status: StackStatus,
    pub(crate) reason: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Option<Timestamp>,
    pub(crate) deleted_at: Option<Timestamp>,
    /// The ARN of who ordered the operation.
    pub(crate) caller: String,
    /// The version that the resources are of; none before the first creation.
    pub(crate) version: Option<u64>,
    /// The version that an operation under way makes.
    pub(crate) target: Option<u64>,
    /// Versions that were ever made: a number is never used twice.
    pub(crate) versions: u64,
    /// Creations and updates so far. A resource remembers which of them touched it.
    pub(crate) operation: u64,
    pub(crate) on_failure: OnFailure,
    /// Of the operation under way: delete what `RetainExceptOnCreate` would keep of it.
    pub(crate) retain_except_on_create: bool,
    pub(crate) timeout_minutes: Option<i32>,
    /// When the operation under way counts as failed.
    pub(crate) deadline: Option<Timestamp>,
    pub(crate) is_protected: bool,
    pub(crate) policy: Option<String>,
    /// Instead of `policy` for the update under way.
    pub(crate) policy_during_update: Option<String>,
    pub(crate) outputs: Vec<Output>,
    pub(crate) change_set_id: Option<String>,
    /// The client's token of the last operation, and which operation it was.
    pub(crate) token: Option<(String, String)>,
    /// Resources that a deletion leaves alone, or that a rollback does not try again.
    pub(crate) spared: Vec<String>,
}

/// What becomes of a stack whose creation or update fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum OnFailure {
    Rollback,
    Delete,
    DoNothing,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Output {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) description: Option<String>,
    pub(crate) export: Option<String>,
}

documents!(Stack);

/// Stacks that are there, by name.
const STACK: &str = "cloudformation/stack";
/// Stacks that are gone, by name and unique part.
const DELETED: &str = "cloudformation/deleted-stack";

impl Stack {
    pub(crate) fn find(view: &View, region: &Region, name: &str) -> Result<Option<Found<Self>>, ApiError> {
        objects::find(view, &format!("{STACK}/{region}"), name)
    }
    /// By name or id; a deleted one by its id alone.
    pub(crate) fn find_any(
        view: &View,
        region: &Region,
        text: &str,
    ) -> Result<Option<Found<Self>>, ApiError> {
        let Some(path) = path_of(region, text) else { return Self::find(view, region, text) };
        let name = path.split('/').next().unwrap_or("");
        match Self::find(view, region, name)?.filter(|found| found.document.id == text) {
            Some(found) => Ok(Some(found)),
            None => objects::find(view, &format!("{DELETED}/{region}"), path),
        }
    }
    pub(crate) fn list(view: &View, region: &Region) -> Result<Vec<Found<Self>>, ApiError> {
        objects::list(view, &format!("{STACK}/{region}"))
    }
    pub(crate) fn list_deleted(view: &View, region: &Region) -> Result<Vec<Found<Self>>, ApiError> {
        objects::list(view, &format!("{DELETED}/{region}"))
    }
    /// The stacks of all regions that the engine has to work on.
    pub(crate) fn list_in_progress(view: &View) -> Vec<Self> {
        super::listing::documents::<Self>(view, STACK).filter(|stack| stack.status.is_in_progress()).collect()
    }
    /// Whether a record's path in the store is that of a stack.
    pub(crate) fn is_path(path: &str) -> bool {
        path.strip_prefix(STACK).is_some_and(|rest| rest.starts_with('/'))
    }

    pub(crate) fn create(self) -> Change {
        objects::create(&format!("{STACK}/{}", self.region), &self.name.clone(), self)
    }
    /// Moves the stack among the deleted ones, its name free again.
    pub(crate) fn bury(found: Found<Self>) -> [Change; 2] {
        let gone = found.delete();
        let stack = found.document;
        let name = format!("{}/{}", stack.name, stack.uuid());
        [gone, objects::create(&format!("{DELETED}/{}", stack.region), &name, stack)]
    }

    /// The unique part of the id: the records of the stack stand under it.
    pub(crate) fn uuid(&self) -> &str {
        self.id.rsplit('/').next().unwrap_or("")
    }
    /// The version that describes the stack: the new one until it is given up.
    pub(crate) fn shown_version(&self) -> Option<u64> {
        match self.status {
            StackStatus::UpdateRollbackInProgress
            | StackStatus::UpdateRollbackFailed
            | StackStatus::UpdateRollbackComplete
            | StackStatus::UpdateRollbackCompleteCleanupInProgress => self.version,
            _ => self.target.or(self.version),
        }
    }
}

/// `NAME/UUID` of a stack's ARN in the region.
fn path_of<'t>(region: &Region, text: &'t str) -> Option<&'t str> {
    let arn = text.strip_prefix("arn:")?;
    let mut parts = arn.splitn(5, ':').skip(1);
    let (service, in_region, account) = (parts.next()?, parts.next()?, parts.next()?);
    let here =
        service == "cloudformation" && in_region == region.as_str() && account == gantry_types::ACCOUNT;
    parts.next()?.strip_prefix("stack/").filter(|_| here)
}
