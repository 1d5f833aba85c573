//! Finding the end of a head while its bytes arrive.

use super::LINE_BYTES_MAX;

/// What is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TooLong {
    FirstLine,
    Line,
    Head,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadProgress {
    Incomplete,
    /// The head's length, the empty line included.
    Complete(usize),
    TooLong(TooLong),
}

/// Remembers how far a head was looked at: each byte is looked at once, however it arrives.
#[derive(Debug, Clone)]
pub(crate) struct HeadEnd {
    bytes_max: usize,
    looked_at: usize,
    line_start: usize,
    lines: usize,
}

impl HeadEnd {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, looked_at: 0, line_start: 0, lines: 0 }
    }

    /// Looks at all bytes that have arrived since the head's first one; those looked at before must be the same.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> HeadProgress {
        let from = self.looked_at;
        for at in memchr::memchr_iter(b'\n', &bytes[from..]) {
            let end = from + at;
            if end >= self.bytes_max {
                return HeadProgress::TooLong(TooLong::Head);
            }
            let line = &bytes[self.line_start..end];
            if self.lines > 0 && matches!(line, b"" | b"\r") {
                return HeadProgress::Complete(end + 1);
            }
            if line.len() > LINE_BYTES_MAX {
                return HeadProgress::TooLong(self.long_line());
            }
            self.line_start = end + 1;
            self.lines += 1;
        }
        self.looked_at = bytes.len();
        if bytes.len() - self.line_start > LINE_BYTES_MAX {
            return HeadProgress::TooLong(self.long_line());
        }
        if bytes.len() >= self.bytes_max {
            return HeadProgress::TooLong(TooLong::Head);
        }
        HeadProgress::Incomplete
    }

    fn long_line(&self) -> TooLong {
        if self.lines == 0 { TooLong::FirstLine } else { TooLong::Line }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::REQUEST_HEAD_BYTES_MAX;

    fn whole(bytes: &[u8]) -> HeadProgress {
        HeadEnd::new(REQUEST_HEAD_BYTES_MAX).advance(bytes)
    }

    #[test]
    fn a_head_ends_with_an_empty_line() {
        assert_eq!(whole(b"GET / HTTP/1.1\r\n\r\nrest"), HeadProgress::Complete(18));
        assert_eq!(whole(b"GET / HTTP/1.1\n\nrest"), HeadProgress::Complete(16));
        assert_eq!(whole(b"GET / HTTP/1.1\r\nA: b\r\n\n"), HeadProgress::Complete(23));
        assert_eq!(whole(b"GET / HTTP/1.1\r\n"), HeadProgress::Incomplete);
        assert_eq!(whole(b"GET / HTTP/1.1\r\nA: b\r\n\r"), HeadProgress::Incomplete);
    }

    #[test]
    fn what_is_too_long_is_named() {
        let line = "x".repeat(LINE_BYTES_MAX + 1);
        assert_eq!(whole(line.as_bytes()), HeadProgress::TooLong(TooLong::FirstLine));
        assert_eq!(whole(format!("{line}\r\n\r\n").as_bytes()), HeadProgress::TooLong(TooLong::FirstLine));
        assert_eq!(whole(format!("G\r\n{line}").as_bytes()), HeadProgress::TooLong(TooLong::Line));
        let head = format!("G\r\n{}", "A: b\r\n".repeat(11_000));
        assert_eq!(whole(head.as_bytes()), HeadProgress::TooLong(TooLong::Head));
        let fits = format!("{}\r\n\r\n", "x".repeat(LINE_BYTES_MAX - 1));
        assert_eq!(whole(fits.as_bytes()), HeadProgress::Complete(fits.len()));
    }

    #[test]
    fn the_pieces_do_not_matter() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\nB: c\r\n\r\n";
        let mut end = HeadEnd::new(REQUEST_HEAD_BYTES_MAX);
        for length in 0..head.len() {
            assert_eq!(end.advance(&head[..length]), HeadProgress::Incomplete, "{length}");
        }
        assert_eq!(end.advance(head), HeadProgress::Complete(head.len()));
    }
}
