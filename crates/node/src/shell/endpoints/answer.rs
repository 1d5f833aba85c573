//! What a request is answered with.

use gantry_domain::assignment::TaskSpec;
use gantry_types::Timestamp;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::document::{self, Part, Shown};
use super::route::{Wanted, Whose, parse};
use super::{Endpoints, Peer};
use crate::core::TaskState;
use crate::shell::blocking;
use crate::shell::work::runtime_id;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn plain(status: StatusCode, text: &str) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: text.into() }
    }

    fn json(status: StatusCode, value: &Value) -> Self {
        Self { status, content_type: "application/json", body: value.to_string().into_bytes() }
    }

    fn found(value: &Value) -> Self {
        Self::json(StatusCode::OK, value)
    }

    /// AWS's agent says it as one JSON string.
    fn missing(what: &str) -> Self {
        Self::json(StatusCode::NOT_FOUND, &Value::from(what))
    }
}

pub(super) async fn answer(endpoints: &Endpoints, peer: &Peer, method: &Method, path: &str) -> Answer {
    let Some(wanted) = parse(path) else {
        return Answer::plain(StatusCode::NOT_FOUND, "404 page not found\n");
    };
    if *method == Method::PUT && wanted != Wanted::TaskProtection {
        return Answer::plain(StatusCode::METHOD_NOT_ALLOWED, "405 method not allowed\n");
    }
    match wanted {
        Wanted::Task(version, whose, tags) => match find(endpoints, peer, whose).await {
            Some(task) => Answer::found(&document::task(&shown(endpoints, task).await, version, tags)),
            None => Answer::missing("unable to get task metadata: there is no such task behind this address"),
        },
        Wanted::Container(version, id) => match find_part(endpoints, peer, id).await {
            Some((task, part)) => {
                Answer::found(&document::container(&shown(endpoints, task).await, part, version))
            }
            None => Answer::missing(NO_CONTAINER),
        },
        Wanted::TaskStats(version, whose) => match find(endpoints, peer, whose).await {
            Some(task) => Answer::found(&endpoints.stats_of_all(task, version).await),
            None => Answer::missing("unable to get task stats: there is no such task behind this address"),
        },
        Wanted::ContainerStats(version, id) => match find_part(endpoints, peer, id).await {
            Some((task, part)) => Answer::found(&endpoints.stats(task, part, version).await),
            None => Answer::missing(NO_CONTAINER),
        },
        Wanted::Credentials(id) => credentials(endpoints, peer, id).await,
        Wanted::TaskProtection => {
            let message = "Task scale-in protection is not implemented.";
            let error = json!({"error": {"Code": "UnsupportedFeatureException", "Message": message}});
            Answer::json(StatusCode::NOT_IMPLEMENTED, &error)
        }
    }
}

const NO_CONTAINER: &str = "unable to get container metadata: there is no such container behind this address";

/// A task behind the peer's address. An address that was used before belongs to the task that runs.
async fn find(endpoints: &Endpoints, peer: &Peer, whose: Whose) -> Option<TaskState> {
    let peer = peer.clone();
    let matches = move |task: &TaskState| {
        peer.is(task)
            && match &whose {
                // Tasks that share an address cannot be told apart by it.
                Whose::Peer => task.spec.interface.is_some(),
                Whose::Container(id) => Part::of(&task.spec, id).is_some(),
            }
    };
    endpoints.inquirer.tasks(matches).await.into_iter().min_by_key(TaskState::is_stopped)
}

async fn find_part(endpoints: &Endpoints, peer: &Peer, id: String) -> Option<(TaskState, Part)> {
    let task = find(endpoints, peer, Whose::Container(id.clone())).await?;
    let part = Part::of(&task.spec, &id)?;
    Some((task, part))
}

/// Adds what the runtime knows.
async fn shown(endpoints: &Endpoints, task: TaskState) -> Shown {
    let machine = endpoints.machine.clone();
    blocking(move || {
        let started =
            |index| runtime_id(&task.spec.task, index).ok().and_then(|id| machine.runtime.started_at(&id));
        let started = (0..task.spec.containers.len()).map(started).collect();
        Shown { task, started }
    })
    .await
}

/// What AWS's clients take for their task's role, renewed long before it ends.
async fn credentials(endpoints: &Endpoints, peer: &Peer, id: String) -> Answer {
    let peer = peer.clone();
    let matches = move |task: &TaskState| {
        let key = task.spec.key.as_ref();
        peer.is(task) && key.is_some_and(|key| key.credentials_id() == id)
    };
    let found = endpoints.inquirer.tasks(matches).await;
    match found.first().and_then(|task| role_credentials(&task.spec, Timestamp::now())) {
        Some(document) => Answer::found(&document),
        None => {
            let error = json!({
                "code": "InvalidIdInRequest",
                "message": "CredentialsV2Request: Credentials not found",
                "HTTPErrorCode": 400,
            });
            Answer::json(StatusCode::BAD_REQUEST, &error)
        }
    }
}

fn role_credentials(task: &TaskSpec, now: Timestamp) -> Option<Value> {
    let subject = task.subject()?;
    let credentials = task.key.as_ref()?.credentials(&subject, now);
    Some(json!({
        "RoleArn": subject.role.as_str(),
        "AccessKeyId": credentials.access_key_id,
        "SecretAccessKey": credentials.secret_access_key,
        "Token": credentials.token,
        "Expiration": credentials.expires.iso8601(),
    }))
}
