//! Reading events: by stream, by time, forwards and backwards, a page at a time.

use std::collections::BTreeMap;
use std::io;

use gantry_types::Timestamp;

use super::event::{Event, Position, StreamId};
use super::memtable::Memtable;
use super::segment::Segment;

/// Which end of the time range a page begins at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    OldestFirst,
    NewestFirst,
}

/// What to read. The limits are the caller's; both hold.
#[derive(Debug, Clone)]
pub struct Scan<'a> {
    pub streams: &'a [StreamId],
    /// Inclusive.
    pub from: Option<Timestamp>,
    /// Exclusive.
    pub to: Option<Timestamp>,
    pub order: Order,
    /// Only what comes behind this position, in the scan's order.
    pub after: Option<Position>,
    pub events_max: usize,
    pub bytes_max: usize,
}

/// Events in the scan's order, each with the index of its stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    pub events: Vec<(usize, Event)>,
    /// There is more behind the last event.
    pub more: bool,
}

/// The events of a page, kept sorted; never more than the limit and one.
struct Best {
    order: Order,
    events_max: usize,
    events: BTreeMap<Position, (usize, Event)>,
}

impl Best {
    fn is_wanted(&self, position: Position) -> bool {
        self.events.len() <= self.events_max
            || match self.order {
                Order::OldestFirst => self.events.last_key_value().is_some_and(|(last, _)| position < *last),
                Order::NewestFirst => {
                    self.events.first_key_value().is_some_and(|(first, _)| position > *first)
                }
            }
    }
    fn add(&mut self, stream: usize, event: &Event) {
        self.events.insert(event.position(), (stream, event.clone()));
        if self.events.len() > self.events_max + 1 {
            match self.order {
                Order::OldestFirst => self.events.pop_last(),
                Order::NewestFirst => self.events.pop_first(),
            };
        }
    }
}

impl Scan<'_> {
    fn admits(&self, position: Position) -> bool {
        let behind = self.after.is_none_or(|after| match self.order {
            Order::OldestFirst => position > after,
            Order::NewestFirst => position < after,
        });
        behind
            && self.from.is_none_or(|from| position.at >= from)
            && self.to.is_none_or(|to| position.at < to)
    }

    /// Whether events between two positions can be admitted.
    fn may_admit(&self, first: Position, last: Position) -> bool {
        let behind = self.after.is_none_or(|after| match self.order {
            Order::OldestFirst => last > after,
            Order::NewestFirst => first < after,
        });
        behind && self.from.is_none_or(|from| last.at >= from) && self.to.is_none_or(|to| first.at < to)
    }
}

/// Reads one page; `keep` says which events count.
pub(super) fn scan<'a>(
    scan: &Scan<'_>,
    segments: impl Iterator<Item = &'a Segment>,
    memtable: &Memtable,
    mut keep: impl FnMut(&Event) -> bool,
) -> io::Result<Page> {
    let wanted: BTreeMap<&StreamId, usize> = scan.streams.iter().enumerate().map(|(i, s)| (s, i)).collect();
    let mut best = Best { order: scan.order, events_max: scan.events_max, events: BTreeMap::new() };
    for segment in segments {
        for block in &segment.blocks {
            let Some(stream) = wanted.get(&block.stream) else { continue };
            let nearest = match scan.order {
                Order::OldestFirst => block.first,
                Order::NewestFirst => block.last,
            };
            if !scan.may_admit(block.first, block.last) || !best.is_wanted(nearest) {
                continue;
            }
            for event in segment.read(block)? {
                if scan.admits(event.position()) && best.is_wanted(event.position()) && keep(&event) {
                    best.add(*stream, &event);
                }
            }
        }
    }
    for (stream, index) in &wanted {
        for event in memtable.streams.get(*stream).into_iter().flatten() {
            if scan.admits(event.position()) && best.is_wanted(event.position()) && keep(event) {
                best.add(*index, event);
            }
        }
    }
    Ok(cut(scan, best))
}

/// The page's events within both limits; at least one event, so that a reader always gets on.
fn cut(scan: &Scan<'_>, best: Best) -> Page {
    let found = best.events.len();
    let ordered: Box<dyn Iterator<Item = (usize, Event)>> = match scan.order {
        Order::OldestFirst => Box::new(best.events.into_values()),
        Order::NewestFirst => Box::new(best.events.into_values().rev()),
    };
    let mut page = Page::default();
    let mut bytes = 0;
    for (stream, event) in ordered.take(scan.events_max) {
        bytes += event.bytes();
        if bytes > scan.bytes_max && !page.events.is_empty() {
            break;
        }
        page.events.push((stream, event));
    }
    page.more = page.events.len() < found;
    page
}
