//! Header lines.

use super::bytes::trim;

/// The headers that the balancer itself reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Connection,
    ContentLength,
    Expect,
    ForwardedFor,
    ForwardedPort,
    ForwardedProto,
    Host,
    KeepAlive,
    ProxyConnection,
    Te,
    TraceId,
    TransferEncoding,
    Upgrade,
    Other,
}

impl Kind {
    pub(crate) fn of(name: &[u8]) -> Self {
        let (text, kind) = match name.len() {
            2 => ("te", Self::Te),
            4 => ("host", Self::Host),
            6 => ("expect", Self::Expect),
            7 => ("upgrade", Self::Upgrade),
            10 if matches!(name[0], b'c' | b'C') => ("connection", Self::Connection),
            10 => ("keep-alive", Self::KeepAlive),
            14 => ("content-length", Self::ContentLength),
            15 if matches!(name[2], b'f' | b'F') => ("x-forwarded-for", Self::ForwardedFor),
            15 => ("x-amzn-trace-id", Self::TraceId),
            16 if matches!(name[0], b'x' | b'X') => ("x-forwarded-port", Self::ForwardedPort),
            16 => ("proxy-connection", Self::ProxyConnection),
            17 if matches!(name[0], b'x' | b'X') => ("x-forwarded-proto", Self::ForwardedProto),
            17 => ("transfer-encoding", Self::TransferEncoding),
            _ => return Self::Other,
        };
        if name.eq_ignore_ascii_case(text.as_bytes()) { kind } else { Self::Other }
    }
}

/// One header line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'b> {
    /// As sent, without its end.
    pub(crate) line: &'b [u8],
    pub(crate) name: &'b [u8],
    /// Without white space around it.
    pub(crate) value: &'b [u8],
    pub(crate) kind: Kind,
}

impl<'b> Field<'b> {
    /// `None` without a colon.
    pub(crate) fn split(line: &'b [u8]) -> Option<Self> {
        let colon = memchr::memchr(b':', line)?;
        let name = &line[..colon];
        Some(Self { line, name, value: trim(&line[colon + 1..]), kind: Kind::of(name) })
    }
}

/// Lines of a head behind its first one, each without its end and with whether that was a bare LF. `head` ends with the
/// empty line, which is not among them.
pub(crate) fn lines(head: &[u8]) -> impl Iterator<Item = (&[u8], bool)> {
    let mut rest = head;
    std::iter::from_fn(move || {
        let end = memchr::memchr(b'\n', rest)?;
        let line = &rest[..end];
        rest = &rest[end + 1..];
        let (line, bare) = match line.strip_suffix(b"\r") {
            Some(line) => (line, false),
            None => (line, true),
        };
        if line.is_empty() && rest.is_empty() { None } else { Some((line, bare)) }
    })
}

/// The options in the values of all Connection headers.
pub(crate) fn connection_options<'a, 'b: 'a>(fields: &'a [Field<'b>]) -> impl Iterator<Item = &'b [u8]> + 'a {
    fields
        .iter()
        .filter(|field| field.kind == Kind::Connection)
        .flat_map(|field| field.value.split(|byte| *byte == b','))
        .map(trim)
        .filter(|option| !option.is_empty())
}
