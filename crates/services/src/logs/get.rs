//! GetLogEvents: one stream, forwards and backwards.

use gantry_api::logs::*;
use gantry_api::{ApiError, CallContext};
use gantry_telemetry::logs::{Event, Order, Position};
use gantry_types::Timestamp;

use super::names::{identified, stream};
use super::read::{Answer, EVENTS_MAX, Request, TIME_MAX};
use super::token::{self, Direction};
use crate::Context;

/// A page is given in the order of time, whichever way it was read. Both tokens stay as they are at the ends.
pub(super) async fn get_log_events(
    context: &Context,
    call: &CallContext,
    input: &GetLogEventsRequest,
) -> Result<GetLogEventsResponse, ApiError> {
    let (group, stream) = context.read(|view| {
        let (name, identifier) = (input.log_group_name.as_deref(), input.log_group_identifier.as_deref());
        let group = identified(view, call, name, identifier)?.document;
        let stream = stream(view, &group, &input.log_stream_name)?.document;
        Ok::<_, ApiError>((group, stream))
    })?;
    let (direction, after) = match &input.next_token {
        Some(token) => token::read(token).map(|(direction, position)| (direction, Some(position)))?,
        None if input.start_from_head == Some(true) => (Direction::Forward, None),
        None => (Direction::Backward, None),
    };
    let given = input.start_time.map(Timestamp::from_millis);
    let from = given.max(group.expired_before(call.now));
    let request = Request {
        streams: vec![stream.stream_id()],
        from,
        to: input.end_time.map(Timestamp::from_millis),
        order: match direction {
            Direction::Forward => Order::OldestFirst,
            Direction::Backward => Order::NewestFirst,
        },
        after,
        events_max: input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(EVENTS_MAX),
        pattern: None,
        time_max: TIME_MAX,
    };
    let Answer { mut events, rest } = context.logs().read(request).await?;
    if direction == Direction::Backward {
        events.reverse();
    }
    let (back, forth) = ends(&events, direction, after, rest, from);
    let shown = |(_, event): (usize, Event)| OutputLogEvent {
        ingestion_time: Some(event.ingested_at.millis()),
        message: Some(event.message),
        timestamp: Some(event.at.millis()),
    };
    Ok(GetLogEventsResponse {
        events: Some(events.into_iter().map(shown).collect()),
        next_backward_token: Some(token::write(Direction::Backward, back)),
        next_forward_token: Some(token::write(Direction::Forward, forth)),
    })
}

/// Where to go on in both directions: before the first event of the page, and behind its last one.
fn ends(
    events: &[(usize, Event)],
    direction: Direction,
    after: Option<Position>,
    rest: Option<Position>,
    from: Option<Timestamp>,
) -> (Position, Position) {
    if let (Some((_, first)), Some((_, last))) = (events.first(), events.last()) {
        return (first.position(), last.position());
    }
    // An empty page: the place stays, or moves over what was read in vain.
    let start = Position { at: from.unwrap_or(Timestamp::EPOCH), number: 0 };
    let place = rest.or(after).unwrap_or(start);
    match direction {
        Direction::Forward => (next(place), place),
        Direction::Backward => (place, previous(place)),
    }
}

fn next(position: Position) -> Position {
    Position { number: position.number.saturating_add(1), ..position }
}

fn previous(position: Position) -> Position {
    match position.number.checked_sub(1) {
        Some(number) => Position { number, ..position },
        None => Position { at: position.at - std::time::Duration::from_millis(1), number: u64::MAX },
    }
}
