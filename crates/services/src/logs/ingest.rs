//! What containers write.

use gantry_api::ApiError;
use gantry_domain::{Change, View};
use gantry_telemetry::logs::{Batch, Record};
use gantry_types::{Ids, Region, Timestamp};
use thiserror::Error;

use super::Logs;
use super::names::{find_group, find_stream, is_group_name, is_stream_name};
use super::records::{Group, Stream, groups};
use super::{groups as log_groups, streams};
use crate::objects::{self, Found};
use crate::{Context, Decision};

/// Lines of one container, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Lines {
    pub region: Region,
    pub group: String,
    pub stream: String,
    /// The group is made if it does not exist (`awslogs-create-group`).
    pub create_group: bool,
    /// The container, as nobody else is called: its lines are numbered, and each is kept once.
    pub source: String,
    pub records: Vec<Record>,
}

/// Nothing of a batch was kept.
#[derive(Debug, Error)]
pub enum IngestError {
    #[error("the log group {0} does not exist")]
    NoGroup(String),
    #[error("no log group or stream can be called {0}")]
    Name(String),
    /// It is worth another try.
    #[error("log lines cannot be kept now: {0}")]
    Unavailable(String),
}

/// Keeps lines, durably, and gives the last one's number, up to which the sender may forget them. Makes the stream where it
/// is missing. `None` for a batch without lines.
pub async fn ingest(context: &Context, lines: Lines, now: Timestamp) -> Result<Option<u64>, IngestError> {
    let Some(last) = lines.records.iter().map(|record| record.sequence).max() else { return Ok(None) };
    let stream = match context.read(|view| known(view, &lines)) {
        Ok(Some(stream)) => stream,
        Ok(None) => make(context, &lines, now).await?,
        Err(error) => return Err(unavailable(&error)),
    };
    let batch = Batch {
        stream: stream.stream_id(),
        source: Some(lines.source),
        records: lines.records,
        ingested_at: now,
    };
    context.logs().store.append(batch).await.map_err(|error| unavailable(&error))?;
    Ok(Some(last))
}

fn unavailable(error: &dyn std::fmt::Display) -> IngestError {
    IngestError::Unavailable(error.to_string())
}

fn known(view: &View, lines: &Lines) -> Result<Option<Stream>, ApiError> {
    let Some(group) = find_group(view, &lines.region, &lines.group)? else { return Ok(None) };
    Ok(find_stream(view, &group.document, &lines.stream)?.map(|found| found.document))
}

/// One commit for the stream, with its group where that may be made.
async fn make(context: &Context, lines: &Lines, now: Timestamp) -> Result<Stream, IngestError> {
    if !is_group_name(&lines.group) || !is_stream_name(&lines.stream) {
        return Err(IngestError::Name(format!("{}:{}", lines.group, lines.stream)));
    }
    let made = context.attempt(|view, ids| decide(context.logs(), view, lines, now, ids)).await;
    match made.map_err(|error| unavailable(&error))? {
        Some(stream) => Ok(stream),
        None => Err(IngestError::NoGroup(lines.group.clone())),
    }
}

fn decide(
    logs: &Logs,
    view: &View,
    lines: &Lines,
    now: Timestamp,
    ids: &mut Ids,
) -> Decision<Option<Stream>> {
    let mut changes: Vec<Change> = Vec::new();
    let group: Group = match find_group(view, &lines.region, &lines.group)? {
        Some(found) => {
            changes.push(Found::check(&found));
            found.document
        }
        None if lines.create_group => {
            let group = log_groups::made(view, &lines.region, &lines.group, now, ids)?;
            changes.push(objects::create(&groups(&lines.region), &lines.group, group.clone()));
            group
        }
        None => return Ok((None, vec![])),
    };
    if let Some(found) = find_stream(view, &group, &lines.stream)? {
        return Ok((Some(found.document), vec![]));
    }
    let (stream, more) = streams::made(logs, view, &group, &lines.stream, now, ids)?;
    changes.extend(more);
    Ok((Some(stream), changes))
}
