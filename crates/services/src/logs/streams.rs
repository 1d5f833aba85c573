//! Log streams.

use std::cmp::Ordering;

use gantry_api::logs::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::object::Object;
use gantry_domain::{Change, View};
use gantry_telemetry::logs::StreamSummary;
use gantry_types::{Ids, Timestamp};

use super::Logs;
use super::groups::{delete_object, streams_of};
use super::names::{find_stream, group, identified, invalid, stream};
use super::records::{Group, Stream, group_arn, streams};
use super::token::invalid_token;
use crate::objects::{self, Found};
use crate::{Context, Decision};

/// Every task that starts makes a stream. A group that has so many makes room.
const STREAMS_PER_GROUP_MAX: usize = 10_000;
/// Streams that go then, those that were silent the longest: fewer than fit into one commit.
const STREAMS_CLEARED: usize = 64;
const STREAMS_DEFAULT: i32 = 50;

pub(super) async fn create(
    context: &Context,
    call: &CallContext,
    input: &CreateLogStreamRequest,
) -> Result<(), ApiError> {
    let decide = |view: &View, ids: &mut Ids| {
        let group = group(view, &call.region, &input.log_group_name)?;
        let name = &input.log_stream_name;
        if find_stream(view, &group.document, name)?.is_some() {
            return Err(errors::resource_already_exists_exception("The specified log stream already exists"));
        }
        let (_, mut changes) = made(context.logs(), view, &group.document, name, call.now, ids)?;
        changes.push(group.check());
        Ok(((), changes))
    };
    context.attempt(decide).await
}

/// A new stream, and the changes that make it and room for it.
pub(super) fn made(
    logs: &Logs,
    view: &View,
    group: &Group,
    name: &str,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<(Stream, Vec<Change>), ApiError> {
    let class = streams(group);
    let mut changes = Vec::new();
    if view.scan::<Object>(&format!("{class}/")).count() >= STREAMS_PER_GROUP_MAX {
        let mut others = streams_of(view, group)?;
        others.sort_by_cached_key(|stream| {
            let last_event_at = logs.store.summary(&stream.document.stream_id()).last_event_at;
            last_event_at.unwrap_or(stream.document.created_at)
        });
        changes.extend(others.iter().take(STREAMS_CLEARED).map(Found::delete));
    }
    let stream =
        Stream { id: ids.hex(32), name: name.to_owned(), created_at: now, sequence_token: ids.digits(56) };
    changes.push(objects::create(&class, name, stream.clone()));
    Ok((stream, changes))
}

pub(super) fn delete(
    view: &View,
    call: &CallContext,
    input: &DeleteLogStreamRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let group = group(view, &call.region, &input.log_group_name)?;
    let stream = stream(view, &group.document, &input.log_stream_name)?;
    Ok(((), vec![stream.delete()]))
}

/// The changes that clear away what a deleted group left behind.
pub(super) fn orphans<'v>(
    view: &'v View,
    is_known: impl Fn(&str) -> bool + 'v,
) -> impl Iterator<Item = Change> + 'v {
    let prefix = format!("{}/", super::records::STREAMS);
    let streams = view.scan::<Object>(&prefix);
    streams
        .filter(move |stream| stream.class.strip_prefix(&prefix).is_some_and(|group| !is_known(group)))
        .map(|stream| delete_object(&stream, stream.revision))
}

/// A stream's place in a listing.
struct Place {
    last_event_at: i64,
    name: String,
}

pub(super) async fn describe(
    context: &Context,
    call: &CallContext,
    input: &DescribeLogStreamsRequest,
) -> Result<DescribeLogStreamsResponse, ApiError> {
    let by_time = input.order_by.as_deref() == Some("LastEventTime");
    if by_time && input.log_stream_name_prefix.is_some() {
        return Err(invalid("Cannot order by LastEventTime with a logStreamNamePrefix."));
    }
    let (group, found) = context.read(|view| {
        let (name, identifier) = (input.log_group_name.as_deref(), input.log_group_identifier.as_deref());
        let group = identified(view, call, name, identifier)?.document;
        let found = streams_of(view, &group)?;
        Ok::<_, ApiError>((group, found))
    })?;
    let prefix = input.log_stream_name_prefix.as_deref().unwrap_or("");
    let expired_before = group.expired_before(call.now);
    let region = group.shown.log_group_arn.as_deref().and_then(|arn| arn.split(':').nth(3)).unwrap_or("");
    let wanted: Vec<Stream> = found
        .into_iter()
        .map(|found| found.document)
        .filter(|stream| stream.name.starts_with(prefix))
        .collect();
    let summaries = context.logs().summaries(wanted.iter().map(Stream::stream_id).collect()).await?;
    let shown =
        |(stream, summary): (&Stream, StreamSummary)| shown(summary, &group, region, expired_before, stream);
    let mut streams: Vec<LogStream> = wanted.iter().zip(summaries).map(shown).collect();

    let order = |a: &Place, b: &Place| {
        let order = if by_time { a.last_event_at.cmp(&b.last_event_at) } else { Ordering::Equal };
        let order = order.then_with(|| a.name.cmp(&b.name));
        if input.descending == Some(true) { order.reverse() } else { order }
    };
    streams.sort_by(|a, b| order(&place(a), &place(b)));
    if let Some(token) = input.next_token.as_deref() {
        let after = read_token(token)?;
        streams.retain(|stream| order(&place(stream), &after) == Ordering::Greater);
    }
    let size = usize::try_from(input.limit.unwrap_or(STREAMS_DEFAULT)).unwrap_or(1);
    let next_token = (streams.len() > size).then(|| write_token(&place(&streams[size - 1])));
    streams.truncate(size);
    Ok(DescribeLogStreamsResponse { log_streams: Some(streams), next_token })
}

fn shown(
    mut summary: StreamSummary,
    group: &Group,
    region: &str,
    expired_before: Option<Timestamp>,
    stream: &Stream,
) -> LogStream {
    if summary.last_event_at < expired_before {
        summary = StreamSummary::default();
    }
    let first = summary.first_event_at.max(summary.first_event_at.and(expired_before));
    let arn = group_arn(&region.into(), group.name());
    LogStream {
        arn: Some(format!("{arn}:log-stream:{}", stream.name)),
        creation_time: Some(stream.created_at.millis()),
        first_event_timestamp: first.map(Timestamp::millis),
        last_event_timestamp: summary.last_event_at.map(Timestamp::millis),
        last_ingestion_time: summary.last_ingested_at.map(Timestamp::millis),
        log_stream_name: Some(stream.name.clone()),
        // AWS says how much a group holds, and no longer how much a stream does.
        stored_bytes: Some(0),
        upload_sequence_token: Some(stream.sequence_token.clone()),
    }
}

/// Streams without events come before those that have some.
fn place(stream: &LogStream) -> Place {
    Place {
        last_event_at: stream.last_event_timestamp.unwrap_or(i64::MIN),
        name: stream.log_stream_name.clone().unwrap_or_default(),
    }
}

fn write_token(place: &Place) -> String {
    let name: String = place.name.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{:016x}{name}", place.last_event_at.cast_unsigned())
}

fn read_token(token: &str) -> Result<Place, ApiError> {
    let parts = token.is_ascii().then(|| token.split_at_checked(16)).flatten();
    let (time, name) = parts.ok_or_else(invalid_token)?;
    let time = u64::from_str_radix(time, 16).map_err(|_| invalid_token())?;
    let pairs = name.as_bytes().chunks(2);
    let bytes = pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    let name = bytes.collect::<Option<Vec<u8>>>().and_then(|bytes| String::from_utf8(bytes).ok());
    Ok(Place { last_event_at: time.cast_signed(), name: name.ok_or_else(invalid_token)? })
}
