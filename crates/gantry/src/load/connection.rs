//! One kept-alive connection, and one request on it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::plan::Plan;
use super::stats::Outcome;
use super::target::ConnectError;

pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    bytes: Arc<ByteCount>,
    /// Answers that it has carried.
    answers: u64,
}

#[derive(Default)]
struct ByteCount {
    sent: AtomicU64,
    received: AtomicU64,
}

/// What one request came to.
pub(super) struct Exchange {
    pub(super) outcome: Outcome,
    pub(super) sent_bytes: u64,
    pub(super) received_bytes: u64,
    pub(super) retried: bool,
}

/// Sends the plan's request on the kept-alive connection, or on a new one, and reads the whole answer. The connection is put
/// back if it can carry another.
pub(super) async fn exchange(plan: &Plan, kept: &mut Option<Connection>) -> Exchange {
    let mut exchange = Exchange {
        outcome: Outcome::Error { kind: "timeout", example: String::new() },
        sent_bytes: 0,
        received_bytes: 0,
        retried: false,
    };
    let Ok(outcome) = tokio::time::timeout(plan.timeout, attempts(plan, kept, &mut exchange)).await else {
        exchange.outcome =
            Outcome::Error { kind: "timeout", example: format!("no answer within {:?}", plan.timeout) };
        return exchange;
    };
    exchange.outcome = outcome;
    exchange
}

async fn attempts(plan: &Plan, kept: &mut Option<Connection>, exchange: &mut Exchange) -> Outcome {
    // Twice at most: a new connection is not a reason to try again.
    loop {
        let mut connection = match kept.take() {
            Some(connection) if !connection.sender.is_closed() => connection,
            _ => match open(plan).await {
                Ok(connection) => connection,
                Err(outcome) => return outcome,
            },
        };
        let is_reused = connection.answers > 0;
        let (sent, received) = connection.bytes.get();
        let outcome = connection.send(plan).await;
        let (sent_after, received_after) = connection.bytes.get();
        exchange.sent_bytes += sent_after - sent;
        exchange.received_bytes += received_after - received;
        match outcome {
            Ok(outcome) => {
                connection.answers += 1;
                *kept = Some(connection);
                return outcome;
            }
            // The server closed the connection while the request was on its way, and has answered nothing.
            Err(error)
                if plan.retry_closed
                    && is_reused
                    && received_after == received
                    && (sent_after == sent || has_no_effect(&plan.method)) =>
            {
                tracing::debug!("sent again on a new connection: {error}");
                exchange.retried = true;
            }
            Err(error) => return failure(&error),
        }
    }
}

fn has_no_effect(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE].contains(method)
}

async fn open(plan: &Plan) -> Result<Connection, Outcome> {
    let error = |kind, error: &dyn std::fmt::Display| Outcome::Error { kind, example: error.to_string() };
    let stream = plan.target.connect().await.map_err(|failed| match failed {
        ConnectError::Resolve(cause) => error("name not resolved", &cause),
        ConnectError::Connect(cause) => match cause.kind() {
            io::ErrorKind::ConnectionRefused => error("connection refused", &cause),
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                error("unreachable", &cause)
            }
            _ => error("not connected", &cause),
        },
    })?;
    let bytes = Arc::new(ByteCount::default());
    let io = TokioIo::new(Counted { stream, bytes: bytes.clone() });
    let (sender, driver) = handshake(io).await.map_err(|cause| error("not connected", &cause))?;
    // Its end shows in the sender; its error is the request's.
    tokio::spawn(async move {
        let _ = driver.await;
    });
    Ok(Connection { sender, bytes, answers: 0 })
}

impl Connection {
    pub(super) fn is_usable(&self) -> bool {
        !self.sender.is_closed()
    }

    async fn send(&mut self, plan: &Plan) -> Result<Outcome, hyper::Error> {
        self.sender.ready().await?;
        let mut request = Request::new(Full::new(plan.body.clone()));
        *request.method_mut() = plan.method.clone();
        *request.uri_mut() = plan.target.path.clone();
        *request.headers_mut() = plan.headers.clone();
        let response = self.sender.send_request(request).await?;
        let status = response.status().as_u16();
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            frame?;
        }
        Ok(Outcome::Status(status))
    }
}

/// Sorts a transport error into few kinds.
fn failure(error: &hyper::Error) -> Outcome {
    let mut example = error.to_string();
    let mut io_kind = None;
    let mut cause = std::error::Error::source(error);
    // Sources do not form circles, but a bound costs nothing.
    for _ in 0..8 {
        let Some(inner) = cause else { break };
        example = format!("{example}: {inner}");
        io_kind = io_kind.or_else(|| inner.downcast_ref::<io::Error>().map(io::Error::kind));
        cause = inner.source();
    }
    let kind = match io_kind {
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => "connection reset",
        _ if error.is_incomplete_message() || error.is_canceled() || error.is_closed() => {
            "connection closed early"
        }
        Some(io::ErrorKind::UnexpectedEof) => "connection closed early",
        _ if error.is_parse() => "malformed answer",
        _ => "transport error",
    };
    Outcome::Error { kind, example }
}

impl ByteCount {
    fn get(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), self.received.load(Ordering::Relaxed))
    }
}

struct Counted {
    stream: TcpStream,
    bytes: Arc<ByteCount>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        let read = buffer.filled().len() - before;
        self.bytes.received.fetch_add(read as u64, Ordering::Relaxed);
        outcome
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(written)) = &outcome {
            self.bytes.sent.fetch_add(*written as u64, Ordering::Relaxed);
        }
        outcome
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// How long an iteration that began before the end may still take.
pub(super) fn grace(plan: &Plan) -> Duration {
    plan.timeout.min(super::limits::GRACEFUL_STOP)
}
