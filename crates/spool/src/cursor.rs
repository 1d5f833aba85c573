//! Walks through one segment, frame by frame, past whatever is damaged.

use std::io;

use crate::directory::SegmentFile;
use crate::frame::{FRAME_HEADER_BYTES, Parse, Parsed, find_marker, parse};

/// Read from the file at once; held only while there is something to read.
const READ_BYTES: usize = 64 << 10;

#[derive(Debug)]
pub(crate) struct Cursor<F> {
    file: F,
    marker: u32,
    /// The file's bytes from `base` on.
    buffer: Vec<u8>,
    base: u64,
    /// Where the next frame is expected in the buffer.
    at: usize,
    /// The position at which bytes that were no frame have been read a second time.
    reread_at: Option<u64>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The next frame, behind this many bytes of damage. It stays the next one until [`Cursor::advance`].
    Frame { parsed: Parsed, damaged_bytes: u64 },
    /// No frame is left; `rest_bytes` stand at the end that are none, or none yet.
    End { rest_bytes: u64 },
}

impl<F: SegmentFile> Cursor<F> {
    pub(crate) fn new(file: F, marker: u32) -> Self {
        Self { file, marker, buffer: Vec::new(), base: 0, at: 0, reread_at: None }
    }

    pub(crate) fn into_file(self) -> F {
        self.file
    }

    /// The offset in the file behind the last frame that was advanced over.
    pub(crate) fn position(&self) -> u64 {
        self.base + self.at as u64
    }

    pub(crate) fn advance(&mut self, frame: &Parsed) {
        self.at += frame.frame_bytes;
    }

    /// The payload of the frame that was advanced over last.
    pub(crate) fn payload(&self, frame: &Parsed) -> &[u8] {
        &self.buffer[self.at - frame.frame_bytes + FRAME_HEADER_BYTES..self.at]
    }

    /// Gives the buffer back; what was not advanced over is read again from the file.
    pub(crate) fn forget(&mut self) {
        self.base = self.position();
        self.at = 0;
        self.buffer = Vec::new();
    }

    pub(crate) fn peek(&mut self) -> io::Result<Step> {
        loop {
            match parse(&self.buffer[self.at..], self.marker) {
                Parse::Frame(parsed) => return Ok(Step::Frame { parsed, damaged_bytes: 0 }),
                Parse::Short { frame_bytes } => {
                    self.compact();
                    if self.fill(frame_bytes)? {
                        continue;
                    }
                    if self.at == self.buffer.len() {
                        return Ok(Step::End { rest_bytes: 0 });
                    }
                }
                Parse::Damaged => {}
            }
            // A writer that could not finish a frame cuts it off and writes another in its place, so the buffer may
            // hold a mixture of both. Only what the file itself says twice is damage.
            if self.reread_at == Some(self.position()) {
                return self.search();
            }
            self.reread_at = Some(self.position());
            self.forget();
        }
    }

    /// Looks for a whole frame behind bytes that are none. Nothing is skipped unless there is one.
    fn search(&mut self) -> io::Result<Step> {
        let mut from = self.at + 1;
        loop {
            from += find_marker(&self.buffer[from..], self.marker);
            match parse(&self.buffer[from..], self.marker) {
                Parse::Frame(parsed) => {
                    let damaged_bytes = (from - self.at) as u64;
                    self.at = from;
                    return Ok(Step::Frame { parsed, damaged_bytes });
                }
                Parse::Short { frame_bytes } => {
                    if !self.fill(from + frame_bytes)? {
                        if from >= self.buffer.len() {
                            self.reread_at = None;
                            return Ok(Step::End { rest_bytes: (self.buffer.len() - self.at) as u64 });
                        }
                        from += 1;
                    }
                }
                Parse::Damaged => from += 1,
            }
        }
    }

    fn compact(&mut self) {
        self.buffer.drain(..self.at);
        self.base += self.at as u64;
        self.at = 0;
    }

    /// Reads on until the buffer has `wanted` bytes; false when the file ends before.
    fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        while self.buffer.len() < wanted {
            let have = self.buffer.len();
            self.buffer.resize(wanted.max(have + READ_BYTES), 0);
            let outcome = self.file.read_at(&mut self.buffer[have..], self.base + have as u64);
            self.buffer.truncate(have + outcome.as_ref().map_or(0, |count| *count));
            if outcome? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
