//! The head that a client gets from a target.

use super::request::copy_line;
use crate::http1::{Kind, ResponseBody, ResponseHead, Version, connection_options};

/// How a response's body reaches the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relay {
    None,
    Length(u64),
    /// Chunks as the target made them.
    Chunks,
    /// The data of the target's chunks: an HTTP/1.0 client knows none.
    Unchunked,
    /// Chunks of our own: the target ends its body by closing.
    Chunked,
    UntilClose,
}

impl Relay {
    pub(crate) fn of(body: ResponseBody, client: Version) -> Self {
        match (body, client) {
            (ResponseBody::None, _) => Self::None,
            (ResponseBody::Length(length), _) => Self::Length(length),
            (ResponseBody::Chunked, Version::Http11) => Self::Chunks,
            (ResponseBody::Chunked, Version::Http10) => Self::Unchunked,
            (ResponseBody::UntilClose, Version::Http11) => Self::Chunked,
            (ResponseBody::UntilClose, Version::Http10) => Self::UntilClose,
        }
    }

    /// Whether the client knows the end only by the connection's.
    pub(crate) fn ends_with_close(self) -> bool {
        matches!(self, Self::Unchunked | Self::UntilClose)
    }
}

/// Writes the final head: the target's lines, and whether the client may send another request.
pub(crate) fn write_response(
    out: &mut Vec<u8>,
    head: &ResponseHead<'_>,
    relay: Relay,
    client: Version,
    keep: bool,
) {
    write_lines(out, head, relay, client);
    if relay == Relay::Chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    if head.status == 101 {
        out.extend_from_slice(b"Connection: Upgrade\r\n\r\n");
    } else if keep {
        out.extend_from_slice(b"Connection: keep-alive\r\n\r\n");
    } else {
        out.extend_from_slice(b"Connection: close\r\n\r\n");
    }
}

/// Writes an interim head (1xx).
pub(crate) fn write_interim(out: &mut Vec<u8>, head: &ResponseHead<'_>) {
    write_lines(out, head, Relay::None, Version::Http11);
    out.extend_from_slice(b"\r\n");
}

fn write_lines(out: &mut Vec<u8>, head: &ResponseHead<'_>, relay: Relay, client: Version) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(head.status_text);
    if head.status_text.len() == 3 {
        // The space in front of an empty phrase is not optional.
        out.push(b' ');
    }
    out.extend_from_slice(b"\r\n");
    let named: Vec<&[u8]> = connection_options(&head.fields).collect();
    // No body at all: a length would make the client wait for one.
    let bodiless = matches!(head.status, 100..=199 | 204);
    let coded = head.fields.iter().any(|field| field.kind == Kind::TransferEncoding);
    let mut length_written = false;
    for field in &head.fields {
        let kept = match field.kind {
            Kind::Connection | Kind::KeepAlive | Kind::ProxyConnection => false,
            Kind::Upgrade => head.status == 101,
            Kind::ContentLength => {
                let wanted = !bodiless && !coded && !length_written;
                length_written |= wanted;
                wanted
            }
            Kind::TransferEncoding => {
                !bodiless && client == Version::Http11 && matches!(relay, Relay::None | Relay::Chunks)
            }
            Kind::Expect
            | Kind::ForwardedFor
            | Kind::ForwardedPort
            | Kind::ForwardedProto
            | Kind::Host
            | Kind::Te
            | Kind::TraceId
            | Kind::Other => !named.iter().any(|name| name.eq_ignore_ascii_case(field.name)),
        };
        if kept {
            copy_line(out, field);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(client: Version, to_head: bool, keep: bool, response: &str, expected: &str, relay: Relay) {
        let response = response.replace('\n', "\r\n");
        let head = ResponseHead::parse(response.as_bytes()).unwrap();
        let found = Relay::of(head.body(to_head), client);
        assert_eq!(found, relay, "{response:?}");
        let mut out = Vec::new();
        write_response(&mut out, &head, relay, client, keep);
        assert_eq!(String::from_utf8(out).unwrap().replace("\r\n", "\n"), expected, "{response:?}");
    }

    #[test]
    fn a_clients_head_is_the_targets_with_its_own_framing() {
        use Version::{Http10, Http11};
        check(
            Http11,
            false,
            true,
            "HTTP/1.1 200 Fine\nserver: x\nConnection: close, x-hop\nX-Hop: 1\nKeep-Alive: 5\ncontent-length: 5\nContent-Length: 5\n\n",
            "HTTP/1.1 200 Fine\nserver: x\ncontent-length: 5\nConnection: keep-alive\n\n",
            Relay::Length(5),
        );
        let chunked = "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nContent-Length: 9\nA: b\n\n";
        check(
            Http11,
            false,
            false,
            chunked,
            "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nA: b\nConnection: close\n\n",
            Relay::Chunks,
        );
        check(
            Http10,
            false,
            false,
            chunked,
            "HTTP/1.1 200 OK\nA: b\nConnection: close\n\n",
            Relay::Unchunked,
        );
        let closing = "HTTP/1.0 200\nA: b\n\n";
        check(
            Http11,
            false,
            true,
            closing,
            "HTTP/1.1 200 \nA: b\nTransfer-Encoding: chunked\nConnection: keep-alive\n\n",
            Relay::Chunked,
        );
        check(Http10, false, false, closing, "HTTP/1.1 200 \nA: b\nConnection: close\n\n", Relay::UntilClose);
        check(
            Http11,
            true,
            true,
            "HTTP/1.1 200 OK\nContent-Length: 5\n\n",
            "HTTP/1.1 200 OK\nContent-Length: 5\nConnection: keep-alive\n\n",
            Relay::None,
        );
        check(
            Http11,
            false,
            true,
            "HTTP/1.1 304 NM\nContent-Length: 5\n\n",
            "HTTP/1.1 304 NM\nContent-Length: 5\nConnection: keep-alive\n\n",
            Relay::None,
        );
        check(
            Http11,
            false,
            true,
            "HTTP/1.1 204 N\nContent-Length: 0\nTransfer-Encoding: chunked\n\n",
            "HTTP/1.1 204 N\nConnection: keep-alive\n\n",
            Relay::None,
        );
        check(
            Http11,
            false,
            true,
            "HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Accept: k\n\n",
            "HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nSec-WebSocket-Accept: k\nConnection: Upgrade\n\n",
            Relay::None,
        );
    }
}
