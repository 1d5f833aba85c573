//! CloudWatch Logs through the wire, as clients see it.

mod events;
mod groups;

use gantry_telemetry::logs::Record;
use gantry_types::Timestamp;
use serde_json::{Value as Json, json};

use super::ingest::Lines;
use crate::testing::{NOW, World};

pub(super) async fn call(world: &World, operation: &str, body: Json) -> Json {
    world.json("logs", operation, &body).await.document()
}

pub(super) async fn fails(world: &World, operation: &str, body: Json, parts: &[&str]) {
    world.json("logs", operation, &body).await.fails(400, parts);
}

pub(super) async fn group(world: &World, name: &str) {
    call(world, "CreateLogGroup", json!({ "logGroupName": name })).await;
}

pub(super) async fn stream(world: &World, group: &str, name: &str) {
    call(world, "CreateLogStream", json!({ "logGroupName": group, "logStreamName": name })).await;
}

pub(super) async fn put(world: &World, group: &str, stream: &str, events: &[(i64, &str)]) -> Json {
    let events: Vec<Json> =
        events.iter().map(|(at, message)| json!({ "timestamp": at, "message": message })).collect();
    let body = json!({ "logGroupName": group, "logStreamName": stream, "logEvents": events });
    call(world, "PutLogEvents", body).await
}

pub(super) fn messages(answer: &Json) -> Vec<&str> {
    answer["events"].as_array().unwrap().iter().map(|event| event["message"].as_str().unwrap()).collect()
}

pub(super) fn lines(group: &str, stream: &str, create_group: bool, numbered: std::ops::Range<u64>) -> Lines {
    let record = |sequence: u64| Record {
        sequence,
        at: Timestamp::from_millis(NOW + i64::try_from(sequence).unwrap()),
        message: format!("line {sequence}"),
    };
    Lines {
        region: "us-east-1".into(),
        group: group.to_owned(),
        stream: stream.to_owned(),
        create_group,
        source: format!("task/{stream}"),
        records: numbered.map(record).collect(),
    }
}
