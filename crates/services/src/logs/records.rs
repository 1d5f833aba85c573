//! What is kept of groups and streams.

use std::collections::BTreeMap;
use std::time::Duration;

use gantry_api::logs::LogGroup;
use gantry_api::{FromValue, IntoValue, Mismatch};
use gantry_telemetry::logs::StreamId;
use gantry_types::{Region, Timestamp, Value, arn};

/// A log group: what callers are shown of it, and what they are not.
#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    /// Of this life of the group.
    pub(super) id: String,
    pub(super) shown: LogGroup,
    pub(super) tags: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Stream {
    /// Of this life of the stream: its events are found by it.
    pub(super) id: String,
    pub(super) name: String,
    pub(super) created_at: Timestamp,
    /// What clients of former days send back with their next batch. It never changes and is not checked.
    pub(super) sequence_token: String,
}

/// The class of a region's groups.
pub(super) fn groups(region: &Region) -> String {
    format!("{GROUPS}/{region}")
}

/// The class of a group's streams.
pub(super) fn streams(group: &Group) -> String {
    format!("{STREAMS}/{}", group.id)
}

pub(super) const GROUPS: &str = "logs/group";
pub(super) const STREAMS: &str = "logs/stream";

impl Group {
    pub(super) fn name(&self) -> &str {
        self.shown.log_group_name.as_deref().unwrap_or("")
    }

    /// Events before this time are gone for whoever asks, whether or not they still lie on disk.
    pub(super) fn expired_before(&self, now: Timestamp) -> Option<Timestamp> {
        let days = u64::try_from(self.shown.retention_in_days?).ok()?;
        Some(now - Duration::from_secs(days * 86_400))
    }
}

impl Stream {
    pub(super) fn stream_id(&self) -> StreamId {
        StreamId(self.id.clone())
    }
}

/// The group's ARN without the `:*` that stands for its streams.
pub(super) fn group_arn(region: &Region, name: &str) -> String {
    arn("logs", region.as_str(), &format!("log-group:{name}")).to_string()
}

fn part<'v>(value: &'v Value, name: &str) -> &'v Value {
    value.get(name).unwrap_or(&Value::Null)
}

impl FromValue for Group {
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        Ok(Self {
            id: FromValue::from_value(part(value, "Id"))?,
            shown: FromValue::from_value(part(value, "Shown"))?,
            tags: FromValue::from_value(part(value, "Tags"))?,
        })
    }
}

impl IntoValue for Group {
    fn into_value(self) -> Value {
        Value::structure([
            ("Id", self.id.into()),
            ("Shown", self.shown.into_value()),
            ("Tags", self.tags.into_value()),
        ])
    }
}

impl FromValue for Stream {
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        Ok(Self {
            id: FromValue::from_value(part(value, "Id"))?,
            name: FromValue::from_value(part(value, "Name"))?,
            created_at: FromValue::from_value(part(value, "CreatedAt"))?,
            sequence_token: FromValue::from_value(part(value, "SequenceToken"))?,
        })
    }
}

impl IntoValue for Stream {
    fn into_value(self) -> Value {
        Value::structure([
            ("Id", self.id.into()),
            ("Name", self.name.into()),
            ("CreatedAt", self.created_at.into()),
            ("SequenceToken", self.sequence_token.into()),
        ])
    }
}
