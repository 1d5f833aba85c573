//! A request's body on its way to a target.

use crate::buffer::Buffer;
use crate::http1::{Body, ChunkError, ChunkScanner};

/// How much of a body was seen, and what of it can be sent again.
///
/// Bytes stay in the client's buffer until a target has taken them; then they move to the copy. So what a connection that
/// broke had taken or not, the copy and the buffer together are the body's beginning.
#[derive(Debug)]
pub(crate) struct RequestBody {
    framing: Framing,
    /// Bytes at the front of the client's buffer that belong to the body.
    ready: usize,
    /// What was taken out of the buffer; `None` once it is too much to keep, or would not be sent again anyway.
    copy: Option<Vec<u8>>,
    copy_bytes_max: usize,
    taken: u64,
}

#[derive(Debug)]
enum Framing {
    /// Bytes that were not seen yet.
    Length(u64),
    Chunked(ChunkScanner),
    Finished,
}

impl RequestBody {
    pub(crate) fn new(body: Body, copy_bytes_max: Option<usize>) -> Self {
        let framing = match body {
            Body::None | Body::Length(0) => Framing::Finished,
            Body::Length(length) => Framing::Length(length),
            Body::Chunked => Framing::Chunked(ChunkScanner::new()),
        };
        Self {
            framing,
            ready: 0,
            copy: copy_bytes_max.map(|_| Vec::new()),
            copy_bytes_max: copy_bytes_max.unwrap_or(0),
            taken: 0,
        }
    }

    /// Looks at what has arrived behind the bytes that are ready.
    pub(crate) fn look(&mut self, buffer: &Buffer) -> Result<(), ChunkError> {
        let new = &buffer.filled()[self.ready..];
        match &mut self.framing {
            Framing::Finished => {}
            Framing::Length(missing) => {
                let count = usize::try_from(*missing).unwrap_or(usize::MAX).min(new.len());
                self.ready += count;
                *missing -= count as u64;
                if *missing == 0 {
                    self.framing = Framing::Finished;
                }
            }
            Framing::Chunked(scanner) => {
                let scanned = scanner.scan(new, |_| {})?;
                self.ready += scanned.length;
                if scanned.finished {
                    self.framing = Framing::Finished;
                }
            }
        }
        Ok(())
    }

    /// Whether the whole body has arrived.
    pub(crate) fn is_whole(&self) -> bool {
        matches!(self.framing, Framing::Finished)
    }

    /// The bytes that can be sent now.
    pub(crate) fn ready<'b>(&self, buffer: &'b Buffer) -> &'b [u8] {
        &buffer.filled()[..self.ready]
    }

    /// A target has taken what was ready.
    pub(crate) fn taken(&mut self, buffer: &mut Buffer) {
        if let Some(copy) = &mut self.copy {
            if copy.len() + self.ready <= self.copy_bytes_max {
                copy.extend_from_slice(&buffer.filled()[..self.ready]);
            } else {
                self.copy = None;
            }
        }
        buffer.consume(self.ready);
        self.taken += self.ready as u64;
        self.ready = 0;
    }

    /// What has to be sent first on another connection; `None` if that is no more there.
    pub(crate) fn again(&self) -> Option<&[u8]> {
        match &self.copy {
            Some(copy) => Some(copy),
            None if self.taken == 0 => Some(&[]),
            None => None,
        }
    }

    /// Bytes that targets have taken.
    pub(crate) fn taken_bytes(&self) -> u64 {
        self.taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrive(buffer: &mut Buffer, bytes: &[u8]) {
        buffer.room()[..bytes.len()].copy_from_slice(bytes);
        buffer.extend(bytes.len());
    }

    #[test]
    fn what_was_taken_can_be_sent_again_while_it_is_kept() {
        let mut buffer = Buffer::default();
        let mut body = RequestBody::new(Body::Length(10), Some(6));
        arrive(&mut buffer, b"01234");
        body.look(&buffer).unwrap();
        assert_eq!(body.ready(&buffer), b"01234");
        assert_eq!(body.again(), Some(&b""[..]));
        body.taken(&mut buffer);
        assert_eq!(body.again(), Some(&b"01234"[..]));
        arrive(&mut buffer, b"56789GET /");
        body.look(&buffer).unwrap();
        assert!(body.is_whole());
        assert_eq!(body.ready(&buffer), b"56789");
        body.taken(&mut buffer);
        assert_eq!(body.again(), None, "more than the copy holds");
        assert_eq!(buffer.filled(), b"GET /");
        assert_eq!(body.taken_bytes(), 10);
    }

    #[test]
    fn a_body_that_would_not_be_sent_again_is_not_kept() {
        let mut buffer = Buffer::default();
        let mut body = RequestBody::new(Body::Chunked, None);
        arrive(&mut buffer, b"2\r\nab\r\n0\r\n\r\nnext");
        body.look(&buffer).unwrap();
        assert!(body.is_whole());
        assert_eq!(body.again(), Some(&b""[..]), "nothing was taken yet");
        body.taken(&mut buffer);
        assert_eq!(body.again(), None);
        assert_eq!(buffer.filled(), b"next");
        assert!(RequestBody::new(Body::None, None).is_whole());
    }
}
