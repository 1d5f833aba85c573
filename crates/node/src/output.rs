//! A container's output inside its shim: lines become frames of a spool.

use std::collections::VecDeque;
use std::io;
use std::path::Path;

use gantry_runtime::{LINE_BYTES_MAX, OutputSink, OutputTarget, Stream};
use gantry_spool::{Entry, Item, Limits, Position, ReadError, Reader, Sequence, WhenFull, Writer};
use gantry_types::Timestamp;

/// Lines that wait for one write are at most this large together. The shim flushes after every read of 64 KiB.
const WAITING_BYTES_MAX: usize = 256 << 10;
const SEGMENTS: u64 = 16;
/// A segment holds any line.
const TOTAL_BYTES_MIN: u64 = SEGMENTS * (1 << 20);

/// What the tags of a spool's frames mean.
pub fn stream_of_tag(tag: u8) -> Option<Stream> {
    match tag {
        1 => Some(Stream::Stdout),
        2 => Some(Stream::Stderr),
        _ => None,
    }
}

fn tag_of_stream(stream: Stream) -> u8 {
    match stream {
        Stream::Stdout => 1,
        Stream::Stderr => 2,
    }
}

/// Opens the spool that a container's output goes to: what [`gantry_runtime::shim_main`] is given.
///
/// It never waits for a reader. When it is full the oldest lines go, and the reader is told how many.
pub fn open(target: &OutputTarget) -> io::Result<Box<dyn OutputSink>> {
    let total_bytes = target.bytes_max.max(TOTAL_BYTES_MIN);
    let limits =
        Limits { total_bytes, segment_bytes: total_bytes / SEGMENTS, when_full: WhenFull::DropOldest };
    let writer = Writer::open(&target.path, limits).map_err(io::Error::other)?;
    Ok(Box::new(SpoolSink { writer, bytes: Vec::new(), lines: Vec::new() }))
}

/// A line that a container wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputLine {
    pub at: Timestamp,
    pub stream: Stream,
    /// Bytes that are not UTF-8 were replaced by U+FFFD.
    pub text: String,
}

/// The last lines in a spool, the oldest first. Changes nothing in it, so whoever reads it for other ends is not disturbed.
pub fn last_lines(spool: &Path, lines_max: usize) -> Result<Vec<OutputLine>, ReadError> {
    let mut lines = VecDeque::new();
    // A reader would make it.
    if !spool.is_dir() {
        return Ok(Vec::new());
    }
    let mut reader = Reader::open(spool, Position::After(Sequence::ZERO))?;
    while let Some(item) = reader.read()? {
        let Item::Frame(frame) = item else { continue };
        let Some(stream) = stream_of_tag(frame.tag) else { continue };
        if lines.len() == lines_max {
            lines.pop_front();
        }
        lines.push_back(OutputLine {
            at: frame.at,
            stream,
            text: String::from_utf8_lossy(frame.payload).into_owned(),
        });
    }
    Ok(lines.into())
}

struct SpoolSink {
    writer: Writer,
    /// The lines that wait, one behind the other.
    bytes: Vec<u8>,
    lines: Vec<Line>,
}

struct Line {
    tag: u8,
    at: Timestamp,
    end: usize,
}

impl OutputSink for SpoolSink {
    fn append(&mut self, stream: Stream, at: Timestamp, bytes: &[u8]) -> io::Result<()> {
        if self.bytes.len() + bytes.len() > WAITING_BYTES_MAX {
            self.flush()?;
        }
        self.bytes.extend_from_slice(bytes);
        self.lines.push(Line { tag: tag_of_stream(stream), at, end: self.bytes.len() });
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let mut start = 0;
        let entries: Vec<Entry<'_>> = self
            .lines
            .iter()
            .map(|line| {
                let payload = &self.bytes[start..line.end];
                start = line.end;
                Entry { tag: line.tag, at: line.at, payload }
            })
            .collect();
        // What the disk refuses leaves a gap in the sequence, which the reader tells.
        let appended = self.writer.append_all(&entries);
        self.lines.clear();
        self.bytes.clear();
        self.bytes.shrink_to(WAITING_BYTES_MAX);
        appended.map(drop).map_err(io::Error::other)
    }
}

const _: () = assert!(LINE_BYTES_MAX <= WAITING_BYTES_MAX);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_back_with_their_stream_and_time() {
        let directory = std::env::temp_dir().join(format!("gantry-node-output-{}", std::process::id()));
        let mut sink = open(&OutputTarget { path: directory.clone(), bytes_max: 0 }).unwrap();
        let long = vec![b'x'; LINE_BYTES_MAX];
        let lines: [(Stream, i64, &[u8]); 4] = [
            (Stream::Stdout, 1, b"one"),
            (Stream::Stderr, 2, b"\xff\xfe"),
            (Stream::Stdout, 3, b""),
            (Stream::Stdout, 4, &long),
        ];
        for (stream, at, bytes) in lines {
            sink.append(stream, Timestamp::from_millis(at), bytes).unwrap();
        }
        sink.flush().unwrap();
        let mut reader = Reader::open(&directory, Position::Acknowledged).unwrap();
        for (stream, at, bytes) in lines {
            let Some(Item::Frame(frame)) = reader.read().unwrap() else { panic!("a frame is missing") };
            assert_eq!(stream_of_tag(frame.tag), Some(stream));
            assert_eq!((frame.at.millis(), frame.payload), (at, bytes));
        }
        assert_eq!(reader.read().unwrap(), None);
        let last: Vec<_> = last_lines(&directory, 3)
            .unwrap()
            .into_iter()
            .map(|line| (line.stream, line.text.len()))
            .collect();
        assert_eq!(last, [(Stream::Stderr, 6), (Stream::Stdout, 0), (Stream::Stdout, LINE_BYTES_MAX)]);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
