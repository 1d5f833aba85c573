//! The registry's HTTP: the OCI distribution protocol on the endpoint of the AWS APIs.
//!
//! Flow: `claims` says whether a request is for the registry, by its Host or by a path below `/v2/` that nobody signed;
//! `answer` checks who asks, takes the path apart and hands it on. Bodies are streamed to and from the disk; whatever
//! touches the disk runs on threads that may block.

mod access;
mod blobs;
mod listing;
mod manifests;
mod problem;
mod receive;
mod route;
#[cfg(test)]
mod tests;
mod uploads;

use std::sync::Arc;
use std::time::Duration;

use gantry_images::ecr_region;
use gantry_images::registry::RepositoryName;
use gantry_services::Context;
use gantry_services::ecr::{PushRules, RegistryHost};
use gantry_types::Timestamp;
use gantry_wire::AuthMode;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, request};
use hyper::body::Incoming;
use tokio::sync::Semaphore;

use super::outgoing::Outgoing;
use problem::Problem;
use receive::blocking;
use route::Route;

/// Every limit of the registry's HTTP.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    /// Bodies that are received at the same time; each has a piece in memory. Who comes later waits.
    pub(super) receiving_max: usize,
    /// Blobs that are sent at the same time.
    pub(super) sending_max: usize,
    /// How long one waits for that.
    pub(super) wait_max: Duration,
    /// From one piece of a body to the next.
    pub(super) idle_max: Duration,
    /// Names in one page of a listing.
    pub(super) page_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            receiving_max: 32,
            sending_max: 64,
            wait_max: Duration::from_secs(60),
            idle_max: Duration::from_secs(30),
            page_max: 1_000,
        }
    }
}

/// What all requests share.
pub(super) struct Desk {
    receiving: Arc<Semaphore>,
    sending: Arc<Semaphore>,
    limits: Limits,
}

impl Desk {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            receiving: Arc::new(Semaphore::new(limits.receiving_max)),
            sending: Arc::new(Semaphore::new(limits.sending_max)),
            limits,
        }
    }
}

/// A request, and what it is about.
struct Asked<'a> {
    desk: &'a Desk,
    context: &'a Context,
    host: &'a RegistryHost,
    head: &'a request::Parts,
    region: String,
    /// Not by ECR's form of name: a repository need not be created before something is pushed to it.
    is_plain: bool,
    now: Timestamp,
}

/// Whether a request is for the registry.
pub(super) fn claims(context: &Context, head: &request::Parts) -> bool {
    if context.registry_host().is_none() {
        return false;
    }
    let path = head.uri.path();
    ecr_region(&host_name(head)).is_some()
        || ((path == "/v2" || path.starts_with("/v2/")) && !is_signed(head))
}

fn is_signed(head: &request::Parts) -> bool {
    let by_header =
        head.headers.get(header::AUTHORIZATION).is_some_and(|value| value.as_bytes().starts_with(b"AWS"));
    by_header || head.uri.query().is_some_and(|query| query.contains("X-Amz-Signature="))
}

fn host_name(head: &request::Parts) -> String {
    let of_header = || head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
    head.uri.authority().map(|authority| authority.to_string()).or_else(of_header).unwrap_or_default()
}

/// Answers a request that the registry claims.
pub(super) async fn answer(
    desk: &Desk,
    context: &Context,
    mode: AuthMode,
    head: &request::Parts,
    body: Incoming,
    id: String,
) -> Response<Outgoing> {
    let mut response = match asked(desk, context, mode, head, body, id).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    };
    let version = HeaderValue::from_static("registry/2.0");
    response.headers_mut().insert("docker-distribution-api-version", version);
    tracing::debug!(status = response.status().as_u16(), "{} {}", head.method, head.uri.path());
    response
}

async fn asked(
    desk: &Desk,
    context: &Context,
    mode: AuthMode,
    head: &request::Parts,
    body: Incoming,
    id: String,
) -> Result<Response<Outgoing>, Problem> {
    let no_registry = || Problem::new(StatusCode::NOT_FOUND, "UNSUPPORTED", "There is no registry here.");
    let host = context.registry_host().ok_or_else(no_registry)?;
    let route = Route::parse(head.uri.path()).ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, "NAME_INVALID", "This is no path of a registry.")
    })?;
    let (host_name, now) = (host_name(head), Timestamp::now());
    access::check(context, mode, head, &route, &host_name, now)?;
    let region = ecr_region(&host_name);
    let (is_plain, region) = (region.is_none(), region.unwrap_or(&host.region).to_owned());
    let asked = Asked { desk, context, host, head, region, is_plain, now };
    match (&head.method, route) {
        (&Method::GET | &Method::HEAD, Route::Base) => Ok(json(StatusCode::OK, "{}".to_owned())),
        (_, Route::Base) => Err(Problem::unsupported("GET, HEAD")),
        (&Method::GET, Route::Catalogue) => listing::catalogue(&asked).await,
        (_, Route::Catalogue) => Err(Problem::unsupported("GET")),
        (&Method::GET, Route::Tags { repository }) => listing::tags(&asked, &repository).await,
        (_, Route::Tags { .. }) => Err(Problem::unsupported("GET")),
        (&Method::GET, Route::Referrers { repository, digest }) => {
            listing::referrers(&asked, &repository, &digest).await
        }
        (_, Route::Referrers { .. }) => Err(Problem::unsupported("GET")),
        (&Method::GET | &Method::HEAD, Route::Manifest { repository, reference }) => {
            manifests::get(&asked, &repository, &reference).await
        }
        (&Method::PUT, Route::Manifest { repository, reference }) => {
            manifests::put(&asked, &repository, &reference, body).await
        }
        (&Method::DELETE, Route::Manifest { repository, reference }) => {
            manifests::delete(&asked, &repository, &reference).await
        }
        (_, Route::Manifest { .. }) => Err(Problem::unsupported("GET, HEAD, PUT, DELETE")),
        (&Method::HEAD, Route::Blob { repository, digest }) => {
            blobs::head(&asked, &repository, &digest).await
        }
        (&Method::GET, Route::Blob { repository, digest }) => blobs::get(&asked, &repository, &digest).await,
        // Blobs belong to all repositories; `gantry image prune` removes those that no image needs.
        (_, Route::Blob { .. }) => Err(Problem::unsupported("GET, HEAD")),
        (&Method::POST, Route::Uploads { repository }) => uploads::begin(&asked, &repository, body, id).await,
        (_, Route::Uploads { .. }) => Err(Problem::unsupported("POST")),
        (&Method::GET | &Method::HEAD, Route::Upload { repository, id }) => {
            uploads::status(&asked, &repository, &id).await
        }
        (&Method::PATCH, Route::Upload { repository, id }) => {
            uploads::patch(&asked, &repository, &id, body).await
        }
        (&Method::PUT, Route::Upload { repository, id }) => {
            uploads::complete(&asked, &repository, &id, body).await
        }
        (&Method::DELETE, Route::Upload { repository, id }) => {
            uploads::cancel(&asked, &repository, &id).await
        }
        (_, Route::Upload { .. }) => Err(Problem::unsupported("GET, PATCH, PUT, DELETE")),
    }
}

/// The answer where none could be made.
pub(super) fn failed() -> Response<Outgoing> {
    let message = "An internal error occurred. The server's log names it.";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", message).into_response()
}

impl Asked<'_> {
    fn parameter(&self, name: &str) -> Option<String> {
        route::parameter(self.head.uri.query(), name)
    }

    fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    /// A repository that can be read: it was created or has images.
    async fn to_read(&self, name: &str) -> Result<RepositoryName, Problem> {
        let repository = RepositoryName::new(&self.region, name)?;
        if self.rules(&repository)?.has_record {
            return Ok(repository);
        }
        let (asked, registry) = (repository.clone(), self.host.registry.clone());
        match blocking(move || registry.is_empty(&asked)).await? {
            true => Err(Problem::no_such_repository(name)),
            false => Ok(repository),
        }
    }

    /// A repository that can be pushed to. By ECR's names it must have been created, as on AWS; a plain host takes what
    /// is pushed to it, as a plain registry does.
    async fn to_write(&self, name: &str) -> Result<(RepositoryName, PushRules), Problem> {
        let repository = RepositoryName::new(&self.region, name)?;
        let rules = self.rules(&repository)?;
        if !rules.has_record && !self.is_plain {
            self.to_read(name).await?;
        }
        Ok((repository, rules))
    }

    fn rules(&self, repository: &RepositoryName) -> Result<PushRules, Problem> {
        let failed = |error: gantry_wire::ApiError| {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", error.message)
        };
        self.context.push_rules(repository).map_err(failed)
    }
}

fn json(status: StatusCode, body: String) -> Response<Outgoing> {
    typed(status, "application/json", body)
}

fn typed(status: StatusCode, media_type: &str, body: impl Into<bytes::Bytes>) -> Response<Outgoing> {
    let mut response = Response::new(Outgoing::whole(body));
    *response.status_mut() = status;
    set(response.headers_mut(), header::CONTENT_TYPE, media_type);
    response
}

fn empty(status: StatusCode) -> Response<Outgoing> {
    let mut response = Response::new(Outgoing::whole(bytes::Bytes::new()));
    *response.status_mut() = status;
    response
}

/// What cannot stand in a header is left out.
fn set(headers: &mut HeaderMap, name: impl header::IntoHeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// The header by which the protocol names content.
const CONTENT_DIGEST: &str = "docker-content-digest";
