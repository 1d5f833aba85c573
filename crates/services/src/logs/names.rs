//! How callers name groups and streams, and the errors for what is not there.

use gantry_api::logs::errors;
use gantry_api::{ApiError, CallContext};
use gantry_domain::View;
use gantry_types::{ACCOUNT, Arn, Region};

use super::records::{Group, Stream, groups, streams};
use crate::objects::{self, Found};

pub(super) const GROUP_NAME_CHARACTERS_MAX: usize = 512;
const STREAM_NAME_CHARACTERS_MAX: usize = 512;

pub(super) fn invalid(message: impl Into<String>) -> ApiError {
    errors::invalid_parameter_exception(message)
}

pub(super) fn group_missing() -> ApiError {
    errors::resource_not_found_exception("The specified log group does not exist.")
}

pub(super) fn stream_missing() -> ApiError {
    errors::resource_not_found_exception("The specified log stream does not exist.")
}

/// What a group may be called. The wire checks what comes from clients; containers name groups too.
pub(super) fn is_group_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_/#".contains(&byte);
    !name.is_empty() && name.len() <= GROUP_NAME_CHARACTERS_MAX && name.bytes().all(allowed)
}

pub(super) fn is_stream_name(name: &str) -> bool {
    !name.is_empty() && name.chars().count() <= STREAM_NAME_CHARACTERS_MAX && !name.contains([':', '*'])
}

pub(super) fn find_group(view: &View, region: &Region, name: &str) -> Result<Option<Found<Group>>, ApiError> {
    objects::find(view, &groups(region), name)
}

pub(super) fn group(view: &View, region: &Region, name: &str) -> Result<Found<Group>, ApiError> {
    find_group(view, region, name)?.ok_or_else(group_missing)
}

pub(super) fn find_stream(view: &View, group: &Group, name: &str) -> Result<Option<Found<Stream>>, ApiError> {
    objects::find(view, &streams(group), name)
}

pub(super) fn stream(view: &View, group: &Group, name: &str) -> Result<Found<Stream>, ApiError> {
    find_stream(view, group, name)?.ok_or_else(stream_missing)
}

/// A group by its name or by either of its ARNs, of which one and only one has to be given.
pub(super) fn identified(
    view: &View,
    call: &CallContext,
    name: Option<&str>,
    identifier: Option<&str>,
) -> Result<Found<Group>, ApiError> {
    match (name, identifier) {
        (Some(name), None) => group(view, &call.region, name),
        (None, Some(identifier)) if identifier.starts_with("arn:") => by_arn(view, identifier),
        (None, Some(name)) => group(view, &call.region, name),
        (Some(_), Some(_)) => {
            Err(invalid("LogGroup name and LogGroup ARN are mutually exclusive parameters."))
        }
        (None, None) => Err(invalid("Either LogGroup name or LogGroup ARN must be provided.")),
    }
}

/// A group by its ARN, with or without `:*` behind it.
pub(super) fn by_arn(view: &View, text: &str) -> Result<Found<Group>, ApiError> {
    let arn: Arn = text.parse().map_err(|_| invalid("The specified ARN is not valid."))?;
    let resource = arn.resource();
    let name = resource.strip_prefix("log-group:").filter(|_| arn.service() == "logs");
    let name = name.ok_or_else(|| invalid("The specified ARN is not valid."))?;
    if arn.account() != ACCOUNT {
        return Err(group_missing());
    }
    group(view, &Region::new(arn.region()), name.strip_suffix(":*").unwrap_or(name))
}
