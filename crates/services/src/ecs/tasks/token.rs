//! Client tokens: a RunTask that is sent again gives the tasks of the first time.
//!
//! A token is good for a day. It is kept under the hour in which it was used, so that the oldest ones stand first and every use
//! clears a few away: there are never more than a day's tokens, and nobody has to look through them.

use gantry_api::ecs::{RunTaskRequest, RunTaskResponse, Task, errors};
use gantry_api::{ApiError, CallContext};
use gantry_domain::object::Object;
use gantry_domain::service::Cluster;
use gantry_domain::task::Task as TaskRecord;
use gantry_domain::{Change, Key, Stored as _, View};
use gantry_types::{TaskId, Timestamp, Value, arn};
use sha2::{Digest as _, Sha256};

use crate::ecs::describe;
use crate::ecs::names::invalid;

const LENGTH_MAX: usize = 64;
const HOURS_KEPT: i64 = 24;
const CLEARED_AT_ONCE: usize = 8;

fn class(call: &CallContext) -> String {
    format!("ecs/run-task-token/{}", call.region)
}

fn hour(now: Timestamp) -> i64 {
    now.millis().div_euclid(3_600_000)
}

fn name(hour: i64, cluster: &Cluster, token: &str) -> String {
    format!("{hour:012}/{}/{token}", cluster.name)
}

/// What tells one request from another, whatever its token.
fn digest(call: &CallContext) -> String {
    let mut input = call.input.clone();
    input.set("clientToken", Value::Null);
    let text = serde_json::to_vec(&input).unwrap_or_default();
    Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The answer of the first time, if this token was used before.
pub(super) fn repeated(
    view: &View,
    call: &CallContext,
    input: &RunTaskRequest,
    cluster: &Cluster,
) -> Result<Option<RunTaskResponse>, ApiError> {
    let Some(token) = &input.client_token else { return Ok(None) };
    if token.is_empty() || token.len() > LENGTH_MAX {
        return Err(invalid(format!("clientToken must be between 1 and {LENGTH_MAX} characters long.")));
    }
    let now = hour(call.now);
    // One hour ahead: a clock that was set back must not run the same tasks again.
    let hours = (now - HOURS_KEPT..=now + 1).rev();
    let known = hours
        .map(|hour| Key::object(&class(call), &name(hour, cluster, token)))
        .find_map(|key| view.get::<Object>(&key));
    let Some(known) = known else { return Ok(None) };
    let document = &known.document;
    let ids = document.get("tasks").map(Value::as_list).unwrap_or_default().iter().filter_map(Value::as_str);
    if document.get("digest").and_then(Value::as_str) != Some(&digest(call)) {
        let arns = ids.map(|id| {
            let resource = format!("task/{}/{id}", cluster.name);
            Value::from(arn("ecs", call.region.as_str(), &resource).as_str())
        });
        return Err(errors::conflict_exception(
            "The RunTask request could not be processed due to conflicts. The provided clientToken is already in use with a different RunTask request.",
        )
        .with_member("resourceIds", Value::List(arns.collect())));
    }
    let tasks = ids
        .filter_map(|id| view.get::<TaskRecord>(&Key::task(&call.region, &cluster.name, &TaskId::new(id))));
    let tasks: Vec<Task> = tasks.map(|task| describe::task(view, task.value(), true)).collect();
    Ok(Some(RunTaskResponse { tasks: Some(tasks), failures: Some(vec![]) }))
}

/// Keeps the token with the tasks that it stands for.
pub(super) fn remember(
    view: &View,
    call: &CallContext,
    input: &RunTaskRequest,
    cluster: &Cluster,
    tasks: &[TaskRecord],
) -> Vec<Change> {
    let Some(token) = &input.client_token else { return vec![] };
    let ids = tasks.iter().map(|task| Value::from(task.id.as_str())).collect();
    let mut document = Value::map();
    document.set("digest", digest(call));
    document.set("tasks", Value::List(ids));
    let kept = Object { class: class(call), name: name(hour(call.now), cluster, token), document };
    let mut changes = vec![Change::create(kept)];
    let oldest = format!("{:012}", hour(call.now) - HOURS_KEPT);
    let old = view
        .scan::<Object>(&format!("{}/", class(call)))
        .take_while(|object| object.name < oldest)
        .take(CLEARED_AT_ONCE);
    // Whoever clears it first: nobody reads it any more.
    changes.extend(old.map(|object| Change {
        expect: gantry_domain::Expect::Anything,
        ..Change::delete(object.value().key(), object.revision)
    }));
    changes
}
