//! FilterLogEvents: all of a group's streams, or some, in the order of time.

use gantry_api::logs::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::View;
use gantry_telemetry::logs::{Event, Order};
use gantry_types::Timestamp;

use super::groups::streams_of;
use super::names::{identified, invalid, stream};
use super::pattern::Pattern;
use super::read::{EVENTS_MAX, Request, TIME_MAX};
use super::records::{Group, Stream};
use super::token::{digits, read_digits};
use crate::Context;

pub(super) async fn filter_log_events(
    context: &Context,
    call: &CallContext,
    input: &FilterLogEventsRequest,
) -> Result<FilterLogEventsResponse, ApiError> {
    if let (Some(start), Some(end)) = (input.start_time, input.end_time)
        && start > end
    {
        return Err(invalid("The specified time range is invalid: startTime must not be after endTime."));
    }
    let pattern = Pattern::parse(input.filter_pattern.as_deref().unwrap_or(""))
        .map_err(|error| invalid(format!("Invalid filter pattern: {error}")))?;
    let (group, streams) = context.read(|view| {
        let (name, identifier) = (input.log_group_name.as_deref(), input.log_group_identifier.as_deref());
        let group = identified(view, call, name, identifier)?.document;
        let streams = streams(view, &group, input)?;
        Ok::<_, ApiError>((group, streams))
    })?;
    let request = Request {
        streams: streams.iter().map(Stream::stream_id).collect(),
        from: input.start_time.map(Timestamp::from_millis).max(group.expired_before(call.now)),
        // Unlike GetLogEvents, this one includes its end.
        to: input.end_time.map(|end| Timestamp::from_millis(end.saturating_add(1))),
        order: Order::OldestFirst,
        after: input.next_token.as_deref().map(read_digits).transpose()?,
        events_max: input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(EVENTS_MAX),
        pattern: Some(pattern),
        time_max: TIME_MAX,
    };
    let answer = context.logs().read(request).await?;
    let shown = |(stream, event): (usize, Event)| FilteredLogEvent {
        event_id: Some(digits(event.position())),
        ingestion_time: Some(event.ingested_at.millis()),
        log_stream_name: streams.get(stream).map(|stream| stream.name.clone()),
        message: Some(event.message),
        timestamp: Some(event.at.millis()),
    };
    Ok(FilterLogEventsResponse {
        events: Some(answer.events.into_iter().map(shown).collect()),
        next_token: answer.rest.map(digits),
        searched_log_streams: Some(vec![]),
    })
}

fn streams(view: &View, group: &Group, input: &FilterLogEventsRequest) -> Result<Vec<Stream>, ApiError> {
    match (&input.log_stream_names, &input.log_stream_name_prefix) {
        (Some(_), Some(_)) => {
            Err(invalid("LogStreamNames and LogStreamNamePrefix are mutually exclusive parameters."))
        }
        (Some(names), None) => {
            let mut streams = names
                .iter()
                .map(|name| stream(view, group, name).map(|found| found.document))
                .collect::<Result<Vec<_>, _>>()?;
            streams.sort_by(|a, b| a.name.cmp(&b.name));
            streams.dedup_by(|a, b| a.id == b.id);
            Ok(streams)
        }
        (None, prefix) => {
            let prefix = prefix.as_deref().unwrap_or("");
            let all = streams_of(view, group)?.into_iter().map(|found| found.document);
            Ok(all.filter(|stream| stream.name.starts_with(prefix)).collect())
        }
    }
}
