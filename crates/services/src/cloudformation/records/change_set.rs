//! One change set: a version that waits, and what it would change.

use gantry_api::ApiError;
use gantry_domain::{Change, View};
use gantry_types::{Timestamp, Value};
use serde::{Deserialize, Serialize};

use super::{OnFailure, Stack, Version, documents};
use crate::objects::{self, Found};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ChangeSet {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) status: ChangeSetStatus,
    pub(crate) reason: Option<String>,
    pub(crate) execution: ExecutionStatus,
    pub(crate) is_creation: bool,
    pub(crate) on_failure: Option<OnFailure>,
    pub(crate) client_token: Option<String>,
    pub(crate) version: Version,
    /// As `DescribeChangeSet` gives them.
    pub(crate) changes: Value,
    /// The stack's operation that the changes were computed on.
    pub(crate) operation: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ChangeSetStatus {
    #[serde(rename = "CREATE_COMPLETE")]
    CreateComplete,
    #[serde(rename = "FAILED")]
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ExecutionStatus {
    #[serde(rename = "AVAILABLE")]
    Available,
    #[serde(rename = "UNAVAILABLE")]
    Unavailable,
    #[serde(rename = "EXECUTE_COMPLETE")]
    ExecuteComplete,
    #[serde(rename = "OBSOLETE")]
    Obsolete,
}

documents!(ChangeSet);

impl ChangeSetStatus {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::CreateComplete => "CREATE_COMPLETE",
            Self::Failed => "FAILED",
        }
    }
}

impl ExecutionStatus {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Available => "AVAILABLE",
            Self::Unavailable => "UNAVAILABLE",
            Self::ExecuteComplete => "EXECUTE_COMPLETE",
            Self::Obsolete => "OBSOLETE",
        }
    }
}

fn class(stack: &Stack) -> String {
    format!("cloudformation/change-set/{}/{}", stack.region, stack.uuid())
}

impl ChangeSet {
    pub(crate) fn find(view: &View, stack: &Stack, name: &str) -> Result<Option<Found<Self>>, ApiError> {
        objects::find(view, &class(stack), name)
    }
    pub(crate) fn list(view: &View, stack: &Stack) -> Result<Vec<Found<Self>>, ApiError> {
        objects::list(view, &class(stack))
    }
    pub(crate) fn create(self, stack: &Stack) -> Change {
        objects::create(&class(stack), &self.name.clone(), self)
    }
}
