//! Reading events without holding anybody up.
//!
//! The log store reads a page at a time and cannot be told to stop. So a request is cut into slices of time, short at first
//! and longer where little is found; between two slices the store's writer gets its turn. When the request's own time is
//! over, it answers with what it has and a place to go on from.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use gantry_api::ApiError;
use gantry_api::logs::errors;
use gantry_telemetry::logs::{Event, LogStore, Order, Position, Scan, StreamId, StreamSummary};
use gantry_types::Timestamp;

use super::Logs;
use super::pattern::Pattern;

/// Events and bytes of one answer.
pub(super) const EVENTS_MAX: usize = 10_000;
pub(super) const BYTES_MAX: usize = 1 << 20;
/// How long one request may read.
pub(super) const TIME_MAX: Duration = Duration::from_secs(2);
const SLICE_FIRST_MS: i64 = 60_000;
const SLICE_SHORTEST_MS: i64 = 100;
/// A slice that took less is followed by one twice as long, one that took much more by one half as long.
const SLICE_TARGET: Duration = Duration::from_millis(50);

pub(super) struct Request {
    pub(super) streams: Vec<StreamId>,
    /// Inclusive.
    pub(super) from: Option<Timestamp>,
    /// Exclusive.
    pub(super) to: Option<Timestamp>,
    pub(super) order: Order,
    /// Behind this place, in the order of the request.
    pub(super) after: Option<Position>,
    pub(super) events_max: usize,
    pub(super) pattern: Option<Pattern>,
    /// After this time the answer is what was found by then. Every request gets on by one slice at least.
    pub(super) time_max: Duration,
}

/// Events in the request's order, each with its stream's index.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) events: Vec<(usize, Event)>,
    /// Where to go on, unless everything was read.
    pub(super) rest: Option<Position>,
}

impl Logs {
    pub(super) async fn read(&self, request: Request) -> Result<Answer, ApiError> {
        let answer = self.aside(move |store| read(store, &request)).await?;
        answer.map_err(|error| unavailable(&error))
    }

    /// What is known of each stream.
    pub(super) async fn summaries(&self, streams: Vec<StreamId>) -> Result<Vec<StreamSummary>, ApiError> {
        self.aside(move |store| streams.iter().map(|stream| store.summary(stream)).collect()).await
    }

    /// Works with the store on another thread: the store may be busy with its disk.
    async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&LogStore) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let _turn = self.readers.acquire().await.map_err(|closed| unavailable(&closed))?;
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || work(&store)).await.map_err(|panic| unavailable(&panic))
    }
}

fn unavailable(reason: &dyn std::fmt::Display) -> ApiError {
    tracing::error!("reading logs: {reason}");
    errors::service_unavailable_exception("The log events can not be read now. Try again.")
}

/// What is still to be read: times from `start` up to `end`, exclusive.
struct Span {
    start: i64,
    end: i64,
}

fn read(store: &LogStore, request: &Request) -> std::io::Result<Answer> {
    let mut answer = Answer::default();
    let Some(mut span) = span(store, request) else { return Ok(answer) };
    let began = Instant::now();
    let mut slice_ms = SLICE_FIRST_MS;
    let mut bytes_left = BYTES_MAX;
    while span.start < span.end {
        let (slice, behind) = cut(&span, request.order, slice_ms);
        let slice_began = Instant::now();
        let read = read_slice(store, request, &slice, &mut bytes_left, &mut answer)?;
        if let ControlFlow::Break(()) = read {
            return Ok(answer);
        }
        let took = slice_began.elapsed();
        if took < SLICE_TARGET {
            slice_ms = slice_ms.saturating_mul(2);
        } else if took > SLICE_TARGET * 4 {
            slice_ms = (slice_ms / 2).max(SLICE_SHORTEST_MS);
        }
        span = behind;
        if span.start < span.end && began.elapsed() >= request.time_max {
            answer.rest = Some(edge(&span, request.order));
            break;
        }
    }
    Ok(answer)
}

/// Breaks when the answer is full.
fn read_slice(
    store: &LogStore,
    request: &Request,
    slice: &Span,
    bytes_left: &mut usize,
    answer: &mut Answer,
) -> std::io::Result<ControlFlow<()>> {
    let scan = Scan {
        streams: &request.streams,
        from: Some(Timestamp::from_millis(slice.start)),
        to: Some(Timestamp::from_millis(slice.end)),
        order: request.order,
        after: request.after,
        events_max: request.events_max - answer.events.len(),
        bytes_max: *bytes_left,
    };
    let keep = |event: &Event| request.pattern.as_ref().is_none_or(|pattern| pattern.matches(&event.message));
    let page = store.scan(&scan, keep)?;
    let before = answer.events.len();
    let mut is_full = page.more;
    for (stream, event) in page.events {
        let bytes = event.bytes();
        // A page has at least one event, whatever its size: beyond the first one that may be too much.
        if bytes > *bytes_left && !answer.events.is_empty() {
            is_full = true;
            break;
        }
        *bytes_left = bytes_left.saturating_sub(bytes);
        answer.events.push((stream, event));
    }
    is_full |= answer.events.len() == request.events_max;
    if !is_full {
        return Ok(ControlFlow::Continue(()));
    }
    let last = answer.events.last().map(|(_, event)| event.position());
    // Nothing of this slice had room: it begins with the next answer.
    answer.rest = if answer.events.len() > before { last } else { last.or(Some(edge(slice, request.order))) };
    Ok(ControlFlow::Break(()))
}

/// The time in which there may be something: what was asked, within what the streams have.
fn span(store: &LogStore, request: &Request) -> Option<Span> {
    let summaries = request.streams.iter().map(|stream| store.summary(stream));
    let (mut first, mut last) = (i64::MAX, i64::MIN);
    for summary in summaries {
        first = first.min(summary.first_event_at.map_or(i64::MAX, Timestamp::millis));
        last = last.max(summary.last_event_at.map_or(i64::MIN, Timestamp::millis));
    }
    if first > last {
        return None;
    }
    let mut span = Span {
        start: first.max(request.from.map_or(i64::MIN, Timestamp::millis)),
        end: last.saturating_add(1).min(request.to.map_or(i64::MAX, Timestamp::millis)),
    };
    match (request.after, request.order) {
        (Some(after), Order::OldestFirst) => span.start = span.start.max(after.at.millis()),
        (Some(after), Order::NewestFirst) => span.end = span.end.min(after.at.millis().saturating_add(1)),
        (None, _) => {}
    }
    Some(span)
}

/// The next slice, and what is behind it.
fn cut(span: &Span, order: Order, slice_ms: i64) -> (Span, Span) {
    match order {
        Order::OldestFirst => {
            let middle = span.start.saturating_add(slice_ms).min(span.end);
            (Span { start: span.start, end: middle }, Span { start: middle, end: span.end })
        }
        Order::NewestFirst => {
            let middle = span.end.saturating_sub(slice_ms).max(span.start);
            (Span { start: middle, end: span.end }, Span { start: span.start, end: middle })
        }
    }
}

/// The place from which everything in the span is still to come. Events are numbered from 1.
fn edge(span: &Span, order: Order) -> Position {
    let millis = match order {
        Order::OldestFirst => span.start,
        Order::NewestFirst => span.end,
    };
    Position { at: Timestamp::from_millis(millis), number: 0 }
}

#[cfg(test)]
mod tests {
    use gantry_telemetry::logs::{Batch, Limits, Record};

    use super::*;

    /// A request that has no time at all still gets on, and those that follow it miss nothing.
    #[tokio::test]
    async fn requests_without_time_get_on_slice_by_slice() {
        let folder = tempfile::tempdir().unwrap();
        let store = LogStore::open(folder.path(), Limits::default()).unwrap();
        let stream = StreamId("s".to_owned());
        let times: Vec<i64> = (0..40).map(|number| number * number * 5_000).collect();
        let record =
            |at: &i64| Record { sequence: 0, at: Timestamp::from_millis(*at), message: "m".to_owned() };
        let records = times.iter().map(record).collect();
        let batch = Batch { stream: stream.clone(), source: None, records, ingested_at: Timestamp::EPOCH };
        store.append(batch).await.unwrap();
        for order in [Order::OldestFirst, Order::NewestFirst] {
            let (mut after, mut seen, mut requests) = (None, Vec::new(), 0);
            loop {
                let request = Request {
                    streams: vec![stream.clone()],
                    from: None,
                    to: None,
                    order,
                    after,
                    events_max: EVENTS_MAX,
                    pattern: None,
                    time_max: Duration::ZERO,
                };
                let answer = read(&store, &request).unwrap();
                seen.extend(answer.events.iter().map(|(_, event)| event.at.millis()));
                requests += 1;
                assert!(requests < 200, "it does not get on");
                match answer.rest {
                    Some(rest) => after = Some(rest),
                    None => break,
                }
            }
            if order == Order::NewestFirst {
                seen.reverse();
            }
            assert_eq!(seen, times);
            assert!(requests > 40, "each was cut short");
        }
    }
}
