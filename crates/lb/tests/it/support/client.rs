//! Clients.

use std::net::SocketAddrV4;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{header, read_body, read_head, soon};

/// A client that speaks bytes.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    pub(crate) async fn connect(address: SocketAddrV4) -> Self {
        let stream = soon("a connection", TcpStream::connect(address)).await.expect("the balancer listens");
        Self::on(stream)
    }

    pub(crate) fn on(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        soon("sending", self.stream.write_all(bytes)).await.expect("the balancer reads");
    }

    /// The next response, as to a GET.
    pub(crate) async fn response(&mut self) -> Response {
        self.try_response().await.expect("a response")
    }

    /// `None` if the connection ended first.
    pub(crate) async fn try_response(&mut self) -> Option<Response> {
        let (stream, buffer) = (&mut self.stream, &mut self.buffer);
        soon("a response", async {
            let head = read_head(stream, buffer).await?;
            let status = head.get(9..12)?.parse().ok()?;
            let body = if matches!(status, 100..=199 | 204 | 304) {
                Vec::new()
            } else {
                read_body(stream, buffer, &head).await?
            };
            Some(Response { status, head, body })
        })
        .await
    }

    /// Everything up to the connection's end; a reset ends it as well.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.buffer);
        let _ = soon("the connection's end", self.stream.read_to_end(&mut rest)).await;
        rest
    }

    /// Whether the connection has ended, without a byte before that.
    pub(crate) async fn is_closed(&mut self) -> bool {
        self.rest().await.is_empty()
    }
}
