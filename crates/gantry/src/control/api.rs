//! The endpoint of the AWS APIs: HTTP in, one whole answer out.
//!
//! Flow: a connection is accepted when there is room for it; a request's body is read within its limits; `gantry_wire` makes it
//! a call or an answer that says what is wrong with it; the service's handler runs on a task of its own, so that one that panics
//! costs one answer; `gantry_wire` writes the outcome.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use gantry_services::Services;
use gantry_types::{Ids, Timestamp};
use gantry_wire::{
    ApiError, Auth, AuthMode, BODY_BYTES_MAX, Call, Credential, Principal, Response, parse_request,
    render_error, render_output,
};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::credentials::Credentials;
use crate::roles::{Stop, stopped};

/// What clients can reach.
static MODELS: gantry_wire::Services = gantry_wire::Services::new(gantry_api::SERVICES);

/// Every limit of the endpoint.
mod limits {
    use super::Duration;

    pub(super) const CONNECTIONS_MAX: usize = 1_024;
    /// Bodies of all requests together; who comes later waits.
    pub(super) const BODIES_KIB_MAX: u32 = 64 << 10;
    pub(super) const HEAD_BYTES_MAX: usize = 64 << 10;
    pub(super) const HEADERS_MAX: usize = 200;
    pub(super) const HEAD_WAIT_MAX: Duration = Duration::from_secs(75);
    pub(super) const BODY_WAIT_MAX: Duration = Duration::from_secs(30);
    /// After the request to stop.
    pub(super) const FINISH_MAX: Duration = Duration::from_secs(5);
    /// A process that may open no more files accepts again when some were closed.
    pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
}

pub(crate) struct Api {
    services: Services,
    credentials: Credentials,
    mode: AuthMode,
    request_ids: Mutex<Ids>,
    bodies: Arc<Semaphore>,
}

impl Api {
    pub(crate) fn new(
        services: Services,
        credentials: Credentials,
        mode: AuthMode,
        request_ids: Ids,
    ) -> Self {
        let bodies = Arc::new(Semaphore::new(limits::BODIES_KIB_MAX as usize));
        Self { services, credentials, mode, request_ids: Mutex::new(request_ids), bodies }
    }
}

/// Serves until `stop` says so, then finishes what is in flight.
pub(crate) async fn serve(listener: TcpListener, api: Arc<Api>, mut stop: watch::Receiver<Stop>) {
    let places = Arc::new(Semaphore::new(limits::CONNECTIONS_MAX));
    loop {
        let place = tokio::select! {
            place = places.clone().acquire_owned() => place.expect("the semaphore is never closed"),
            _ = stopped(&mut stop) => break,
        };
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!("accepting a connection: {error}");
                    tokio::time::sleep(limits::ACCEPT_PAUSE).await;
                    continue;
                }
            },
            _ = stopped(&mut stop) => break,
        };
        let (api, stop) = (api.clone(), stop.clone());
        tokio::spawn(async move {
            connection(stream, api, stop).await;
            drop(place);
        });
    }
    drop(listener);
    let all = u32::try_from(limits::CONNECTIONS_MAX).unwrap_or(u32::MAX);
    let _ = timeout(limits::FINISH_MAX, places.acquire_many(all)).await;
}

async fn connection(stream: tokio::net::TcpStream, api: Arc<Api>, mut stop: watch::Receiver<Stop>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let api = api.clone();
        async move { Ok::<_, Infallible>(into_http(answer(&api, request).await)) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEAD_WAIT_MAX)
        .max_buf_size(limits::HEAD_BYTES_MAX)
        .max_headers(limits::HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let finished = tokio::select! {
        outcome = &mut connection => Some(outcome),
        _ = stopped(&mut stop) => None,
    };
    let outcome = match finished {
        Some(outcome) => outcome,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        // A client that goes away is no event of ours.
        tracing::debug!("a client's connection ended: {error}");
    }
}

async fn answer(api: &Arc<Api>, request: http::Request<Incoming>) -> Response {
    let request_id = api.request_ids.lock().unwrap_or_else(PoisonError::into_inner).uuid();
    let (head, body) = request.into_parts();
    let (body, _room) = match read_body(api, body).await {
        Ok(read) => read,
        Err(error) => return refuse(&head, request_id, &error),
    };
    match understand(api, &head, &body, request_id) {
        Ok(call) => handle(api, *call).await,
        Err(response) => response,
    }
}

fn understand(
    api: &Api,
    head: &http::request::Parts,
    body: &[u8],
    request_id: String,
) -> Result<Box<Call>, Response> {
    let lookup = |key: &str| credential(&api.credentials, key);
    let auth = Auth { lookup: &lookup, mode: api.mode, anonymous: Principal::root() };
    let request = gantry_wire::Request {
        method: &head.method,
        uri: &head.uri,
        headers: &head.headers,
        body,
        now: Timestamp::now(),
        request_id,
    };
    parse_request(&MODELS, &request, &auth).map(Box::new)
}

async fn handle(api: &Arc<Api>, call: Call) -> Response {
    let began = std::time::Instant::now();
    let (services, call) = (api.services.clone(), Arc::new(call));
    let outcome = tokio::spawn({
        let call = call.clone();
        async move { services.handle(&call).await }
    });
    let response = match outcome.await {
        Ok(Ok(output)) => render_output(&call, &output),
        Ok(Err(error)) => render_error(&call, &error),
        Err(panic) => {
            tracing::error!("{}:{} panicked: {panic}", call.service.name, call.operation.name);
            let message = "An internal error occurred. The server's log names it.";
            render_error(&call, &ApiError::receiver("InternalFailure", message).with_status(500))
        }
    };
    tracing::debug!(
        status = response.status.as_u16(),
        micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX),
        "{}:{}",
        call.service.name,
        call.operation.name
    );
    response
}

/// Why a body was not read.
#[derive(Debug, PartialEq, Eq)]
enum BodyError {
    TooSlow,
    Broken,
}

/// Reads at most one byte more than any request may have: the wire then says that it is too large. The permit is room in
/// memory, given back when it is dropped.
async fn read_body(
    api: &Api,
    mut body: Incoming,
) -> Result<(Bytes, tokio::sync::OwnedSemaphorePermit), BodyError> {
    use hyper::body::Body as _;
    let bytes_max = BODY_BYTES_MAX + 1;
    let expected = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
    let kib = expected.unwrap_or(bytes_max).min(bytes_max).div_ceil(1024);
    let kib = u32::try_from(kib).unwrap_or(limits::BODIES_KIB_MAX).min(limits::BODIES_KIB_MAX);
    let read = async {
        let room = api.bodies.clone().acquire_many_owned(kib).await.map_err(|_| BodyError::Broken)?;
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
            let room = bytes_max - whole.len();
            whole.extend_from_slice(&data[..data.len().min(room)]);
            if whole.len() == bytes_max {
                break;
            }
        }
        Ok((whole.freeze(), room))
    };
    timeout(limits::BODY_WAIT_MAX, read).await.unwrap_or(Err(BodyError::TooSlow))
}

/// An answer to a request whose body did not come, in the form that its client expects.
fn refuse(head: &http::request::Parts, request_id: String, error: &BodyError) -> Response {
    let (code, message) = match error {
        BodyError::TooSlow => ("RequestTimeout", "The request's body did not come in time."),
        BodyError::Broken => ("IncompleteBody", "The request's body ended early."),
    };
    let request = gantry_wire::Request {
        method: &head.method,
        uri: &head.uri,
        headers: &head.headers,
        body: &[],
        now: Timestamp::now(),
        request_id: request_id.clone(),
    };
    let nobody = |_: &str| None;
    let auth = Auth { lookup: &nobody, mode: AuthMode::AcceptAny, anonymous: Principal::root() };
    let error = ApiError::sender(code, message).with_status(400);
    match parse_request(&MODELS, &request, &auth) {
        Ok(call) => render_error(&call, &error),
        Err(mut response) => {
            // Without its body the operation is not known: the protocol's own form carries the status at least.
            response.status = http::StatusCode::BAD_REQUEST;
            response
        }
    }
}

fn credential(credentials: &Credentials, key: &str) -> Option<Credential> {
    (key == credentials.access_key_id).then(|| Credential {
        secret_key: credentials.secret_access_key.clone(),
        session_token: None,
        expires: None,
        principal: Principal::root(),
    })
}

fn into_http(response: Response) -> http::Response<Full<Bytes>> {
    let mut answer = http::Response::new(Full::new(Bytes::from(response.body)));
    *answer.status_mut() = response.status;
    *answer.headers_mut() = response.headers;
    answer
}
