//! One health check: a connection of its own, one request, the status code, and the connection is closed.

use std::net::SocketAddrV4;

use gantry_domain::elb::TargetProtocol;
use gantry_routing::ProbeResult;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::core::ProbeOrder;
use crate::http1::{HeadEnd, HeadProgress, ResponseHead};
use crate::limits::PROBE_BYTES_MAX;
use crate::outbound::Sockets;

pub(crate) async fn probe(sockets: &Sockets, order: &ProbeOrder) -> ProbeResult {
    if order.protocol == TargetProtocol::Https {
        // TLS to targets is not served; AWS's words for a check that cannot be made fit.
        return ProbeResult::InternalError;
    }
    match tokio::time::timeout(order.timeout, ask(sockets, order)).await {
        Ok(Some(status)) => ProbeResult::Status(status),
        Ok(None) => ProbeResult::Failed,
        Err(_) => ProbeResult::TimedOut,
    }
}

async fn ask(sockets: &Sockets, order: &ProbeOrder) -> Option<u16> {
    let mut stream = sockets.connect(&order.outbound, order.address).await.ok()?;
    stream.write_all(request(&order.path, order.address).as_bytes()).await.ok()?;
    read_status(&mut stream).await
}

fn request(path: &str, address: SocketAddrV4) -> String {
    // The API lets no other bytes into a path; a record from elsewhere must not break the request.
    let path: String = path.chars().filter(char::is_ascii_graphic).collect();
    format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nUser-Agent: ELB-HealthChecker/2.0\r\n\
         Accept-Encoding: gzip, compressed\r\n\r\n"
    )
}

async fn read_status(stream: &mut TcpStream) -> Option<u16> {
    let mut bytes = Vec::with_capacity(1024);
    loop {
        let mut end = HeadEnd::new(PROBE_BYTES_MAX);
        let length = loop {
            match end.advance(&bytes) {
                HeadProgress::Complete(length) => break length,
                HeadProgress::TooLong(_) => return None,
                HeadProgress::Incomplete => {}
            }
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        let status = ResponseHead::parse(&bytes[..length]).ok()?.status;
        if status >= 200 {
            return Some(status);
        }
        bytes.drain(..length);
    }
}
