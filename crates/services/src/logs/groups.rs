//! Log groups.

use gantry_api::logs::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::object::Object;
use gantry_domain::{Change, View};
use gantry_types::{Ids, Region, Timestamp};

use super::names::{find_group, group, invalid};
use super::records::{Group, Stream, group_arn, groups, streams};
use super::tags::check_tags;
use crate::Decision;
use crate::objects::{self, Found};

const GROUPS_MAX: usize = 10_000;
/// Streams that go together with their group; the others are cleared away later.
const STREAMS_DELETED_MAX: usize = 100;
/// The days that a group may keep its events.
const RETENTION_DAYS: [i32; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

pub(super) fn create(
    view: &View,
    call: &CallContext,
    input: &CreateLogGroupRequest,
    ids: &mut Ids,
) -> Decision<()> {
    let name = input.log_group_name.as_str();
    if name.to_ascii_lowercase().starts_with("aws/") {
        return Err(invalid("Log groups starting with AWS/ are reserved for AWS."));
    }
    if find_group(view, &call.region, name)?.is_some() {
        return Err(errors::resource_already_exists_exception("The specified log group already exists"));
    }
    let tags = input.tags.clone().unwrap_or_default();
    check_tags(call, &tags)?;
    let mut made = made(view, &call.region, name, call.now, ids)?;
    made.tags = tags;
    made.shown.kms_key_id = input.kms_key_id.clone();
    made.shown.deletion_protection_enabled = input.deletion_protection_enabled;
    if let Some(class) = &input.log_group_class {
        made.shown.log_group_class = Some(class.clone());
    }
    Ok(((), vec![objects::create(&groups(&call.region), name, made)]))
}

/// A new group that keeps its events for ever.
pub(super) fn made(
    view: &View,
    region: &Region,
    name: &str,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<Group, ApiError> {
    let class = groups(region);
    if view.scan::<Object>(&format!("{class}/")).count() >= GROUPS_MAX {
        return Err(errors::limit_exceeded_exception("Resource limit exceeded."));
    }
    let arn = group_arn(region, name);
    let shown = LogGroup {
        arn: Some(format!("{arn}:*")),
        creation_time: Some(now.millis()),
        log_group_arn: Some(arn),
        log_group_class: Some("STANDARD".to_owned()),
        log_group_name: Some(name.to_owned()),
        metric_filter_count: Some(0),
        ..LogGroup::default()
    };
    Ok(Group { id: ids.hex(32), shown, tags: Default::default() })
}

/// Without its record nothing of a group is found any more, so it may have any number of streams.
pub(super) fn delete(
    view: &View,
    call: &CallContext,
    input: &DeleteLogGroupRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let group = group(view, &call.region, &input.log_group_name)?;
    if group.document.shown.deletion_protection_enabled == Some(true) {
        return Err(errors::validation_exception(
            "The log group cannot be deleted while its deletion protection is enabled.",
        ));
    }
    let class = streams(&group.document);
    let streams = view.scan::<Object>(&format!("{class}/")).take(STREAMS_DELETED_MAX);
    let mut changes: Vec<Change> = streams.map(|stream| delete_object(&stream, stream.revision)).collect();
    changes.push(group.delete());
    Ok(((), changes))
}

pub(super) fn delete_object(object: &Object, revision: u64) -> Change {
    Change::delete(gantry_domain::Key::object(&object.class, &object.name), revision)
}

pub(super) fn put_retention(
    view: &View,
    call: &CallContext,
    input: &PutRetentionPolicyRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let days = input.retention_in_days;
    if !RETENTION_DAYS.contains(&days) {
        let allowed = RETENTION_DAYS.map(|days| days.to_string()).join(", ");
        return Err(invalid(format!(
            "1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint: Member must \
             satisfy enum value set: [{allowed}]"
        )));
    }
    let mut group = group(view, &call.region, &input.log_group_name)?;
    group.document.shown.retention_in_days = Some(days);
    Ok(((), vec![group.update()]))
}

pub(super) fn delete_retention(
    view: &View,
    call: &CallContext,
    input: &DeleteRetentionPolicyRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let mut group = group(view, &call.region, &input.log_group_name)?;
    group.document.shown.retention_in_days = None;
    Ok(((), vec![group.update()]))
}

/// The streams of a group, in the order of their names.
pub(super) fn streams_of(view: &View, group: &Group) -> Result<Vec<Found<Stream>>, ApiError> {
    objects::list(view, &streams(group))
}
