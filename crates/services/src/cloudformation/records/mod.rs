//! What CloudFormation keeps: a record for each stack, version, resource, event, change set, export and signal, because none of
//! them alone may outgrow a commit.

mod change_set;
mod event;
mod export;
mod listing;
mod resource;
mod signal;
mod stack;
mod status;
mod version;

pub(super) use change_set::{ChangeSet, ChangeSetStatus, ExecutionStatus};
pub(super) use event::{Event, Journal};
pub(super) use export::{Export, Import};
pub(super) use resource::{Kept, Resource};
pub(super) use signal::Signal;
pub(super) use stack::{OnFailure, Output, Stack};
pub(super) use status::{ResourceStatus, StackStatus};
pub(super) use version::{Parameter, Version};

/// Typed records as documents, by way of their JSON.
macro_rules! documents {
    ($($type:ty),*) => {$(
        impl gantry_api::FromValue for $type {
            fn from_value(value: &gantry_types::Value) -> Result<Self, gantry_api::Mismatch> {
                let broken = || gantry_api::Mismatch { path: vec![], expected: stringify!($type) };
                let json = serde_json::to_value(value).map_err(|_| broken())?;
                serde_json::from_value(json).map_err(|_| broken())
            }
        }
        impl gantry_api::IntoValue for $type {
            fn into_value(self) -> gantry_types::Value {
                let json = serde_json::to_value(self).expect("a record of plain members is JSON");
                serde_json::from_value(json).expect("every JSON is a value")
            }
        }
    )*};
}
use documents;
