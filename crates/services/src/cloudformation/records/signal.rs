//! Signals that a resource waits for.

use gantry_api::ApiError;
use gantry_domain::{Change, View};
use gantry_types::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Stack, documents};
use crate::objects::{self, Found};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Signal {
    pub(crate) unique_id: String,
    pub(crate) is_success: bool,
    pub(crate) at: Timestamp,
}

documents!(Signal);

fn class(stack: &Stack, logical_id: &str) -> String {
    format!("cloudformation/signal/{}/{}/{logical_id}", stack.region, stack.uuid())
}

impl Signal {
    pub(crate) fn list(view: &View, stack: &Stack, logical_id: &str) -> Result<Vec<Found<Self>>, ApiError> {
        objects::list(view, &class(stack, logical_id))
    }
    pub(crate) fn create(self, stack: &Stack, logical_id: &str) -> Change {
        objects::create(&class(stack, logical_id), &self.unique_id.clone(), self)
    }
}
