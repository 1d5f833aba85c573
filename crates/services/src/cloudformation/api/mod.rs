//! The operations: they check a request and commit records; what they ask for, the engine does.

pub(super) mod change_sets;
pub(super) mod describe;
mod difference;
pub(super) mod events;
pub(super) mod exports;
pub(super) mod operations;
pub(super) mod policies;
mod request;
pub(super) mod resources;
pub(super) mod signals;
pub(super) mod stacks;
pub(super) mod templates;

use gantry_api::{ApiError, CallContext};
use gantry_domain::View;
use gantry_template::TemplateError;

use super::records::Stack;
use crate::objects::Found;

/// Items of a page of every listing.
const PAGE_SIZE: usize = 100;

fn validation(message: impl Into<String>) -> ApiError {
    ApiError::sender("ValidationError", message)
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn of_template(error: TemplateError) -> ApiError {
    validation(error.to_string())
}

fn invalid_token() -> ApiError {
    validation("The nextToken is not valid.")
}

fn no_stack(name: &str) -> ApiError {
    validation(format!("Stack with id {name} does not exist"))
}

/// A stack by its name or id, that is there.
fn stack(view: &View, call: &CallContext, name: &str) -> Result<Found<Stack>, ApiError> {
    Stack::find_any(view, &call.region, name)?
        .filter(|found| found.document.deleted_at.is_none())
        .ok_or_else(|| no_stack(name))
}

/// A stack by its name or id, also one that is gone, by its id.
fn stack_or_gone(view: &View, call: &CallContext, name: &str) -> Result<Stack, ApiError> {
    let found = Stack::find_any(view, &call.region, name)?;
    found.map(|found| found.document).ok_or_else(|| no_stack(name))
}

/// What is served only where an object store would be.
fn refuse_url(name: &str, url: Option<&String>) -> Result<(), ApiError> {
    match url {
        None => Ok(()),
        Some(_) => Err(validation(format!(
            "Gantry has no object store yet that {name} could be read from. Give the text itself, which may have 51,200 bytes."
        ))),
    }
}
