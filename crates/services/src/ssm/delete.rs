//! Deleting parameters with all their versions.

use gantry_api::ssm::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::{Change, View};
use gantry_types::Ids;

use super::records;
use crate::objects::Found;
use crate::{Context, Decision};

pub(super) fn delete(
    view: &View,
    call: &CallContext,
    input: &DeleteParameterRequest,
    _ids: &mut Ids,
) -> Decision<DeleteParameterResult> {
    let (true, changes) = removal(view, call, &input.name)? else {
        return Err(errors::parameter_not_found(""));
    };
    Ok((DeleteParameterResult {}, changes))
}

/// Each parameter goes in a commit of its own: ten of them with all their versions do not fit into one.
pub(super) async fn delete_many(
    context: &Context,
    call: &CallContext,
    input: &DeleteParametersRequest,
) -> Result<DeleteParametersResult, ApiError> {
    let (mut deleted, mut invalid) = (Vec::new(), Vec::new());
    for name in &input.names {
        let there = context.attempt(|view, _| removal(view, call, name)).await?;
        if there { deleted.push(name.clone()) } else { invalid.push(name.clone()) }
    }
    Ok(DeleteParametersResult { deleted_parameters: Some(deleted), invalid_parameters: Some(invalid) })
}

/// Whether the parameter was there, and what takes it away.
fn removal(view: &View, call: &CallContext, name: &str) -> Decision<bool> {
    let Some(found) = records::find(view, &call.region, name)? else { return Ok((false, vec![])) };
    let mut changes: Vec<Change> = found.document.older(view)?.iter().map(Found::delete).collect();
    changes.push(found.delete());
    Ok((true, changes))
}
