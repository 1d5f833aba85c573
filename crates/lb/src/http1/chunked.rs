//! Following a chunked body to its end.
//!
//! The bytes are not changed: they are looked at, and passed on. Every line must end with CR LF, and a size is hexadecimal
//! digits alone, because what else some recipients take is where their opinions differ.

use thiserror::Error;

use super::bytes::{ends_lines, is_token};
use super::field::{Field, Kind};
use super::{CHUNK_LINE_BYTES_MAX, TRAILER_BYTES_MAX};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum ChunkError {
    #[error("a chunk's size is not a hexadecimal number")]
    Size,
    #[error("a chunk's size does not fit 64 bits")]
    TooLarge,
    #[error("a line of the chunked body does not end with CR LF")]
    LineEnd,
    #[error("a chunk's first line is longer than {CHUNK_LINE_BYTES_MAX} bytes")]
    LongLine,
    #[error("the trailers are longer than {TRAILER_BYTES_MAX} bytes")]
    LongTrailers,
    #[error("a trailer is malformed, or a header that may not be one")]
    Trailer,
}

/// How far a scan came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scanned {
    /// Bytes that belong to the body.
    pub(crate) length: usize,
    /// The body ends there; what follows is another message.
    pub(crate) finished: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the size; whether a digit was read.
    Size {
        digits: u32,
    },
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the start of a trailer line or in it.
    Trailer,
    TrailerLf,
    Finished,
}

/// Where in a chunked body the next byte stands.
#[derive(Debug, Clone)]
pub(crate) struct ChunkScanner {
    state: State,
    /// The size that is being read, then the bytes of the chunk that are missing.
    remaining: u64,
    line_bytes: usize,
    trailer_bytes: usize,
    /// The trailer line that has begun.
    trailer: Vec<u8>,
}

impl ChunkScanner {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Size { digits: 0 },
            remaining: 0,
            line_bytes: 0,
            trailer_bytes: 0,
            trailer: Vec::new(),
        }
    }

    /// Looks at the next bytes of the stream, and gives `payload` the parts that are data.
    pub(crate) fn scan(
        &mut self,
        bytes: &[u8],
        mut payload: impl FnMut(&[u8]),
    ) -> Result<Scanned, ChunkError> {
        let mut at = 0;
        while at < bytes.len() && self.state != State::Finished {
            if self.state == State::Data {
                let available = (bytes.len() - at) as u64;
                let taken = available.min(self.remaining);
                let end = at + usize::try_from(taken).unwrap_or(bytes.len() - at);
                payload(&bytes[at..end]);
                self.remaining -= taken;
                at = end;
                if self.remaining == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            self.state = self.step(bytes[at])?;
            at += 1;
        }
        Ok(Scanned { length: at, finished: self.state == State::Finished })
    }

    fn step(&mut self, byte: u8) -> Result<State, ChunkError> {
        match (self.state, byte) {
            (State::Size { digits }, _) if byte.is_ascii_hexdigit() => {
                let digit = u64::from(char::from(byte).to_digit(16).unwrap_or(0));
                let shifted = self.remaining.checked_mul(16).ok_or(ChunkError::TooLarge)?;
                self.remaining = shifted + digit;
                self.count_line_byte()?;
                Ok(State::Size { digits: digits + 1 })
            }
            (State::Size { digits: 0 }, _) => Err(ChunkError::Size),
            (State::Size { .. } | State::Extension, b'\r') => Ok(State::SizeLf),
            (State::Size { .. }, b';') => Ok(State::Extension),
            (State::Size { .. }, _) => Err(ChunkError::Size),
            (State::Extension, b'\n' | 0) => Err(ChunkError::LineEnd),
            (State::Extension, _) => {
                self.count_line_byte()?;
                Ok(State::Extension)
            }
            (State::SizeLf, b'\n') => {
                self.line_bytes = 0;
                Ok(if self.remaining == 0 { State::Trailer } else { State::Data })
            }
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size { digits: 0 }),
            (State::Trailer, b'\r') => Ok(State::TrailerLf),
            (State::Trailer, b'\n') => Err(ChunkError::LineEnd),
            (State::Trailer, _) => {
                self.trailer_bytes += 1;
                if self.trailer_bytes > TRAILER_BYTES_MAX {
                    return Err(ChunkError::LongTrailers);
                }
                self.trailer.push(byte);
                Ok(State::Trailer)
            }
            (State::TrailerLf, b'\n') if self.trailer.is_empty() => Ok(State::Finished),
            (State::TrailerLf, b'\n') => {
                check_trailer(&self.trailer)?;
                self.trailer.clear();
                // An empty line costs as much as a byte, so that lines have a limit as well.
                self.trailer_bytes += 2;
                Ok(State::Trailer)
            }
            (State::SizeLf | State::DataCr | State::DataLf | State::TrailerLf, _) => Err(ChunkError::LineEnd),
            (State::Data | State::Finished, _) => Ok(self.state),
        }
    }

    fn count_line_byte(&mut self) -> Result<(), ChunkError> {
        self.line_bytes += 1;
        if self.line_bytes > CHUNK_LINE_BYTES_MAX { Err(ChunkError::LongLine) } else { Ok(()) }
    }
}

/// A trailer is a header line, and none that a recipient could take for framing, routing or what we vouch for.
fn check_trailer(line: &[u8]) -> Result<(), ChunkError> {
    let field = Field::split(line).ok_or(ChunkError::Trailer)?;
    if field.kind == Kind::Other && is_token(field.name) && !ends_lines(field.value) {
        Ok(())
    } else {
        Err(ChunkError::Trailer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The payload, and how many of the bytes belong to the body.
    fn scan(bytes: &str) -> Result<(String, Option<usize>), ChunkError> {
        let mut payload = Vec::new();
        let mut scanner = ChunkScanner::new();
        let scanned = scanner.scan(bytes.as_bytes(), |part| payload.extend_from_slice(part))?;
        let end = scanned.finished.then_some(scanned.length);
        Ok((String::from_utf8(payload).unwrap(), end))
    }

    #[test]
    fn a_body_is_followed_to_its_end() {
        for (bytes, payload, end) in [
            ("0\r\n\r\n", "", Some(5)),
            ("5\r\nhello\r\n0\r\n\r\nGET /", "hello", Some(15)),
            ("2\r\nab\r\n0A;n=v\r\n0123456789\r\n000\r\n\r\n", "ab0123456789", Some(34)),
            ("1\r\na\r\n0\r\nExpires: never\r\nX: y\r\n\r\n", "a", Some(33)),
            ("5\r\nhel", "hel", None),
            ("5\r\nhello\r\n0\r\n", "hello", None),
        ] {
            assert_eq!(scan(bytes), Ok((payload.to_owned(), end)), "{bytes:?}");
        }
    }

    #[test]
    fn what_recipients_could_read_in_two_ways_is_refused() {
        for (bytes, expected) in [
            ("\r\n", ChunkError::Size),
            ("x\r\n", ChunkError::Size),
            ("0x5\r\nhello", ChunkError::Size),
            ("+5\r\nhello", ChunkError::Size),
            ("-1\r\n", ChunkError::Size),
            (" 5\r\nhello", ChunkError::Size),
            ("5 \r\nhello", ChunkError::Size),
            ("5 ;a\r\nhello", ChunkError::Size),
            ("5\nhello\n", ChunkError::Size),
            ("5\rX", ChunkError::LineEnd),
            ("5;ext\nhello", ChunkError::LineEnd),
            ("5\r\nhelloX", ChunkError::LineEnd),
            ("5\r\nhello\n0\r\n\r\n", ChunkError::LineEnd),
            ("10000000000000000\r\n", ChunkError::TooLarge),
            ("0\r\nA: b\n\r\n", ChunkError::LineEnd),
            ("0\r\nA: b\rX", ChunkError::LineEnd),
            ("0\r\nno colon\r\n", ChunkError::Trailer),
            ("0\r\nA : b\r\n", ChunkError::Trailer),
            ("0\r\n folded: b\r\n", ChunkError::Trailer),
            ("0\r\nContent-Length: 5\r\n", ChunkError::Trailer),
            ("0\r\nTransfer-Encoding: chunked\r\n", ChunkError::Trailer),
            ("0\r\nHost: a\r\n", ChunkError::Trailer),
            ("0\r\nX-Forwarded-For: 1.2.3.4\r\n", ChunkError::Trailer),
        ] {
            assert_eq!(scan(bytes), Err(expected), "{bytes:?}");
        }
        assert_eq!(scan(&format!("5;{}\r\n", "x".repeat(CHUNK_LINE_BYTES_MAX))), Err(ChunkError::LongLine));
        assert_eq!(scan(&"0".repeat(CHUNK_LINE_BYTES_MAX + 1)), Err(ChunkError::LongLine));
        let trailers = format!("0\r\n{}", "A: b\r\n".repeat(TRAILER_BYTES_MAX / 4));
        assert_eq!(scan(&trailers), Err(ChunkError::LongTrailers));
    }
}
