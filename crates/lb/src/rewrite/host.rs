//! The Host header.

use std::io::Write as _;

use crate::http1::{Kind, RequestHead, split_port};

/// What the Host depends on besides the request.
#[derive(Debug, Clone, Copy)]
pub(super) struct HostRules<'a> {
    pub(super) preserve: bool,
    pub(super) listener_port: u16,
    /// Stands for the host that an HTTP/1.0 client did not say.
    pub(super) dns_name: &'a str,
}

/// Writes the Host header as AWS does: kept, or with the listener's port where the port is not the protocol's own.
pub(super) fn write_host(out: &mut Vec<u8>, head: &RequestHead<'_>, rules: HostRules<'_>) {
    out.extend_from_slice(b"Host: ");
    let sent = head.field(Kind::Host);
    if let (true, Some(sent)) = (rules.preserve, sent) {
        out.extend_from_slice(sent.value);
        out.extend_from_slice(b"\r\n");
        return;
    }
    let authority = head.authority();
    let authority =
        if authority.is_empty() && sent.is_none() { rules.dns_name.as_bytes() } else { authority };
    let own_port = matches!(rules.listener_port, 80 | 443);
    match split_port(authority) {
        (host, Some(b"80" | b"443")) if own_port => out.extend_from_slice(host),
        (host, None) if !own_port && !host.is_empty() => {
            out.extend_from_slice(host);
            // Writing to a vector cannot fail.
            let _ = write!(out, ":{}", rules.listener_port);
        }
        _ => out.extend_from_slice(authority),
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_kept_or_gets_the_listeners_port() {
        for (line, host, port, preserve, expected) in [
            ("/", Some("example.com"), 80, false, "example.com"),
            ("/", Some("example.com:80"), 80, false, "example.com"),
            ("/", Some("example.com:443"), 80, false, "example.com"),
            ("/", Some("example.com:8080"), 80, false, "example.com:8080"),
            ("/", Some("example.com:80"), 80, true, "example.com:80"),
            ("/", Some("example.com"), 8080, false, "example.com:8080"),
            ("/", Some("example.com:8080"), 8080, false, "example.com:8080"),
            ("/", Some("example.com:80"), 8080, false, "example.com:80"),
            ("/", Some("example.com"), 8080, true, "example.com"),
            ("/", Some("[::1]"), 8080, false, "[::1]:8080"),
            ("http://other.com/", Some("example.com"), 80, false, "other.com"),
            ("http://other.com/", Some("example.com"), 80, true, "example.com"),
            ("/", Some(""), 8080, false, ""),
            ("/", None, 80, false, "lb.localhost"),
            ("/", None, 8080, false, "lb.localhost:8080"),
            ("/", None, 80, true, "lb.localhost"),
        ] {
            let version = if host.is_some() { "1.1" } else { "1.0" };
            let host = host.map(|host| format!("Host: {host}\r\n")).unwrap_or_default();
            let head = format!("GET {line} HTTP/{version}\r\n{host}\r\n");
            let head = RequestHead::parse(head.as_bytes()).unwrap();
            let mut out = Vec::new();
            write_host(
                &mut out,
                &head,
                HostRules { preserve, listener_port: port, dns_name: "lb.localhost" },
            );
            assert_eq!(
                String::from_utf8_lossy(&out),
                format!("Host: {expected}\r\n"),
                "{line} {host:?} {port} {preserve}"
            );
        }
    }
}
