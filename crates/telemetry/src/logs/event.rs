//! Events, and the batches that they come in.

use std::sync::Arc;

use gantry_types::Timestamp;
use serde::{Deserialize, Serialize};

/// One life of one log stream. A stream that is deleted and made again has another id, so that old events stay gone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StreamId(pub String);

/// Lines for one stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    pub stream: StreamId,
    /// Who numbers the records: a container. Records that this source sent before are not kept twice.
    pub source: Option<String>,
    pub records: Vec<Record>,
    pub ingested_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Grows by source; 0 where the batch has none.
    pub sequence: u64,
    pub at: Timestamp,
    pub message: String,
}

/// An event as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub at: Timestamp,
    /// The event's number in this store: it grows with every event that is kept, and is never used twice.
    pub number: u64,
    pub ingested_at: Timestamp,
    pub message: String,
}

impl Event {
    pub fn position(&self) -> Position {
        Position { at: self.at, number: self.number }
    }
    /// What the event takes, as CloudWatch Logs counts it.
    pub fn bytes(&self) -> usize {
        self.message.len() + 26
    }
}

/// A place in the order of events: by time, then by arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    pub at: Timestamp,
    pub number: u64,
}

/// What subscribers are told.
#[derive(Debug, Clone)]
pub struct Appended {
    pub stream: StreamId,
    pub events: Arc<Vec<Event>>,
}

/// What is known of a stream without reading its events.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamSummary {
    pub first_event_at: Option<Timestamp>,
    pub last_event_at: Option<Timestamp>,
    pub last_ingested_at: Option<Timestamp>,
    pub bytes: u64,
}

impl StreamSummary {
    pub(super) fn add(&mut self, first: Timestamp, last: Timestamp, ingested: Timestamp, bytes: u64) {
        self.first_event_at = Some(self.first_event_at.map_or(first, |at| at.min(first)));
        self.last_event_at = Some(self.last_event_at.map_or(last, |at| at.max(last)));
        self.last_ingested_at = Some(self.last_ingested_at.map_or(ingested, |at| at.max(ingested)));
        self.bytes += bytes;
    }
}
