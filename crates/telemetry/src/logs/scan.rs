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

/// The events of a page, kept sorted: what fits into both limits, and one more that says that there is more. So a scan's
/// memory is bounded by its limits, however much it finds.
struct Best {
    order: Order,
    events_max: usize,
    bytes_max: usize,
    events: BTreeMap<Position, (usize, Event)>,
    bytes: usize,
}

impl Best {
    fn new(scan: &Scan<'_>) -> Self {
        let Scan { order, events_max, bytes_max, .. } = *scan;
        Self { order, events_max, bytes_max, events: BTreeMap::new(), bytes: 0 }
    }

    fn farthest(&self) -> Option<(&Position, &(usize, Event))> {
        match self.order {
            Order::OldestFirst => self.events.last_key_value(),
            Order::NewestFirst => self.events.first_key_value(),
        }
    }

    fn is_wanted(&self, position: Position) -> bool {
        let is_full =
            self.events.len() > self.events_max || self.events.len() > 1 && self.bytes > self.bytes_max;
        !is_full
            || self.farthest().is_some_and(|(farthest, _)| match self.order {
                Order::OldestFirst => position < *farthest,
                Order::NewestFirst => position > *farthest,
            })
    }

    fn add(&mut self, stream: usize, event: &Event) {
        if self.events.insert(event.position(), (stream, event.clone())).is_none() {
            self.bytes += event.bytes();
        }
        while let Some((position, (_, farthest))) = self.farthest() {
            let (position, bytes) = (*position, farthest.bytes());
            // A page has one event at least, whatever its size.
            let is_beyond_bytes = self.events.len() > 2 && self.bytes - bytes > self.bytes_max;
            if self.events.len() <= self.events_max + 1 && !is_beyond_bytes {
                break;
            }
            self.events.remove(&position);
            self.bytes -= bytes;
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
    let mut best = Best::new(scan);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: u64, bytes: usize) -> Event {
        let at = Timestamp::from_millis(i64::try_from(number % 7).unwrap());
        Event { at, number, ingested_at: at, message: "x".repeat(bytes - 26) }
    }

    /// Whatever the events' sizes and the order in which they are found, a page is the beginning of the sorted list, and what
    /// was held to find it has a bound.
    #[test]
    fn a_page_is_the_beginning_of_the_sorted_list() {
        let mut state = 7_u64;
        let mut random = |bound: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % bound
        };
        for round in 0..400 {
            let largest = [30, 60, 400][round % 3];
            let events: Vec<Event> = (0..random(40))
                .map(|number| event(number, 26 + usize::try_from(random(largest)).unwrap()))
                .collect();
            let order = if random(2) == 0 { Order::OldestFirst } else { Order::NewestFirst };
            let events_max = 1 + usize::try_from(random(20)).unwrap();
            let bytes_max = 20 + usize::try_from(random(600)).unwrap();
            let scan = Scan { streams: &[], from: None, to: None, order, after: None, events_max, bytes_max };
            let mut best = Best::new(&scan);
            for event in &events {
                if best.is_wanted(event.position()) {
                    best.add(0, event);
                }
                assert!(best.events.len() <= events_max + 1);
                assert!(best.bytes <= bytes_max + 2 * 426, "{} of {bytes_max}", best.bytes);
            }
            let mut sorted: Vec<&Event> = events.iter().collect();
            sorted.sort_by_key(|event| event.position());
            if order == Order::NewestFirst {
                sorted.reverse();
            }
            let mut bytes = 0;
            let fits = |event: &&&Event| {
                bytes += event.bytes();
                bytes <= bytes_max
            };
            let expected = sorted.iter().take(events_max).take_while(fits).count().max(1).min(sorted.len());
            let page = cut(&scan, best);
            let found: Vec<u64> = page.events.iter().map(|(_, event)| event.number).collect();
            let numbers: Vec<u64> = sorted[..expected].iter().map(|event| event.number).collect();
            assert_eq!((found, page.more), (numbers, expected < sorted.len()), "round {round}");
        }
    }
}
