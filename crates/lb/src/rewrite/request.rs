//! The head that a target gets.

use std::io::Write as _;
use std::net::SocketAddrV4;

use gantry_types::Timestamp;

use super::forwarded::write_forwarded_for;
use super::host::{HostRules, write_host};
use super::trace::{Randomness, write_trace_id};
use crate::attributes::LoadBalancerAttributes;
use crate::http1::{Body, Field, Kind, RequestHead, TargetForm, connection_options, is_valid_name};

/// What the head depends on besides the request.
pub(crate) struct RequestContext<'a> {
    pub(crate) attributes: &'a LoadBalancerAttributes,
    pub(crate) listener_port: u16,
    pub(crate) dns_name: &'a str,
    pub(crate) client: SocketAddrV4,
    /// The target's connection is not used again.
    pub(crate) close: bool,
    /// The client asks for another protocol.
    pub(crate) upgrade: bool,
    pub(crate) now: Timestamp,
}

/// What was noticed on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RequestNotes {
    /// Headers whose name is not `[-A-Za-z0-9]+`.
    pub(crate) invalid_headers: u64,
}

/// Why the request cannot be forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 463
    TooManyForwardedFor,
}

/// Writes the head that a target gets.
pub(crate) fn write_request(
    out: &mut Vec<u8>,
    head: &RequestHead<'_>,
    context: &RequestContext<'_>,
    random: &mut Randomness,
) -> Result<RequestNotes, Refusal> {
    let attributes = context.attributes;
    write_request_line(out, head);
    let (mode, with_port) = (attributes.forwarded_for, attributes.forwarded_client_port);
    write_forwarded_for(out, &head.fields, context.client, mode, with_port)
        .map_err(|_| Refusal::TooManyForwardedFor)?;
    // Writing to a vector cannot fail.
    let _ = write!(out, "X-Forwarded-Proto: http\r\nX-Forwarded-Port: {}\r\n", context.listener_port);
    let rules = HostRules {
        preserve: attributes.preserve_host,
        listener_port: context.listener_port,
        dns_name: context.dns_name,
    };
    write_host(out, head, rules);
    out.extend_from_slice(b"X-Amzn-Trace-Id: ");
    write_trace_id(out, head.field(Kind::TraceId).map(|field| field.value), context.now, random);
    out.extend_from_slice(b"\r\n");
    let notes = copy_fields(out, head, context);
    match head.body {
        Body::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        // The number may have been written in an odd way.
        Body::Length(length) => {
            let _ = write!(out, "Content-Length: {length}\r\n");
        }
        Body::None => {}
    }
    if context.upgrade {
        out.extend_from_slice(b"Connection: Upgrade\r\n");
    } else if context.close {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
    Ok(notes)
}

fn write_request_line(out: &mut Vec<u8>, head: &RequestHead<'_>) {
    out.extend_from_slice(head.method);
    out.push(b' ');
    match head.form {
        TargetForm::Asterisk => out.push(b'*'),
        TargetForm::Origin | TargetForm::Absolute(_) => {
            write_encoded(out, head.path);
            if let Some(query) = head.query {
                out.push(b'?');
                write_encoded(out, query);
            }
        }
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// As it is, but for white space and control characters: they would end the line, or the target in it, for some recipients.
fn write_encoded(out: &mut Vec<u8>, text: &[u8]) {
    if text.iter().all(|byte| *byte > 0x20 && *byte != 0x7f) {
        out.extend_from_slice(text);
        return;
    }
    for byte in text {
        if *byte > 0x20 && *byte != 0x7f {
            out.push(*byte);
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

fn copy_fields(out: &mut Vec<u8>, head: &RequestHead<'_>, context: &RequestContext<'_>) -> RequestNotes {
    let mut notes = RequestNotes::default();
    let named: Vec<&[u8]> = connection_options(&head.fields).collect();
    for field in &head.fields {
        let kept = match field.kind {
            Kind::Other => !named.iter().any(|name| name.eq_ignore_ascii_case(field.name)),
            Kind::Upgrade => context.upgrade,
            Kind::Connection
            | Kind::ContentLength
            | Kind::Expect
            | Kind::ForwardedFor
            | Kind::ForwardedPort
            | Kind::ForwardedProto
            | Kind::Host
            | Kind::KeepAlive
            | Kind::ProxyConnection
            | Kind::Te
            | Kind::TraceId
            | Kind::TransferEncoding => false,
        };
        if !kept {
            continue;
        }
        if field.kind == Kind::Other && !is_valid_name(field.name) {
            notes.invalid_headers += 1;
            if context.attributes.drop_invalid_headers {
                continue;
            }
        }
        copy_line(out, field);
    }
    notes
}

pub(super) fn copy_line(out: &mut Vec<u8>, field: &Field<'_>) {
    out.extend_from_slice(field.line);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// What a target gets for a request, with `T` for the trace id.
    fn rewritten(attributes: &[(&str, &str)], close: bool, request: &str) -> Result<String, Refusal> {
        let mut balancer = crate::testing::load_balancer("a");
        balancer.attributes = attributes
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect::<BTreeMap<_, _>>();
        let request = request.replace('\n', "\r\n");
        let head = RequestHead::parse(request.as_bytes()).unwrap();
        let context = RequestContext {
            attributes: &LoadBalancerAttributes::of(&balancer),
            listener_port: 80,
            dns_name: "a.localhost",
            client: "192.0.2.7:4711".parse().unwrap(),
            close,
            upgrade: head.upgrades(),
            now: Timestamp::EPOCH,
        };
        let mut out = Vec::new();
        write_request(&mut out, &head, &context, &mut Randomness::from_seed(1))?;
        let out = String::from_utf8(out).unwrap();
        let at = out.find("=1-00000000-").expect("a trace id") + 1;
        Ok(out.replace(&out[at..at + 35], "T").replace("\r\n", "\n"))
    }

    #[test]
    fn lines_are_copied_as_they_are_and_the_balancers_own_are_added() {
        assert_eq!(
            rewritten(&[], false, "GET /a?b=%20c HTTP/1.1\nhOsT: x.com\nX-cAsE:  two  \nAccept: */*\ncookie: a=b\n\n"),
            Ok("GET /a?b=%20c HTTP/1.1\nX-Forwarded-For: 192.0.2.7\nX-Forwarded-Proto: http\nX-Forwarded-Port: 80\n\
                Host: x.com\nX-Amzn-Trace-Id: Root=T\nX-cAsE:  two  \nAccept: */*\ncookie: a=b\n\n"
                .to_owned())
        );
    }

    #[test]
    fn what_belongs_to_one_connection_ends_here() {
        let request = "POST http://y.com HTTP/1.1\nHost: x.com\nConnection: close, X-Private, Content-Type\nX-private: 1\n\
            Keep-Alive: timeout=5\nProxy-Connection: x\nTE: trailers\nUpgrade: h2c\nExpect: 100-continue\n\
            X-Forwarded-Proto: https\nX-Forwarded-Port: 1\nContent-Type: a\nContent-Length: 005\nTrailer: z\n\n";
        assert_eq!(
            rewritten(&[], true, request),
            Ok("POST / HTTP/1.1\nX-Forwarded-For: 192.0.2.7\nX-Forwarded-Proto: http\nX-Forwarded-Port: 80\n\
                Host: y.com\nX-Amzn-Trace-Id: Root=T\nTrailer: z\nContent-Length: 5\nConnection: close\n\n"
                .to_owned())
        );
    }

    #[test]
    fn an_upgrade_is_asked_for() {
        let request = "GET / HTTP/1.1\nHost: x\nConnection: keep-alive, Upgrade\nUpgrade: websocket\nSec-WebSocket-Key: k\n\n";
        let rewritten = rewritten(&[], false, request).unwrap();
        assert!(
            rewritten.ends_with("Upgrade: websocket\nSec-WebSocket-Key: k\nConnection: Upgrade\n\n"),
            "{rewritten}"
        );
    }

    #[test]
    fn ambiguous_requests_leave_in_one_reading() {
        let request = "POST /a b HTTP/1.1\nHost: x\nHost: y\nContent-Length: 3\nTransfer-Encoding: chunked\n: empty\n\n";
        assert_eq!(
            rewritten(&[], true, request),
            Ok("POST /a%20b HTTP/1.1\nX-Forwarded-For: 192.0.2.7\nX-Forwarded-Proto: http\nX-Forwarded-Port: 80\n\
                Host: x\nX-Amzn-Trace-Id: Root=T\nTransfer-Encoding: chunked\nConnection: close\n\n"
                .to_owned())
        );
    }

    #[test]
    fn forwarded_for_is_appended_preserved_or_removed() {
        let request =
            "GET / HTTP/1.1\nHost: x\nX-Forwarded-For: 1.1.1.1\nx-forwarded-for: 2.2.2.2, 3.3.3.3\n\n";
        let mode = "routing.http.xff_header_processing.mode";
        let port = ("routing.http.xff_client_port.enabled", "true");
        for (attributes, expected) in [
            (&[][..], Some("1.1.1.1, 2.2.2.2, 3.3.3.3, 192.0.2.7")),
            (&[port], Some("1.1.1.1, 2.2.2.2, 3.3.3.3, 192.0.2.7:4711")),
            (&[(mode, "preserve")], Some("1.1.1.1, 2.2.2.2, 3.3.3.3")),
            (&[(mode, "remove")], None),
        ] {
            let rewritten = rewritten(attributes, false, request).unwrap();
            let found: Vec<_> =
                rewritten.lines().filter(|line| line.starts_with("X-Forwarded-For")).collect();
            let expected: Vec<_> =
                expected.map(|value| format!("X-Forwarded-For: {value}")).into_iter().collect();
            assert_eq!(found, expected, "{attributes:?}");
        }
        let many = |count| {
            format!("GET / HTTP/1.1\nHost: x\nX-Forwarded-For: {}\n\n", vec!["1.1.1.1"; count].join(","))
        };
        assert!(rewritten(&[], false, &many(30)).is_ok());
        assert_eq!(rewritten(&[], false, &many(31)), Err(Refusal::TooManyForwardedFor));
    }

    #[test]
    fn invalid_headers_are_dropped_on_demand() {
        let request = "GET / HTTP/1.1\nHost: x\nX_Odd: 1\nX-Even: 2\n\n";
        assert!(rewritten(&[], false, request).unwrap().contains("X_Odd"));
        let drop = ("routing.http.drop_invalid_header_fields.enabled", "true");
        let rewritten = rewritten(&[drop], false, request).unwrap();
        assert!(!rewritten.contains("X_Odd") && rewritten.contains("X-Even"));
    }
}
