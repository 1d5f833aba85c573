//! The endpoint of the AWS APIs: HTTP in, one whole answer out.
//!
//! Flow: a connection is accepted when there is room for it; a request's body is read within its limits; `gantry_wire` makes it
//! a call or an answer that says what is wrong with it; the service's handler runs on a task of its own, so that one that panics
//! costs one answer; `gantry_wire` writes the outcome.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use gantry_services::{Context, Services};
use gantry_types::{Ids, Timestamp, Value};
use gantry_wire::{
    ApiError, Auth, AuthMode, BODY_BYTES_MAX, Call, Principal, ReplyForm, Response, parse_request,
    render_error, render_error_as, render_output,
};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::health;
use super::outgoing::Outgoing;
use super::registry::{self, Desk};
use crate::roles::{Stop, stopped};

/// What clients can reach.
static MODELS: gantry_wire::Services = gantry_wire::Services::new(gantry_api::SERVICES);

/// Every limit of the endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) connections_max: usize,
    /// Bodies of all requests together that are larger than `body_free_bytes`; who comes later waits.
    pub(crate) bodies_kib_max: u32,
    /// A body up to here needs no such room, its connection has it: so bodies that are promised and do not come, which need no
    /// signature, keep no usual call waiting.
    pub(crate) body_free_bytes: usize,
    /// Names and values of a request's headers; and how many there are.
    pub(crate) head_bytes_max: usize,
    pub(crate) headers_max: usize,
    /// From the end of one request to the whole head of the next: idle connections are closed by this.
    pub(crate) head_wait_max: Duration,
    pub(crate) body_wait_max: Duration,
    /// After the request to stop.
    pub(crate) finish_max: Duration,
    /// A client that takes nothing of what it was sent for so long is gone.
    pub(crate) unread_max: Duration,
    /// A process that may open no more files accepts again when some were closed.
    pub(crate) accept_pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 1_024,
            bodies_kib_max: 64 << 10,
            body_free_bytes: 64 << 10,
            head_bytes_max: 64 << 10,
            headers_max: 200,
            head_wait_max: Duration::from_secs(75),
            body_wait_max: Duration::from_secs(30),
            finish_max: Duration::from_secs(5),
            unread_max: Duration::from_secs(60),
            accept_pause: Duration::from_millis(20),
        }
    }
}

/// Of the HTTP parser: beyond ours, so that what is too large for us still gets a whole answer.
const PARSER_HEAD_BYTES_MAX: usize = 512 << 10;
const PARSER_HEADERS_MAX: usize = 2_000;

pub(crate) struct Api {
    context: Arc<Context>,
    services: Services,
    mode: AuthMode,
    request_ids: Mutex<Ids>,
    bodies: Arc<Semaphore>,
    desk: Desk,
    limits: Limits,
}

impl Api {
    pub(crate) fn new(context: Arc<Context>, mode: AuthMode, request_ids: Ids, limits: Limits) -> Self {
        let services = Services::new(context.clone());
        let bodies = Arc::new(Semaphore::new(limits.bodies_kib_max as usize));
        let desk = Desk::new(registry::Limits::default());
        Self { context, services, mode, request_ids: Mutex::new(request_ids), bodies, desk, limits }
    }
}

/// Serves until `stop` says so, then finishes what is in flight.
pub(crate) async fn serve(listener: TcpListener, api: Arc<Api>, mut stop: watch::Receiver<Stop>) {
    let places = Arc::new(Semaphore::new(api.limits.connections_max));
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
                    tokio::time::sleep(api.limits.accept_pause).await;
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
    let all = u32::try_from(api.limits.connections_max).unwrap_or(u32::MAX);
    let _ = timeout(api.limits.finish_max, places.acquire_many(all)).await;
}

async fn connection(stream: tokio::net::TcpStream, api: Arc<Api>, mut stop: watch::Receiver<Stop>) {
    let _ = stream.set_nodelay(true);
    let unread_ms = u32::try_from(api.limits.unread_max.as_millis()).unwrap_or(u32::MAX);
    let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, unread_ms);
    let head_wait_max = api.limits.head_wait_max;
    let service = service_fn(move |request| {
        let api = api.clone();
        async move { Ok::<_, Infallible>(route(&api, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_wait_max)
        .max_buf_size(PARSER_HEAD_BYTES_MAX)
        .max_headers(PARSER_HEADERS_MAX)
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

/// The registry and the AWS APIs share the endpoint.
async fn route(api: &Arc<Api>, request: http::Request<Incoming>) -> http::Response<Outgoing> {
    let request_id = api.request_ids.lock().unwrap_or_else(PoisonError::into_inner).uuid();
    let (head, body) = request.into_parts();
    if is_too_large(&api.limits, &head) || !registry::claims(&api.context, &head) {
        return into_http(answer(api, head, body, request_id).await);
    }
    // On a task of its own: if it panics, that costs one connection.
    let api = api.clone();
    let answering = tokio::spawn(async move {
        registry::answer(&api.desk, &api.context, api.mode, &head, body, request_id).await
    });
    match answering.await {
        Ok(response) => response,
        Err(panic) => {
            tracing::error!("the registry panicked: {panic}");
            registry::failed()
        }
    }
}

async fn answer(api: &Arc<Api>, head: http::request::Parts, body: Incoming, request_id: String) -> Response {
    let refuse = |request_id, refusal: Refusal| {
        render_error_as(&ReplyForm::unclaimed(&head.headers, request_id), &refusal.error())
    };
    if is_too_large(&api.limits, &head) {
        return refuse(request_id, Refusal::LargeHead);
    }
    if head.uri.path() == health::PATH {
        return health::answer(&head.method, &api.context);
    }
    let (body, _room) = match read_body(api, body).await {
        Ok(read) => read,
        Err(refusal) => return refuse(request_id, refusal),
    };
    match understand(api, &head, &body, request_id) {
        Ok(call) => handle(api, *call).await,
        Err(response) => *response,
    }
}

fn understand(
    api: &Api,
    head: &http::request::Parts,
    body: &[u8],
    request_id: String,
) -> Result<Box<Call>, Box<Response>> {
    let lookup = |key: &str, token: Option<&str>| api.context.credential(key, token);
    let auth = Auth { lookup: &lookup, mode: api.mode, anonymous: Principal::root() };
    let request = gantry_wire::Request {
        method: &head.method,
        uri: &head.uri,
        headers: &head.headers,
        body,
        now: Timestamp::now(),
        request_id,
    };
    parse_request(&MODELS, &request, &auth).map(Box::new).map_err(Box::new)
}

async fn handle(api: &Arc<Api>, call: Call) -> Response {
    let (services, call) = (api.services.clone(), Arc::new(call));
    let handling = {
        let call = call.clone();
        async move { services.handle(&call).await }
    };
    respond(&call, handling).await
}

/// Writes a handler's outcome. A handler that panics costs its own answer and nothing else.
pub(super) async fn respond(
    call: &Call,
    handling: impl Future<Output = Result<Value, ApiError>> + Send + 'static,
) -> Response {
    let began = std::time::Instant::now();
    let response = match tokio::spawn(handling).await {
        Ok(Ok(output)) => render_output(call, &output),
        Ok(Err(error)) => render_error(call, &error),
        Err(panic) => {
            tracing::error!("{}:{} panicked: {panic}", call.service.name, call.operation.name);
            let message = "An internal error occurred. The server's log names it.";
            render_error(call, &ApiError::receiver("InternalFailure", message).with_status(500))
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

/// Why a request was not even looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    LargeHead,
    SlowBody,
    BrokenBody,
}

impl Refusal {
    /// S3's words, which say it best.
    fn error(self) -> ApiError {
        let (code, message) = match self {
            Self::LargeHead => (
                "RequestHeaderSectionTooLarge",
                "Your request header section exceeds the maximum allowed size.",
            ),
            Self::SlowBody => (
                "RequestTimeout",
                "Your socket connection to the server was not read from or written to within the timeout period.",
            ),
            Self::BrokenBody => ("IncompleteBody", "The request body terminated unexpectedly."),
        };
        ApiError::sender(code, message).with_status(400)
    }
}

fn is_too_large(limits: &Limits, head: &http::request::Parts) -> bool {
    let bytes: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    bytes > limits.head_bytes_max || head.headers.len() > limits.headers_max
}

/// Reads at most one byte more than any request may have: the wire then says that it is too large. The permit of a large body is
/// room in memory, taken when it has become large and given back when it is dropped.
async fn read_body(
    api: &Api,
    mut body: Incoming,
) -> Result<(Bytes, Option<tokio::sync::OwnedSemaphorePermit>), Refusal> {
    use hyper::body::Body as _;
    let bytes_max = BODY_BYTES_MAX + 1;
    let expected = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
    let kib = expected.unwrap_or(bytes_max).min(bytes_max).div_ceil(1024);
    let kib = u32::try_from(kib).unwrap_or(api.limits.bodies_kib_max).min(api.limits.bodies_kib_max);
    let read = async {
        let mut room = None;
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Refusal::BrokenBody)?.into_data() else { continue };
            if room.is_none() && whole.len() + data.len() > api.limits.body_free_bytes {
                let all = api.bodies.clone().acquire_many_owned(kib).await;
                room = Some(all.map_err(|_| Refusal::BrokenBody)?);
            }
            whole.extend_from_slice(&data[..data.len().min(bytes_max - whole.len())]);
            if whole.len() == bytes_max {
                break;
            }
        }
        Ok((whole.freeze(), room))
    };
    timeout(api.limits.body_wait_max, read).await.unwrap_or(Err(Refusal::SlowBody))
}

fn into_http(response: Response) -> http::Response<Outgoing> {
    let mut answer = http::Response::new(Outgoing::whole(response.body));
    *answer.status_mut() = response.status;
    *answer.headers_mut() = response.headers;
    answer
}
