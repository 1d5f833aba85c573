//! HTTP on a VPC's metadata socket. Requests have no body that anybody reads; answers are small.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, TcpListener};
use std::sync::Arc;

use bytes::Bytes;
use gantry_network::Places;
use gantry_types::VpcId;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::answer::{Answer, answer};
use super::{Endpoints, Peer};
use crate::shell::limits::{
    ACCEPT_PAUSE, METADATA_CONNECTION_LIFE_MAX, METADATA_CONNECTIONS_MAX,
    METADATA_CONNECTIONS_PER_CLIENT_MAX, METADATA_HEAD_BYTES_MAX, METADATA_HEAD_WAIT_MAX,
    METADATA_HEADERS_MAX,
};

/// Answers until it is dropped; the connections go with it.
pub(super) async fn serve(listener: TcpListener, endpoints: Arc<Endpoints>, vpc: VpcId) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let places = Places::new(METADATA_CONNECTIONS_MAX, METADATA_CONNECTIONS_PER_CLIENT_MAX);
    let mut connections = JoinSet::new();
    loop {
        let (stream, client) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%vpc, "accepting a task's connection: {error}");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let IpAddr::V4(address) = client.ip() else { continue };
        // Without a place the connection is closed; AWS's clients ask again.
        if let Some(place) = places.take(client.ip()) {
            let (endpoints, peer) = (endpoints.clone(), Peer { vpc: vpc.clone(), address });
            connections.spawn(async move {
                let _place = place;
                let _ = timeout(METADATA_CONNECTION_LIFE_MAX, connection(stream, endpoints, peer)).await;
            });
        }
    }
}

async fn connection(stream: TcpStream, endpoints: Arc<Endpoints>, peer: Peer) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let (endpoints, peer) = (endpoints.clone(), peer.clone());
        async move { Ok::<_, Infallible>(respond(&endpoints, &peer, &request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // A client that has said all still wants its answer.
        .half_close(true)
        .header_read_timeout(METADATA_HEAD_WAIT_MAX)
        .max_buf_size(METADATA_HEAD_BYTES_MAX)
        .max_headers(METADATA_HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!("a task's connection ended: {error}");
    }
}

async fn respond(endpoints: &Endpoints, peer: &Peer, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let answer = match *request.method() {
        Method::GET | Method::HEAD | Method::PUT => {
            answer(endpoints, peer, request.method(), request.uri().path()).await
        }
        _ => Answer::plain(StatusCode::METHOD_NOT_ALLOWED, "405 method not allowed\n"),
    };
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = answer.status;
    let kind = HeaderValue::from_static(answer.content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
