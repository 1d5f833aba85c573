//! Reading a target's response head.

use super::bytes::{decimal, ends_lines, is_token, trim};
use super::field::{Field, Kind, connection_options, lines};
use super::request::Version;

/// Why a target's answer is no HTTP response: the client gets a 502.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadResponse {
    #[error("the status line is malformed")]
    StatusLine,
    #[error("a header line is malformed")]
    Header,
    #[error("the Content-Length is malformed or contradicts itself")]
    ContentLength,
    #[error("the Transfer-Encoding does not end with chunked")]
    TransferEncoding,
}

/// How a response's body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResponseBody {
    None,
    Length(u64),
    Chunked,
    /// With the target's connection.
    UntilClose,
}

/// A response's head, read from the bytes that hold it.
#[derive(Debug, Clone)]
pub(crate) struct ResponseHead<'b> {
    pub(crate) version: Version,
    pub(crate) status: u16,
    /// The code, a space and the phrase, as sent.
    pub(crate) status_text: &'b [u8],
    pub(crate) fields: Vec<Field<'b>>,
    length: Option<u64>,
    chunked: bool,
}

impl<'b> ResponseHead<'b> {
    /// Reads a whole head, the empty line included.
    pub(crate) fn parse(head: &'b [u8]) -> Result<Self, BadResponse> {
        let mut lines = lines(head).map(|(line, _)| line);
        let (version, status, status_text) = status_line(lines.next().unwrap_or(&[]))?;
        let mut fields = Vec::with_capacity(24);
        for line in lines {
            fields.push(read_field(line)?);
        }
        let (length, chunked) = framing(&fields)?;
        Ok(Self { version, status, status_text, fields, length, chunked })
    }

    /// How the body ends, which also depends on the request: the answer to HEAD has none.
    pub(crate) fn body(&self, to_head: bool) -> ResponseBody {
        if to_head || matches!(self.status, 100..=199 | 204 | 304) {
            ResponseBody::None
        } else if self.chunked {
            ResponseBody::Chunked
        } else {
            self.length.map_or(ResponseBody::UntilClose, ResponseBody::Length)
        }
    }

    /// Whether the target keeps its connection for another request. Not after a response that could be read in two ways.
    pub(crate) fn keeps_alive(&self) -> bool {
        let asked = |wanted: &[u8]| {
            connection_options(&self.fields).any(|option| option.eq_ignore_ascii_case(wanted))
        };
        let clear = !(self.chunked && (self.length.is_some() || self.version == Version::Http10));
        clear
            && match self.version {
                Version::Http11 => !asked(b"close"),
                Version::Http10 => asked(b"keep-alive") && !asked(b"close"),
            }
    }
}

fn status_line(line: &[u8]) -> Result<(Version, u16, &[u8]), BadResponse> {
    let rest = line.strip_prefix(b"HTTP/1.").ok_or(BadResponse::StatusLine)?;
    let (minor, rest) = rest.split_first().ok_or(BadResponse::StatusLine)?;
    let version = match minor {
        b'0' => Version::Http10,
        b'1'..=b'9' => Version::Http11,
        _ => return Err(BadResponse::StatusLine),
    };
    let text = trim(rest.strip_prefix(b" ").ok_or(BadResponse::StatusLine)?);
    let (code, phrase) = text.split_at_checked(3).ok_or(BadResponse::StatusLine)?;
    let status = decimal(code).and_then(|code| u16::try_from(code).ok()).filter(|code| *code >= 100);
    let separated = phrase.is_empty() || phrase.starts_with(b" ");
    match status {
        Some(status) if separated && !ends_lines(phrase) => Ok((version, status, text)),
        Some(_) | None => Err(BadResponse::StatusLine),
    }
}

/// Strict where a client could be misled: folded lines, white space before the colon, NUL and CR.
fn read_field(line: &[u8]) -> Result<Field<'_>, BadResponse> {
    let field = Field::split(line).ok_or(BadResponse::Header)?;
    if !is_token(field.name) || ends_lines(field.value) { Err(BadResponse::Header) } else { Ok(field) }
}

fn framing(fields: &[Field<'_>]) -> Result<(Option<u64>, bool), BadResponse> {
    let (mut length, mut chunked, mut coded) = (None, false, false);
    for field in fields {
        match field.kind {
            Kind::ContentLength => {
                let new = decimal(field.value).ok_or(BadResponse::ContentLength)?;
                if length.is_some_and(|old| old != new) {
                    return Err(BadResponse::ContentLength);
                }
                length = Some(new);
            }
            Kind::TransferEncoding => {
                for coding in field.value.split(|byte| *byte == b',').map(trim) {
                    if chunked {
                        return Err(BadResponse::TransferEncoding);
                    }
                    chunked = coding.eq_ignore_ascii_case(b"chunked");
                    coded |= !chunked && !coding.eq_ignore_ascii_case(b"identity");
                }
            }
            _ => {}
        }
    }
    if coded && !chunked { Err(BadResponse::TransferEncoding) } else { Ok((length, chunked)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(head: &str, to_head: bool) -> Result<(ResponseBody, bool), BadResponse> {
        ResponseHead::parse(head.as_bytes()).map(|head| (head.body(to_head), head.keeps_alive()))
    }

    #[test]
    fn the_body_and_the_connections_end_are_known_from_the_head() {
        use ResponseBody::{Chunked, Length, None, UntilClose};
        for (head, to_head, expected) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, (Length(5), true)),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, (None, true)),
            ("HTTP/1.1 200\r\n\r\n", false, (UntilClose, true)),
            ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", false, (None, true)),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false, (None, true)),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", false, (Chunked, true)),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", false, (Chunked, true)),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
                false,
                (Chunked, false),
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", false, (Length(3), true)),
            ("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n", false, (Length(3), false)),
            (
                "HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: Keep-Alive\r\n\r\n",
                false,
                (Length(3), true),
            ),
            ("HTTP/1.1 200 OK\nContent-Length: 3\nConnection: close, x\n\n", false, (Length(3), false)),
        ] {
            assert_eq!(body(head, to_head), Ok(expected), "{head:?}");
        }
    }

    #[test]
    fn what_is_no_response_is_refused() {
        for (head, expected) in [
            ("", BadResponse::StatusLine),
            ("HTTP/2 200\r\n\r\n", BadResponse::StatusLine),
            ("HTTP/1.1 20\r\n\r\n", BadResponse::StatusLine),
            ("HTTP/1.1 2000\r\n\r\n", BadResponse::StatusLine),
            ("HTTP/1.1 099 no\r\n\r\n", BadResponse::StatusLine),
            ("HTTP/1.1 +20 no\r\n\r\n", BadResponse::StatusLine),
            ("SSH-2.0-x\r\n\r\n", BadResponse::StatusLine),
            ("HTTP/1.1 200 OK\r\nNo colon\r\n\r\n", BadResponse::Header),
            ("HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n", BadResponse::Header),
            ("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", BadResponse::Header),
            ("HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n", BadResponse::Header),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", BadResponse::ContentLength),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", BadResponse::ContentLength),
            ("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", BadResponse::ContentLength),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", BadResponse::TransferEncoding),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", BadResponse::TransferEncoding),
        ] {
            assert_eq!(body(head, false).unwrap_err(), expected, "{head:?}");
        }
    }
}
