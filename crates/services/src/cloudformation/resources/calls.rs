//! What many types ask of services, and how they take the answers.

use gantry_types::Value;

use crate::cloudformation::caller::Caller;
use crate::cloudformation::failure::{Failure, HandlerErrorCode};
use crate::cloudformation::mapping;
use crate::cloudformation::resource::{Wanted, Work};

/// One call whose answer does not matter.
pub(super) fn call<'a>(
    caller: &'a Caller,
    service: &'static str,
    operation: &'static str,
    input: Value,
) -> Work<'a, ()> {
    Box::pin(async move { caller.call(service, operation, input).await.map(|_| ()) })
}

/// One call that takes something away: that it is gone already is a success.
pub(super) fn remove<'a>(
    caller: &'a Caller,
    service: &'static str,
    operation: &'static str,
    input: Value,
) -> Work<'a, ()> {
    Box::pin(async move {
        match caller.call(service, operation, input).await {
            Err(failure) if failure.is(HandlerErrorCode::NotFound) => Ok(()),
            outcome => outcome.map(|_| ()),
        }
    })
}

/// One call that adds something: that it is there already is a success, for a call that is made again after a restart.
pub(super) fn add<'a>(
    caller: &'a Caller,
    service: &'static str,
    operation: &'static str,
    input: Value,
) -> Work<'a, ()> {
    Box::pin(async move {
        match caller.call(service, operation, input).await {
            Err(failure) if failure.is(HandlerErrorCode::AlreadyExists) => Ok(()),
            outcome => outcome.map(|_| ()),
        }
    })
}

/// Whether any of these properties differs from what it was.
pub(super) fn changed(wanted: &Wanted<'_>, old: &Wanted<'_>, properties: &[&str]) -> bool {
    properties.iter().any(|name| wanted.property(name) != old.property(name))
}

/// A part of an answer, or null.
pub(super) fn part(output: &Value, path: &str) -> Value {
    mapping::at(output, path).cloned().unwrap_or_default()
}

/// A filter of EC2's listings.
pub(super) fn filter(name: &str, value: &str) -> Value {
    Value::structure([("Name", name.into()), ("Values", vec![value].into())])
}

/// Properties that the type has at AWS and Gantry does not serve: a template that sets them is told so.
pub(super) fn refuse(wanted: &Wanted<'_>, properties: &[&str]) -> Result<(), Failure> {
    let is_set = |name: &&&str| match wanted.property(name) {
        Value::Null => false,
        Value::List(items) => !items.is_empty(),
        _ => true,
    };
    match properties.iter().find(is_set) {
        None => Ok(()),
        Some(name) => Err(Failure::handler(
            HandlerErrorCode::InvalidRequest,
            format!("Gantry does not support the property {name} of {} yet.", wanted.resource_type),
        )),
    }
}
