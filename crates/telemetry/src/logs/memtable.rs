//! Events that no segment holds yet.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::event::{Batch, Event, StreamId};

/// Sources that are remembered. A source that has not sent for so long that this many others came after it is gone: its
/// container's spool is bounded in time too.
const SOURCES_MAX: usize = 8192;

/// Events by stream, in the order of their arrival.
#[derive(Debug, Default)]
pub(super) struct Memtable {
    pub(super) streams: BTreeMap<StreamId, Vec<Event>>,
    pub(super) bytes: usize,
}

impl Memtable {
    pub(super) fn add(&mut self, stream: &StreamId, events: &[Event]) {
        self.bytes += events.iter().map(Event::bytes).sum::<usize>();
        match self.streams.get_mut(stream) {
            Some(known) => known.extend_from_slice(events),
            None => {
                self.streams.insert(stream.clone(), events.to_vec());
            }
        }
    }
    pub(super) fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }
}

/// How far each source has come, and the next event's number: what makes kept events out of batches.
#[derive(Debug, Default)]
pub(super) struct Numbering {
    pub(super) sources: HashMap<String, Source>,
    pub(super) next: u64,
}

/// One source's last record, and the event that was made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Source {
    pub(super) sequence: u64,
    pub(super) number: u64,
}

impl Numbering {
    /// The events of a batch that were not kept before.
    pub(super) fn admit(&mut self, batch: Batch) -> Vec<Event> {
        let mut events = Vec::with_capacity(batch.records.len());
        let known = batch.source.as_ref().and_then(|source| self.sources.get(source));
        let mut last = known.map(|source| source.sequence);
        for record in batch.records {
            if batch.source.is_some() {
                if last.is_some_and(|last| record.sequence <= last) {
                    continue;
                }
                last = Some(record.sequence);
            }
            let (at, ingested_at) = (record.at, batch.ingested_at);
            events.push(Event { at, number: self.next, ingested_at, message: record.message });
            self.next += 1;
        }
        if let (Some(source), Some(sequence)) = (batch.source, last) {
            self.sources.insert(source, Source { sequence, number: self.next });
        }
        events
    }

    /// Forgets the sources that were silent the longest, down to the limit.
    pub(super) fn prune(&mut self) {
        let Some(surplus) = self.sources.len().checked_sub(SOURCES_MAX).filter(|surplus| *surplus > 0) else {
            return;
        };
        let mut numbers: Vec<u64> = self.sources.values().map(|source| source.number).collect();
        numbers.sort_unstable();
        let oldest_kept = numbers[surplus];
        self.sources.retain(|_, source| source.number >= oldest_kept);
    }
}
