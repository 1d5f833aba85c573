//! The reading side: one process, at its own pace, from where it was.

use std::io;
use std::path::Path;

use crate::acknowledged::Acknowledged;
use crate::cursor::{Cursor, Step};
use crate::directory::{Directory, RealDirectory};
use crate::frame::{Frame, Kind, Parsed, Sequence};
use crate::segment::SegmentName;

/// How often a segment may be gone before it could be opened, because the writer needed the space.
const OPEN_ATTEMPTS: usize = 64;

#[derive(Debug)]
pub struct Reader<D: Directory = RealDirectory> {
    directory: D,
    acknowledged: Acknowledged<D::File>,
    /// The sequence of the next frame if nothing is missing.
    expected: Sequence,
    current: Option<Current<D::File>>,
    /// Bytes that were no frames since the last item that was given out.
    skipped_bytes: u64,
    damaged_bytes: u64,
}

#[derive(Debug)]
struct Current<F> {
    name: SegmentName,
    cursor: Cursor<F>,
    /// A later segment exists, so what the file holds now is all that it will ever hold.
    sealed: bool,
}

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Behind the last frame that was acknowledged.
    Acknowledged,
    /// Behind this frame.
    After(Sequence),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    Frame(Frame<'a>),
    Lost(Lost),
}

/// Frames that were appended, or tried to be, and are in the spool no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// The first that is missing.
    pub first: Sequence,
    pub frames: u64,
    /// Bytes that stood in their place and could not be read. Zero when the frames were dropped for want of room.
    pub damaged_bytes: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("cannot {attempted}")]
pub struct ReadError {
    attempted: &'static str,
    source: io::Error,
}

fn attempt(attempted: &'static str) -> impl Fn(io::Error) -> ReadError {
    move |source| ReadError { attempted, source }
}

impl Reader {
    /// Opens the spool in this directory, which is made where it does not exist: the reader may come first.
    pub fn open(directory: &Path, from: Position) -> Result<Self, ReadError> {
        let directory = RealDirectory::open(directory).map_err(attempt("open the spool's directory"))?;
        Self::open_in(directory, from)
    }
}

impl<D: Directory> Reader<D> {
    pub fn open_in(directory: D, from: Position) -> Result<Self, ReadError> {
        let acknowledged =
            Acknowledged::open(&directory).map_err(attempt("open what the spool's reader acknowledged"))?;
        let expected = match from {
            Position::Acknowledged => acknowledged.sequence().next(),
            Position::After(sequence) => sequence.next(),
        };
        Ok(Self { directory, acknowledged, expected, current: None, skipped_bytes: 0, damaged_bytes: 0 })
    }

    /// The next frame, or what is missing before it; `None` when all that is there has been read. More may come: see
    /// [`Watch`](crate::Watch).
    pub fn read(&mut self) -> Result<Option<Item<'_>>, ReadError> {
        loop {
            let Some(current) = &mut self.current else {
                if self.open_first()? {
                    continue;
                }
                return Ok(None);
            };
            match current.cursor.peek().map_err(attempt("read the spool"))? {
                Step::Frame { parsed, damaged_bytes } => {
                    self.skipped_bytes += damaged_bytes;
                    self.damaged_bytes += damaged_bytes;
                    match self.accept(&parsed) {
                        Accepted::Frame => break Ok(Some(Item::Frame(self.frame(&parsed)))),
                        Accepted::Lost(lost) => break Ok(Some(Item::Lost(lost))),
                        Accepted::Nothing => {}
                    }
                }
                Step::End { rest_bytes } => {
                    if !self.leave_segment(rest_bytes)? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Remembers that all frames up to this one have reached their receiver, and deletes the segments that hold no others.
    /// What was not read cannot be acknowledged: a later sequence counts as the last that was read.
    pub fn acknowledge(&mut self, sequence: Sequence) -> Result<(), ReadError> {
        let sequence = sequence.min(Sequence(self.expected.0 - 1));
        if sequence <= self.acknowledged.sequence() {
            return Ok(());
        }
        let names = self.segments()?;
        let behind = names.windows(2).take_while(|pair| pair[1].first <= sequence.next()).count();
        let stored = self.acknowledged.store(sequence);
        match &stored {
            // A full disk has room for these few bytes again once a segment is gone.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {}
            Err(_) => return stored.map_err(attempt("remember what the spool's reader acknowledged")),
            // Else a crash of the machine could bring back the older value without the segments behind it.
            Ok(()) if behind > 0 => {
                self.acknowledged
                    .sync(&self.directory)
                    .map_err(attempt("sync what the reader acknowledged"))?;
            }
            Ok(()) => {}
        }
        for name in &names[..behind] {
            self.directory.remove(&name.file_name()).map_err(attempt("delete an acknowledged segment"))?;
        }
        stored
            .or_else(|_| self.acknowledged.store(sequence))
            .map_err(attempt("remember what the spool's reader acknowledged"))
    }

    /// The last frame that was read or reported missing.
    pub fn position(&self) -> Sequence {
        Sequence(self.expected.0 - 1)
    }

    pub fn acknowledged(&self) -> Sequence {
        self.acknowledged.sequence()
    }

    /// All bytes that were skipped because they were no frames.
    pub fn damaged_bytes(&self) -> u64 {
        self.damaged_bytes
    }

    /// Decides what the frame at the cursor means, and advances over it unless something is missing before it.
    fn accept(&mut self, parsed: &Parsed) -> Accepted {
        let current = self.current.as_mut().expect("a frame was found in the current segment");
        match parsed.kind {
            Kind::Data if parsed.sequence > self.expected => {
                let lost = self.lost(self.expected.frames_until(parsed.sequence));
                self.expected = parsed.sequence;
                lost
            }
            Kind::Data => {
                current.cursor.advance(parsed);
                if parsed.sequence < self.expected {
                    return Accepted::Nothing;
                }
                self.expected = parsed.sequence.next();
                self.skipped_bytes = 0;
                Accepted::Frame
            }
            Kind::Resumed => {
                current.cursor.advance(parsed);
                let follows = current.cursor.payload(parsed).try_into().map_or(0, u64::from_le_bytes);
                let lost = self.lost(self.expected.frames_until(Sequence(follows).next()));
                self.expected = self.expected.max(parsed.sequence.next());
                lost
            }
        }
    }

    fn lost(&mut self, frames: u64) -> Accepted {
        if frames == 0 {
            return Accepted::Nothing;
        }
        let damaged_bytes = std::mem::take(&mut self.skipped_bytes);
        Accepted::Lost(Lost { first: self.expected, frames, damaged_bytes })
    }

    fn frame(&self, parsed: &Parsed) -> Frame<'_> {
        let current = self.current.as_ref().expect("a frame was found in the current segment");
        let payload = current.cursor.payload(parsed);
        Frame { sequence: parsed.sequence, at: parsed.at, tag: parsed.tag, payload }
    }

    /// Opens the segment that holds the expected frame, or the first behind it; false when the spool is empty.
    fn open_first(&mut self) -> Result<bool, ReadError> {
        for _ in 0..OPEN_ATTEMPTS {
            let names = self.segments()?;
            let later = names.partition_point(|name| name.first <= self.expected);
            let Some(name) = names.get(later.saturating_sub(1)) else { return Ok(false) };
            if self.open_segment(*name)? {
                return Ok(true);
            }
        }
        Err(vanishing())
    }

    /// Goes on to the next segment at the end of this one; false when there is none.
    fn leave_segment(&mut self, rest_bytes: u64) -> Result<bool, ReadError> {
        for _ in 0..OPEN_ATTEMPTS {
            let names = self.segments()?;
            let current = self.current.as_mut().expect("the end of the current segment was reached");
            let Some(next) = names.iter().find(|name| **name > current.name) else {
                current.cursor.forget();
                return Ok(false);
            };
            if !current.sealed {
                // Frames may have come between the look at this segment's end and the look for the next one.
                current.sealed = true;
                current.cursor.forget();
                return Ok(true);
            }
            if self.open_segment(*next)? {
                self.skipped_bytes += rest_bytes;
                self.damaged_bytes += rest_bytes;
                return Ok(true);
            }
        }
        Err(vanishing())
    }

    fn open_segment(&mut self, name: SegmentName) -> Result<bool, ReadError> {
        let file = self.directory.open(&name.file_name()).map_err(attempt("open a segment of the spool"))?;
        let Some(file) = file else { return Ok(false) };
        self.current = Some(Current { name, cursor: Cursor::new(file, name.marker), sealed: false });
        Ok(true)
    }

    fn segments(&self) -> Result<Vec<SegmentName>, ReadError> {
        let names = self.directory.names().map_err(attempt("list the spool's segments"))?;
        let mut names: Vec<_> = names.iter().filter_map(|name| SegmentName::parse(name)).collect();
        names.sort_unstable();
        Ok(names)
    }
}

enum Accepted {
    Frame,
    Lost(Lost),
    Nothing,
}

fn vanishing() -> ReadError {
    attempt("open a segment of the spool")(io::Error::other(
        "segments are dropped faster than they can be opened",
    ))
}
