//! PutLogEvents.

use std::time::Duration;

use gantry_api::logs::*;
use gantry_api::{ApiError, CallContext};
use gantry_telemetry::logs::{AppendError, Batch, Record};
use gantry_types::Timestamp;

use super::names::{group, invalid, stream};
use crate::Context;

/// One batch: the messages in UTF-8, and so many bytes for each.
const BATCH_BYTES_MAX: usize = 1 << 20;
const EVENT_OVERHEAD_BYTES: usize = 26;
/// One event, overhead included.
const EVENT_BYTES_MAX: usize = 1 << 20;
const SPAN_MAX: Duration = Duration::from_secs(24 * 3600);
const AGE_MAX: Duration = Duration::from_secs(14 * 24 * 3600);
const AHEAD_MAX: Duration = Duration::from_secs(2 * 3600);

pub(super) async fn put_log_events(
    context: &Context,
    call: &CallContext,
    input: &PutLogEventsRequest,
) -> Result<PutLogEventsResponse, ApiError> {
    let (group, stream) = context.read(|view| {
        let group = group(view, &call.region, &input.log_group_name)?.document;
        let stream = stream(view, &group, &input.log_stream_name)?.document;
        Ok::<_, ApiError>((group, stream))
    })?;
    check(&input.log_events)?;
    let (accepted, rejected) = accepted(&input.log_events, group.expired_before(call.now), call.now);
    let records: Vec<Record> = input.log_events[accepted].iter().map(record).collect();
    if !records.is_empty() {
        let batch = Batch { stream: stream.stream_id(), source: None, records, ingested_at: call.now };
        context.logs().store.append(batch).await.map_err(|error| unavailable(&error))?;
    }
    Ok(PutLogEventsResponse {
        next_sequence_token: Some(stream.sequence_token),
        rejected_entity_info: None,
        rejected_log_events_info: rejected,
    })
}

fn record(event: &InputLogEvent) -> Record {
    Record { sequence: 0, at: Timestamp::from_millis(event.timestamp), message: event.message.clone() }
}

fn unavailable(error: &AppendError) -> ApiError {
    errors::service_unavailable_exception(format!("The log events could not be kept: {error}"))
}

/// What makes AWS refuse a whole batch.
fn check(events: &[InputLogEvent]) -> Result<(), ApiError> {
    let bytes = |event: &InputLogEvent| event.message.len() + EVENT_OVERHEAD_BYTES;
    if let Some(large) = events.iter().map(bytes).find(|bytes| *bytes > EVENT_BYTES_MAX) {
        return Err(invalid(format!(
            "Log event too large: {large} bytes exceeds limit of {EVENT_BYTES_MAX}"
        )));
    }
    let total: usize = events.iter().map(bytes).sum();
    if total > BATCH_BYTES_MAX {
        return Err(invalid(format!("Upload too large: {total} bytes exceeds limit of {BATCH_BYTES_MAX}")));
    }
    if events.is_sorted_by_key(|event| event.timestamp) {
        let at =
            |event: Option<&InputLogEvent>| Timestamp::from_millis(event.map_or(0, |event| event.timestamp));
        if at(events.last()).since(at(events.first())) > SPAN_MAX {
            return Err(invalid(
                "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.",
            ));
        }
        return Ok(());
    }
    Err(invalid("Log events in a single PutLogEvents request must be in chronological order."))
}

/// Which events of a chronological batch are kept, and what AWS says of the others.
fn accepted(
    events: &[InputLogEvent],
    expired_before: Option<Timestamp>,
    now: Timestamp,
) -> (std::ops::Range<usize>, Option<RejectedLogEventsInfo>) {
    let before = |limit: Timestamp| events.partition_point(|event| event.timestamp < limit.millis());
    let expired = expired_before.map_or(0, before);
    let old = before(now - AGE_MAX);
    let new = events.partition_point(|event| event.timestamp <= (now + AHEAD_MAX).millis());
    let index = |index: usize, is_said: bool| i32::try_from(index).ok().filter(|_| is_said);
    let info = RejectedLogEventsInfo {
        expired_log_event_end_index: index(expired, expired > 0),
        too_new_log_event_start_index: index(new, new < events.len()),
        too_old_log_event_end_index: index(old, old > 0),
    };
    let start = expired.max(old);
    let is_said = info != RejectedLogEventsInfo::default();
    (start.min(new)..new, is_said.then_some(info))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_750_000_000_000;
    const DAY: i64 = 86_400_000;

    fn events(times: &[i64]) -> Vec<InputLogEvent> {
        times.iter().map(|time| InputLogEvent { message: "m".to_owned(), timestamp: *time }).collect()
    }

    #[test]
    fn batches_are_refused_as_a_whole() {
        let large = |bytes: usize| vec![InputLogEvent { message: "x".repeat(bytes - 26), timestamp: NOW }];
        let many = |count: usize, bytes| (0..count).flat_map(|_| large(bytes)).collect::<Vec<_>>();
        for (batch, expected) in [
            (events(&[1, 1, 2]), None),
            (events(&[NOW - DAY, NOW]), None),
            (events(&[NOW - DAY - 1, NOW]), Some("cannot span more than 24 hours")),
            (events(&[2, 1]), Some("must be in chronological order")),
            (large(1 << 20), None),
            (large((1 << 20) + 1), Some("Log event too large: 1048577 bytes exceeds limit of 1048576")),
            (many(2, 1 << 19), None),
            (many(2, (1 << 19) + 1), Some("Upload too large: 1048578 bytes exceeds limit of 1048576")),
        ] {
            let refusal = check(&batch).err().map(|error| error.message);
            match expected {
                None => assert_eq!(refusal, None),
                Some(part) => {
                    assert!(refusal.as_ref().is_some_and(|text| text.contains(part)), "{refusal:?}");
                }
            }
        }
    }

    #[test]
    fn events_out_of_time_are_left_out_and_told() {
        let now = Timestamp::from_millis(NOW);
        let info = |expired, old, new| {
            Some(RejectedLogEventsInfo {
                expired_log_event_end_index: expired,
                too_old_log_event_end_index: old,
                too_new_log_event_start_index: new,
            })
        };
        let hour = DAY / 24;
        for (times, retention, range, expected) in [
            (vec![NOW, NOW + 2 * hour], None, 0..2, None),
            (vec![NOW, NOW + 2 * hour + 1], None, 0..1, info(None, None, Some(1))),
            (vec![NOW - 14 * DAY - 1, NOW - 14 * DAY], None, 1..2, info(None, Some(1), None)),
            (vec![NOW - DAY - 1, NOW - 5, NOW], Some(NOW - DAY), 1..3, info(Some(1), None, None)),
            (vec![NOW - 20 * DAY, NOW - 19 * DAY], Some(NOW - DAY), 2..2, info(Some(2), Some(2), None)),
            (vec![NOW + DAY], None, 0..0, info(None, None, Some(0))),
        ] {
            let retention = retention.map(Timestamp::from_millis);
            assert_eq!(accepted(&events(&times), retention, now), (range, expected), "{times:?}");
        }
    }
}
