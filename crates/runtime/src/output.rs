//! Where a container's output goes, and how bytes become lines.

use std::io;
use std::time::Instant;

use gantry_types::Timestamp;

use crate::limits::{LINE_BYTES_MAX, QUIET_LINE};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    Stdout,
    Stderr,
}

/// Takes a container's lines inside its shim.
///
/// It must never wait for another process: the container's own writes wait for it. When its bound is reached, which
/// lines go is the sink's decision. An error counts the line as lost and the shim goes on.
pub trait OutputSink {
    /// One line without its line feed, or a piece of a line longer than [`LINE_BYTES_MAX`].
    /// `at` is when its first byte was read.
    fn append(&mut self, stream: Stream, at: Timestamp, bytes: &[u8]) -> io::Result<()>;

    /// Makes what was appended visible to readers. Called after every batch of lines, and at the end.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Cuts one stream into lines.
#[derive(Debug, Default)]
pub(crate) struct LineSplitter {
    partial: Vec<u8>,
    /// When its first byte was read.
    began: Timestamp,
    /// Until when it may stay without an end.
    quiet_at: Option<Instant>,
}

impl LineSplitter {
    /// Takes what was just read and emits each line that ends in it.
    pub(crate) fn feed(
        &mut self,
        mut bytes: &[u8],
        at: Timestamp,
        now: Instant,
        mut emit: impl FnMut(Timestamp, &[u8]),
    ) {
        while !bytes.is_empty() {
            if self.partial.is_empty() {
                self.began = at;
            }
            let room = LINE_BYTES_MAX - self.partial.len();
            match bytes.iter().position(|byte| *byte == b'\n').filter(|end| *end <= room) {
                Some(end) => {
                    if self.partial.is_empty() {
                        emit(self.began, &bytes[..end]);
                    } else {
                        self.partial.extend_from_slice(&bytes[..end]);
                        emit(self.began, &self.partial);
                        self.partial.clear();
                    }
                    bytes = &bytes[end + 1..];
                }
                None if bytes.len() > room => {
                    self.partial.extend_from_slice(&bytes[..room]);
                    emit(self.began, &self.partial);
                    self.partial.clear();
                    bytes = &bytes[room..];
                }
                None => {
                    self.partial.extend_from_slice(bytes);
                    bytes = &[];
                }
            }
        }
        self.quiet_at = (!self.partial.is_empty()).then(|| now + QUIET_LINE);
    }

    /// When the line that has no end yet is to be handed over all the same.
    pub(crate) fn quiet_at(&self) -> Option<Instant> {
        self.quiet_at
    }

    /// Emits the line that has no end.
    pub(crate) fn finish(&mut self, mut emit: impl FnMut(Timestamp, &[u8])) {
        if !self.partial.is_empty() {
            emit(self.began, &self.partial);
            self.partial.clear();
        }
        self.quiet_at = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(reads: &[&[u8]]) -> Vec<(i64, Vec<u8>)> {
        let mut splitter = LineSplitter::default();
        let mut lines = Vec::new();
        for (index, read) in reads.iter().enumerate() {
            splitter.feed(read, Timestamp::from_millis(index as i64), Instant::now(), |at, line| {
                lines.push((at.millis(), line.to_vec()));
            });
        }
        splitter.finish(|at, line| lines.push((at.millis(), line.to_vec())));
        lines
    }

    #[test]
    fn lines_end_at_line_feeds_wherever_reads_end() {
        type Reads = &'static [&'static [u8]];
        type Lines = &'static [(i64, &'static [u8])];
        let cases: [(Reads, Lines); 6] = [
            (&[b"one\ntwo\n"], &[(0, b"one"), (0, b"two")]),
            (&[b"on", b"e\ntwo"], &[(0, b"one"), (1, b"two")]),
            (&[b"\n\n"], &[(0, b""), (0, b"")]),
            (&[b"one\r\n"], &[(0, b"one\r")]),
            (&[b"a", b"b", b"c"], &[(0, b"abc")]),
            (&[], &[]),
        ];
        for (reads, expected) in cases {
            let expected: Vec<_> = expected.iter().map(|(at, line)| (*at, line.to_vec())).collect();
            assert_eq!(lines(reads), expected, "{reads:?}");
        }
    }

    #[test]
    fn a_line_at_the_limit_is_whole_and_a_longer_one_is_cut_without_loss() {
        for (length, pieces) in [
            (LINE_BYTES_MAX, vec![LINE_BYTES_MAX]),
            (LINE_BYTES_MAX + 1, vec![LINE_BYTES_MAX, 1]),
            (LINE_BYTES_MAX * 2, vec![LINE_BYTES_MAX, LINE_BYTES_MAX]),
        ] {
            let mut text = vec![b'x'; length];
            text.push(b'\n');
            for read in [1000, 65_536, text.len()] {
                let reads: Vec<&[u8]> = text.chunks(read).collect();
                let found: Vec<usize> = lines(&reads).iter().map(|(_, line)| line.len()).collect();
                assert_eq!(found, pieces, "a line of {length} bytes in reads of {read}");
            }
        }
    }

    #[test]
    fn only_a_line_without_end_has_a_quiet_time() {
        let mut splitter = LineSplitter::default();
        let now = Instant::now();
        splitter.feed(b"whole\n", Timestamp::EPOCH, now, |_, _| {});
        assert_eq!(splitter.quiet_at(), None);
        splitter.feed(b"part", Timestamp::EPOCH, now, |_, _| {});
        assert_eq!(splitter.quiet_at(), Some(now + QUIET_LINE));
        splitter.finish(|_, line| assert_eq!(line, b"part"));
        assert_eq!(splitter.quiet_at(), None);
    }
}
