//! Reading and classifying a request's head.

use super::bytes::{decimal, ends_lines, is_authority, is_plain, is_token, trim};
use super::desync::{Classification, Reason};
use super::field::{Field, Kind, connection_options, lines};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Http10,
    Http11,
}

/// How a request's target was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TargetForm<'b> {
    Origin,
    /// `http://authority/...`: the authority stands for the Host header.
    Absolute(&'b [u8]),
    /// `*`, for OPTIONS.
    Asterisk,
}

/// How long a request's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    None,
    Length(u64),
    Chunked,
}

/// A head that nothing can be done with, whatever the mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// 400
    Bad(Reason),
    /// 400: HTTP/1.1 without a Host.
    NoHost,
    /// 501: a transfer coding that exists and is not served.
    TransferCoding,
    /// 505
    Version,
}

/// A request's head, read from the bytes that hold it.
#[derive(Debug, Clone)]
pub(crate) struct RequestHead<'b> {
    pub(crate) method: &'b [u8],
    pub(crate) form: TargetForm<'b>,
    /// Begins with a slash, or is `*`.
    pub(crate) path: &'b [u8],
    pub(crate) query: Option<&'b [u8]>,
    pub(crate) version: Version,
    /// Without the lines that were too broken to be kept.
    pub(crate) fields: Vec<Field<'b>>,
    pub(crate) body: Body,
    pub(crate) classification: Classification,
}

impl<'b> RequestHead<'b> {
    /// Reads a whole head, the empty line included.
    pub(crate) fn parse(head: &'b [u8]) -> Result<Self, Malformed> {
        let mut found = Classification::default();
        let mut lines = lines(head);
        let (first, bare) = lines.next().unwrap_or((&[], false));
        let (method, target, version) = request_line(first, &mut found)?;
        if bare {
            found.note(Reason::SuspiciousHeader);
        }
        let (form, path, query) = split_target(target)?;
        let mut fields = Vec::with_capacity(24);
        for (line, bare) in lines {
            if bare {
                found.note(Reason::SuspiciousHeader);
            }
            if let Some(field) = read_field(line, &mut found) {
                fields.push(field);
            }
        }
        let body = framing(&fields, method, version, &mut found)?;
        let head = Self { method, form, path, query, version, fields, body, classification: found };
        head.check_host()
    }

    /// One Host, and one that can be a host.
    fn check_host(mut self) -> Result<Self, Malformed> {
        let mut hosts = self.fields.iter().filter(|field| field.kind == Kind::Host);
        let first = hosts.next().map(|field| field.value);
        let more = hosts.next().is_some();
        match first {
            None if self.version == Version::Http11 => return Err(Malformed::NoHost),
            Some(host) if !is_authority(host) => self.classification.note(Reason::BadHeader),
            Some(_) | None => {}
        }
        if more {
            self.classification.note(Reason::SuspiciousHeader);
        }
        Ok(self)
    }

    /// What the request is addressed to, with its port: the target's authority, else the first Host; empty without any.
    pub(crate) fn authority(&self) -> &'b [u8] {
        if let TargetForm::Absolute(authority) = self.form {
            return authority;
        }
        self.field(Kind::Host).map_or(&[], |field| field.value)
    }

    /// The authority without its port.
    pub(crate) fn host(&self) -> &'b [u8] {
        split_port(self.authority()).0
    }

    /// The first field of a kind.
    pub(crate) fn field(&self, kind: Kind) -> Option<&Field<'b>> {
        self.fields.iter().find(|field| field.kind == kind)
    }

    /// Whether the client asked to keep its connection.
    pub(crate) fn keeps_alive(&self) -> bool {
        let asked = |wanted: &[u8]| {
            connection_options(&self.fields).any(|option| option.eq_ignore_ascii_case(wanted))
        };
        match self.version {
            Version::Http11 => !asked(b"close"),
            Version::Http10 => asked(b"keep-alive") && !asked(b"close"),
        }
    }

    /// Whether the client asks to speak another protocol on this connection.
    pub(crate) fn upgrades(&self) -> bool {
        self.version == Version::Http11
            && self.field(Kind::Upgrade).is_some()
            && connection_options(&self.fields).any(|option| option.eq_ignore_ascii_case(b"upgrade"))
    }

    pub(crate) fn expects_continue(&self) -> bool {
        self.version == Version::Http11
            && self.field(Kind::Expect).is_some_and(|field| field.value.eq_ignore_ascii_case(b"100-continue"))
    }

    /// Methods that may be sent again without doing a thing twice (RFC 9110, 9.2.2).
    pub(crate) fn is_idempotent(&self) -> bool {
        matches!(self.method, b"GET" | b"HEAD" | b"OPTIONS" | b"PUT" | b"DELETE")
    }
}

/// An authority's host and port. A colon inside brackets belongs to the host.
pub(crate) fn split_port(authority: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memrchr(b':', authority) {
        Some(colon) if !authority[colon..].contains(&b']') => {
            (&authority[..colon], Some(&authority[colon + 1..]))
        }
        _ => (authority, None),
    }
}

/// `METHOD target HTTP/1.1`. What stands between the first and the last space is the target.
fn request_line<'b>(
    line: &'b [u8],
    found: &mut Classification,
) -> Result<(&'b [u8], &'b [u8], Version), Malformed> {
    let method_end = memchr::memchr(b' ', line).ok_or(Malformed::Bad(Reason::BadMethod))?;
    let method = &line[..method_end];
    if !is_token(method) {
        return Err(Malformed::Bad(Reason::BadMethod));
    }
    let rest = &line[method_end + 1..];
    let target_end = memchr::memrchr(b' ', rest).ok_or(Malformed::Bad(Reason::BadVersion))?;
    let (target, version) = (&rest[..target_end], &rest[target_end + 1..]);
    let version = match version {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor] if minor.is_ascii_digit() => {
            found.note(Reason::NonCompliantVersion);
            Version::Http11
        }
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            return Err(Malformed::Version);
        }
        _ => return Err(Malformed::Bad(Reason::BadVersion)),
    };
    if target.is_empty() {
        return Err(Malformed::Bad(Reason::BadUri));
    }
    if ends_lines(target) {
        found.note(Reason::BadUri);
    }
    if target.iter().any(|byte| *byte < 0x20 || *byte == 0x7f) {
        found.note(Reason::AmbiguousUri);
    }
    if target.contains(&b' ') {
        found.note(Reason::SpaceInUri);
    }
    Ok((method, target, version))
}

/// A target's form, path and query.
type TargetParts<'b> = (TargetForm<'b>, &'b [u8], Option<&'b [u8]>);

fn split_target(target: &[u8]) -> Result<TargetParts<'_>, Malformed> {
    let (form, rest) = match target {
        b"*" => return Ok((TargetForm::Asterisk, target, None)),
        [b'/', ..] => (TargetForm::Origin, target),
        _ => {
            let rest = strip_scheme(target).ok_or(Malformed::Bad(Reason::BadUri))?;
            let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
            let (authority, rest) = rest.split_at(end);
            if authority.is_empty() || !is_authority(authority) {
                return Err(Malformed::Bad(Reason::BadUri));
            }
            (TargetForm::Absolute(authority), rest)
        }
    };
    let (path, query) = match memchr::memchr(b'?', rest) {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    Ok((form, if path.is_empty() { b"/" } else { path }, query))
}

fn strip_scheme(target: &[u8]) -> Option<&[u8]> {
    [&b"http://"[..], b"https://"].into_iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

/// Reads a header line. `None` for one that is left out: what it could mean to its recipient is anybody's guess.
fn read_field<'b>(line: &'b [u8], found: &mut Classification) -> Option<Field<'b>> {
    if matches!(line.first(), Some(b' ' | b'\t')) || ends_lines(line) {
        found.note(Reason::BadHeader);
        return None;
    }
    let Some(field) = Field::split(line) else {
        found.note(Reason::BadHeader);
        return None;
    };
    if field.name.is_empty() {
        found.note(Reason::EmptyHeader);
        return None;
    }
    if field.name.iter().any(|byte| matches!(byte, b' ' | b'\t')) {
        found.note(Reason::BadHeader);
        return None;
    }
    if field.kind == Kind::Other {
        if !is_token(field.name) {
            found.note(Reason::NonCompliantHeader);
        }
        if looks_like_framing(field.name) {
            found.note(Reason::SuspiciousHeader);
        }
    }
    if !is_plain(field.value) {
        found.note(Reason::NonCompliantHeader);
    }
    Some(field)
}

/// Names that become Content-Length or Transfer-Encoding when a recipient normalises them.
fn looks_like_framing(name: &[u8]) -> bool {
    // Shorter names cannot, and longer ones would need many odd bytes.
    if !(13..=40).contains(&name.len()) {
        return false;
    }
    let letters = || name.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase);
    letters().eq(b"contentlength".iter().copied()) || letters().eq(b"transferencoding".iter().copied())
}

/// How long the body is, with everything that is doubtful about it.
fn framing(
    fields: &[Field<'_>],
    method: &[u8],
    version: Version,
    found: &mut Classification,
) -> Result<Body, Malformed> {
    let mut length: Option<u64> = None;
    let mut codings = Codings::default();
    for field in fields {
        match field.kind {
            Kind::ContentLength => match (decimal(field.value), length) {
                (None, _) => found.note(Reason::BadContentLength),
                (Some(new), Some(old)) if new != old => found.note(Reason::MultipleContentLength),
                (Some(_), Some(_)) => found.note(Reason::DuplicateContentLength),
                (Some(new), None) => length = Some(new),
            },
            Kind::TransferEncoding => codings.add(field.value),
            _ => {}
        }
    }
    let gets = matches!(method, b"GET" | b"HEAD");
    match codings.read(version)? {
        Framing::Bad(reason) => {
            found.note(reason);
            // In monitor mode the request goes on without a body, and both connections close behind it.
            Ok(Body::None)
        }
        Framing::Chunked => {
            if length.is_some() {
                found.note(Reason::BothTeClPresent);
            }
            if gets {
                found.note(Reason::UndefinedTransferEncodingSemantics);
            }
            Ok(Body::Chunked)
        }
        Framing::None => match length {
            None => Ok(Body::None),
            Some(0) => {
                if gets {
                    found.note(Reason::GetHeadZeroContentLength);
                }
                Ok(Body::Length(0))
            }
            Some(length) => {
                if gets {
                    found.note(Reason::UndefinedContentLengthSemantics);
                }
                Ok(Body::Length(length))
            }
        },
    }
}

/// What the Transfer-Encoding headers say together.
#[derive(Default)]
struct Codings {
    present: bool,
    chunked: u32,
    /// `chunked` is followed by something.
    behind: bool,
    known: bool,
    unknown: bool,
}

enum Framing {
    None,
    Chunked,
    Bad(Reason),
}

impl Codings {
    fn add(&mut self, value: &[u8]) {
        self.present = true;
        for coding in value.split(|byte| *byte == b',').map(trim) {
            self.behind |= self.chunked > 0;
            if coding.eq_ignore_ascii_case(b"chunked") {
                self.chunked += 1;
            } else if [&b"gzip"[..], b"x-gzip", b"deflate", b"compress", b"x-compress"]
                .iter()
                .any(|known| coding.eq_ignore_ascii_case(known))
            {
                self.known = true;
            } else if !coding.eq_ignore_ascii_case(b"identity") {
                self.unknown = true;
            }
        }
    }

    fn read(&self, version: Version) -> Result<Framing, Malformed> {
        Ok(match self {
            Self { present: false, .. } => Framing::None,
            Self { unknown: true, .. } => Framing::Bad(Reason::BadTransferEncoding),
            Self { chunked: 2.., .. } => Framing::Bad(Reason::MultipleTransferEncodingChunked),
            Self { behind: true, .. } => Framing::Bad(Reason::BadTransferEncoding),
            _ if version == Version::Http10 => Framing::Bad(Reason::BadTransferEncoding),
            Self { known: true, .. } => return Err(Malformed::TransferCoding),
            Self { chunked: 1, .. } => Framing::Chunked,
            _ => Framing::None,
        })
    }
}

/// `[-A-Za-z0-9]+`: the names that are kept when invalid header fields are dropped.
pub(crate) fn is_valid_name(name: &[u8]) -> bool {
    name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}
