//! One resource of a stack.

use std::collections::BTreeMap;

use gantry_api::ApiError;
use gantry_domain::object::Object;
use gantry_domain::{Change, Key, View};
use gantry_types::{Timestamp, Value};
use serde::{Deserialize, Serialize};

use super::{ResourceStatus, Stack, documents};
use crate::objects::{self, Found};

/// A resource as the stack wants it, with what is left of what it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Resource {
    pub(crate) logical_id: String,
    pub(crate) status: ResourceStatus,
    pub(crate) reason: Option<String>,
    pub(crate) changed_at: Timestamp,
    /// When the creation or update under way began.
    pub(crate) began_at: Timestamp,
    pub(crate) now: Kept,
    /// What it was before the update under way touched it.
    pub(crate) former: Option<Kept>,
    /// Things of this resource that the stack has no use for any more, to be removed at the end of the operation.
    pub(crate) surplus: Vec<Kept>,
    /// The stack's last good version does not have it.
    pub(crate) is_new: bool,
    /// The last operation that touched it.
    pub(crate) touched_in: u64,
    /// A creation was tried whose commit could not carry the physical id: a thing of its name is ours.
    pub(crate) was_tried: bool,
}

/// One thing: what it was asked to be, and what it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) resource_type: String,
    /// None while it does not exist.
    pub(crate) physical_id: Option<String>,
    pub(crate) generated_name: String,
    /// A creation's own token.
    pub(crate) token: String,
    /// Resolved.
    pub(crate) properties: Value,
    pub(crate) stack_tags: BTreeMap<String, String>,
    /// What `GetAtt` gives.
    pub(crate) attributes: Value,
    /// The logical ids that it rests on: they are removed after it.
    pub(crate) depends_on: Vec<String>,
    pub(crate) deletion_policy: String,
    pub(crate) update_replace_policy: String,
}

documents!(Resource);

fn class(stack: &Stack) -> String {
    format!("cloudformation/resource/{}/{}", stack.region, stack.uuid())
}

impl Resource {
    pub(crate) fn find(
        view: &View,
        stack: &Stack,
        logical_id: &str,
    ) -> Result<Option<Found<Self>>, ApiError> {
        objects::find(view, &class(stack), logical_id)
    }
    /// In the order of their logical ids, gone ones included.
    pub(crate) fn list(view: &View, stack: &Stack) -> Result<Vec<Found<Self>>, ApiError> {
        objects::list(view, &class(stack))
    }
    /// Puts the resource on top of what the view holds.
    pub(crate) fn put(self, view: &View, stack: &Stack) -> Change {
        let (class, name) = (class(stack), self.logical_id.clone());
        match view.get::<Object>(&Key::object(&class, &name)) {
            Some(found) => Found { revision: found.revision, class, name, document: self }.update(),
            None => objects::create(&class, &name, self),
        }
    }
    /// The thing that stands for the resource: the old one until there is a new one.
    pub(crate) fn shown_id(&self) -> Option<&str> {
        let former = self.former.as_ref().and_then(|former| former.physical_id.as_deref());
        self.now.physical_id.as_deref().or(former)
    }
    /// Everything of it that exists and is not what it shall be in the end.
    pub(crate) fn settle(&mut self, kept: Option<Kept>) {
        let id = self.now.physical_id.clone();
        self.surplus.extend(kept.filter(|kept| kept.physical_id.is_some() && kept.physical_id != id));
    }
    /// Whether nothing of it is there.
    pub(crate) fn is_gone(&self) -> bool {
        self.status.is_gone()
            || (self.now.physical_id.is_none() && self.status == ResourceStatus::CreateFailed)
    }
}
