//! One version of a stack's template with what it was given: never changed, replaced by the next one.

use std::collections::BTreeMap;

use gantry_api::ApiError;
use gantry_domain::{Change, View};
use serde::{Deserialize, Serialize};

use super::{Stack, documents};
use crate::objects::{self, Found};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Version {
    pub(crate) body: String,
    /// In the order of their names; every parameter of the template.
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) description: Option<String>,
    pub(crate) capabilities: Vec<String>,
    pub(crate) notification_arns: Vec<String>,
    pub(crate) role_arn: Option<String>,
}

/// A parameter's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Parameter {
    pub(crate) key: String,
    /// As the caller wrote it, or the default. Of an SSM parameter: the name.
    pub(crate) given: String,
    /// What the Parameter Store said when the version was made.
    pub(crate) looked_up: Option<String>,
    pub(crate) is_hidden: bool,
}

documents!(Version);

fn class(stack: &Stack) -> String {
    format!("cloudformation/version/{}/{}", stack.region, stack.uuid())
}

impl Version {
    pub(crate) fn find(view: &View, stack: &Stack, number: u64) -> Result<Option<Found<Self>>, ApiError> {
        objects::find(view, &class(stack), &format!("{number:010}"))
    }
    pub(crate) fn create(self, stack: &Stack, number: u64) -> Change {
        objects::create(&class(stack), &format!("{number:010}"), self)
    }
    pub(crate) fn list(view: &View, stack: &Stack) -> Result<Vec<Found<Self>>, ApiError> {
        objects::list(view, &class(stack))
    }
}
