//! Whether this installation can do its work: for scripts, and for whoever watches it. It needs no signature.

use gantry_domain::node::{Node, NodeState};
use gantry_services::Context;
use gantry_wire::Response;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

pub(super) const PATH: &str = "/_gantry/health";

/// `ready` says that tasks can be placed; the API answers as soon as this does.
pub(super) fn answer(method: &Method, context: &Context) -> Response {
    let mut headers = HeaderMap::new();
    if *method != Method::GET && *method != Method::HEAD {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Response { status: StatusCode::METHOD_NOT_ALLOWED, headers, body: Vec::new() };
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let nodes =
        context.read(|view| view.scan::<Node>("").filter(|node| node.state == NodeState::Active).count());
    let health = serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "ready": nodes > 0,
        "activeNodes": nodes,
    });
    Response { status: StatusCode::OK, headers, body: health.to_string().into_bytes() }
}
