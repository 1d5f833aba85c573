//! What happened to a stack, in order.

use gantry_api::ApiError;
use gantry_domain::object::Object;
use gantry_domain::{Change, Key, View};
use gantry_types::{Ids, Timestamp, Value};
use serde::{Deserialize, Serialize};

use super::{Resource, Stack, documents};
use crate::objects::{self, Found};

/// Events that a stack keeps; the oldest make room.
const EVENTS_MAX: usize = 4000;
/// Events that one commit clears away at most.
const CLEARED_MAX: usize = 8;
/// An event keeps its resource's properties up to this length.
const PROPERTIES_BYTES_MAX: usize = 16 << 10;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) at: Timestamp,
    pub(crate) logical_id: String,
    pub(crate) physical_id: Option<String>,
    pub(crate) resource_type: String,
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
    pub(crate) properties: Option<String>,
    pub(crate) token: Option<String>,
}

documents!(Event);

fn class(stack: &Stack) -> String {
    format!("cloudformation/event/{}/{}", stack.region, stack.uuid())
}

impl Event {
    /// Oldest first.
    pub(crate) fn list(view: &View, stack: &Stack) -> Result<Vec<Found<Self>>, ApiError> {
        objects::list(view, &class(stack))
    }
}

/// Writes the events of one commit.
pub(crate) struct Journal<'a> {
    stack: &'a Stack,
    now: Timestamp,
    /// The number behind which the next event stands.
    last: u64,
    pub(crate) changes: Vec<Change>,
}

impl<'a> Journal<'a> {
    /// Events follow each other in their names' order, also when the clock jumps back.
    pub(crate) fn new(view: &View, stack: &'a Stack, now: Timestamp) -> Self {
        let class = class(stack);
        let names: Vec<(&str, u64)> = view
            .scan::<Object>(&format!("{class}/"))
            .map(|event| (event.value().name.as_str(), event.revision))
            .collect();
        let number = |name: &str| name.split('-').next().and_then(|number| number.parse().ok());
        let last = names.last().and_then(|(name, _)| number(name)).unwrap_or(0);
        let excess = names.len().saturating_sub(EVENTS_MAX).min(CLEARED_MAX);
        let clear = |(name, revision): &(&str, u64)| Change::delete(Key::object(&class, name), *revision);
        Self { stack, now, last, changes: names[..excess].iter().map(clear).collect() }
    }

    /// The stack's own event: its status with its reason.
    pub(crate) fn stack(&mut self, ids: &mut Ids, stack: &Stack) {
        let event = Event {
            id: ids.uuid(),
            at: self.now,
            logical_id: stack.name.clone(),
            physical_id: Some(stack.id.clone()),
            resource_type: "AWS::CloudFormation::Stack".to_owned(),
            status: stack.status.as_str().to_owned(),
            reason: stack.reason.clone(),
            properties: None,
            token: None,
        };
        self.write(ids, event);
    }

    /// A resource's event: its status with its reason.
    pub(crate) fn resource(&mut self, ids: &mut Ids, resource: &Resource) {
        let status = resource.status.as_str();
        let properties = match &resource.now.properties {
            Value::Null => None,
            properties => serde_json::to_string(properties).ok(),
        };
        let event = Event {
            id: format!("{}-{status}-{}", resource.logical_id, self.now.iso8601()),
            at: self.now,
            logical_id: resource.logical_id.clone(),
            physical_id: resource.shown_id().map(str::to_owned).or(Some(String::new())),
            resource_type: resource.now.resource_type.clone(),
            status: status.to_owned(),
            reason: resource.reason.clone(),
            properties: properties.filter(|text| text.len() <= PROPERTIES_BYTES_MAX),
            token: None,
        };
        self.write(ids, event);
    }

    pub(crate) fn write(&mut self, ids: &mut Ids, mut event: Event) {
        event.token = self.stack.token.as_ref().map(|(token, _)| token.clone());
        self.last += 1;
        // Two commits at the same time may have the same number: they do not meet, and their order is nobody's.
        let name = format!("{:020}-{}", self.last, ids.hex(8));
        self.changes.push(objects::create(&class(self.stack), &name, event));
    }
}
