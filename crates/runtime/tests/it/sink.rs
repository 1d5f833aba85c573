//! A sink that keeps everything in one plain file.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use gantry_runtime::{OutputSink, OutputTarget, Stream};
use gantry_types::Timestamp;

struct FileSink {
    file: BufWriter<File>,
    bytes_left: u64,
}

pub(crate) fn open(target: &OutputTarget) -> io::Result<Box<dyn OutputSink>> {
    let file = OpenOptions::new().create(true).append(true).open(&target.path)?;
    Ok(Box::new(FileSink { file: BufWriter::new(file), bytes_left: target.bytes_max }))
}

impl OutputSink for FileSink {
    fn append(&mut self, stream: Stream, at: Timestamp, bytes: &[u8]) -> io::Result<()> {
        self.bytes_left =
            self.bytes_left.checked_sub(bytes.len() as u64).ok_or(io::ErrorKind::StorageFull)?;
        let name = if stream == Stream::Stdout { "out" } else { "err" };
        writeln!(self.file, "{name} {} {}", at.millis(), bytes.len())?;
        self.file.write_all(bytes)?;
        self.file.write_all(b"\n")
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) stream: Stream,
    pub(crate) at: Timestamp,
    pub(crate) text: String,
}

/// What the sink has so far; a record that is cut off is not there yet.
pub(crate) fn read(path: &Path) -> Vec<Line> {
    let bytes = std::fs::read(path).unwrap_or_default();
    let mut rest = bytes.as_slice();
    let mut lines = Vec::new();
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let head = std::str::from_utf8(&rest[..end]).unwrap();
        let mut fields = head.split(' ');
        let stream = if fields.next() == Some("out") { Stream::Stdout } else { Stream::Stderr };
        let at = Timestamp::from_millis(fields.next().unwrap().parse().unwrap());
        let length: usize = fields.next().unwrap().parse().unwrap();
        let Some(text) = rest.get(end + 1..end + 1 + length) else { break };
        lines.push(Line { stream, at, text: String::from_utf8_lossy(text).into_owned() });
        rest = rest.get(end + 2 + length..).unwrap_or_default();
    }
    lines
}
