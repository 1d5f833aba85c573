//! The appending side: one process, no threads, no waiting for the reader.

use std::collections::VecDeque;
use std::io;
use std::path::Path;

use gantry_types::Timestamp;

use crate::acknowledged;
use crate::cursor::{Cursor, Step};
use crate::directory::{Directory, RealDirectory, SegmentFile};
use crate::frame::{Entry, FRAME_HEADER_BYTES, Kind, Sequence, encode};
use crate::limits::{LimitError, Limits, WhenFull};
use crate::segment::SegmentName;

/// What the buffer for encoding may keep between two appends.
const ENCODED_BYTES_KEPT: usize = 256 << 10;
/// The record that says where a reopened spool stood.
const RESUMED_FRAME_BYTES: u64 = FRAME_HEADER_BYTES as u64 + 8;

#[derive(Debug)]
pub struct Writer<D: Directory = RealDirectory> {
    directory: D,
    limits: Limits,
    /// Oldest first. The reader may have removed some of the first without our knowing.
    segments: VecDeque<Segment>,
    /// The newest segment's; `None` when the next append begins a new one.
    file: Option<D::File>,
    next: Sequence,
    /// Written, and made durable, before the first frame after reopening.
    resumed: Option<Resumed>,
    total_bytes: u64,
    /// Older segments that were written to since the last sync.
    unsynced: VecDeque<SegmentName>,
    directory_changed: bool,
    dropped_frames: u64,
    encoded: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Segment {
    name: SegmentName,
    bytes: u64,
}

#[derive(Debug, Clone, Copy)]
struct Resumed {
    sequence: Sequence,
    follows: Sequence,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Limits(#[from] LimitError),
    #[error("another process writes this spool")]
    InUse,
    #[error("cannot open the spool: {attempted}")]
    Io { attempted: &'static str, source: io::Error },
}

/// Why frames are not in the spool. Where the oldest are dropped when full, the reader is told of them as [`Lost`]; where
/// the spool refuses, nothing has changed and the caller still has them.
///
/// [`Lost`]: crate::Lost
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error("a payload of {bytes} bytes is larger than {bytes_max}")]
    PayloadTooLarge { bytes: usize, bytes_max: usize },
    #[error("frames of {bytes} bytes are more than one segment of {segment_bytes} holds")]
    BatchTooLarge { bytes: u64, segment_bytes: u64 },
    #[error("the spool has reached its {total_bytes} bytes, and nothing in it is acknowledged")]
    Full { total_bytes: u64 },
    #[error("the disk has no room for the spool")]
    DiskFull(#[source] io::Error),
    #[error("cannot append to the spool")]
    Io(#[source] io::Error),
}

/// All frames since the last sync that succeeded may be lost: the caller must append them again or say so.
#[derive(Debug, thiserror::Error)]
#[error("cannot make the spool durable")]
pub struct SyncError(#[from] io::Error);

impl Writer {
    /// Opens the spool in this directory, which is made where it does not exist.
    pub fn open(directory: &Path, limits: Limits) -> Result<Self, OpenError> {
        let directory = RealDirectory::open(directory)
            .map_err(|source| OpenError::Io { attempted: "open its directory", source })?;
        Self::open_in(directory, limits)
    }
}

impl<D: Directory> Writer<D> {
    pub fn open_in(directory: D, limits: Limits) -> Result<Self, OpenError> {
        limits.validate()?;
        let attempt = |attempted| move |source| OpenError::Io { attempted, source };
        directory.lock().map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => OpenError::InUse,
            _ => OpenError::Io { attempted: "lock its directory", source: error },
        })?;
        let acknowledged = acknowledged::load(&directory).map_err(attempt("read what is acknowledged"))?;
        let mut writer = Self {
            directory,
            limits,
            segments: VecDeque::new(),
            file: None,
            next: acknowledged.next(),
            resumed: None,
            total_bytes: 0,
            unsynced: VecDeque::new(),
            directory_changed: true,
            dropped_frames: 0,
            encoded: Vec::new(),
        };
        let last = writer.recover().map_err(attempt("recover its segments"))?.max(acknowledged);
        if last > Sequence::ZERO {
            let sequence = last.next_epoch();
            writer.resumed = Some(Resumed { sequence, follows: last });
            writer.next = sequence.next();
        }
        Ok(writer)
    }

    /// Appends one frame and returns its sequence.
    pub fn append(&mut self, tag: u8, at: Timestamp, payload: &[u8]) -> Result<Sequence, AppendError> {
        self.append_all(&[Entry { tag, at, payload }])
    }

    /// Appends many frames with one write and returns the sequence of the last.
    pub fn append_all(&mut self, entries: &[Entry<'_>]) -> Result<Sequence, AppendError> {
        let bytes_max = self.limits.payload_bytes_max();
        if let Some(bytes) = entries.iter().map(|entry| entry.payload.len()).find(|bytes| *bytes > bytes_max)
        {
            return Err(AppendError::PayloadTooLarge { bytes, bytes_max });
        }
        let mut rest = entries;
        while !rest.is_empty() {
            let (count, bytes) = self.that_fit_one_segment(rest);
            if count < entries.len() && self.limits.when_full == WhenFull::Refuse {
                let bytes = entries.iter().map(Entry::frame_bytes).sum();
                return Err(AppendError::BatchTooLarge { bytes, segment_bytes: self.limits.segment_bytes });
            }
            if let Err(error) = self.append_to_one_segment(&rest[..count], bytes) {
                if self.limits.when_full == WhenFull::DropOldest {
                    self.next.0 += rest.len() as u64;
                    self.dropped_frames += rest.len() as u64;
                }
                return Err(error);
            }
            rest = &rest[count..];
        }
        Ok(self.last())
    }

    /// Makes all that was appended outlive a crash of the machine.
    pub fn sync(&mut self) -> Result<(), SyncError> {
        let outcome = self.sync_files();
        self.unsynced.clear();
        match outcome {
            Ok(()) => {
                self.directory_changed = false;
                Ok(())
            }
            Err(error) => {
                // The kernel has marked what it could not write as clean, so another sync of the same file would succeed
                // and prove nothing: later frames go to a new one.
                self.file = None;
                self.directory_changed = true;
                Err(error.into())
            }
        }
    }

    /// The sequence of the newest frame; zero when there is none.
    pub fn last(&self) -> Sequence {
        Sequence(self.next.0 - 1)
    }

    /// Frames given up since the spool was opened: those that the disk refused, and those in segments that were dropped
    /// unacknowledged. The reader counts what it really missed.
    pub fn dropped_frames(&self) -> u64 {
        self.dropped_frames
    }

    /// Finds the segments, cuts a torn end off the newest and returns the sequence of the last frame.
    fn recover(&mut self) -> io::Result<Sequence> {
        let mut names: Vec<_> =
            self.directory.names()?.iter().filter_map(|name| SegmentName::parse(name)).collect();
        names.sort_unstable();
        for name in names {
            if let Some(file) = self.directory.open(&name.file_name())? {
                self.segments.push_back(Segment { name, bytes: file.length()? });
                self.file = Some(file);
            }
        }
        let Some(newest) = self.segments.back_mut() else { return Ok(Sequence::ZERO) };
        let mut last = Sequence(newest.name.first.0.saturating_sub(1));
        let file = self.file.take().expect("a segment was opened to learn its length");
        let mut cursor = Cursor::new(file, newest.name.marker);
        while let Step::Frame { parsed, .. } = cursor.peek()? {
            last = last.max(parsed.sequence);
            cursor.advance(&parsed);
        }
        let end = cursor.position();
        let file = cursor.into_file();
        if end < newest.bytes {
            file.truncate(end)?;
            newest.bytes = end;
        }
        self.file = Some(file);
        self.total_bytes = self.segments.iter().map(|segment| segment.bytes).sum();
        self.unsynced = self.segments.iter().map(|segment| segment.name).collect();
        self.unsynced.pop_back();
        Ok(last)
    }

    /// How many of these frames one segment holds, and their bytes. The record of a reopening may make it a little larger.
    fn that_fit_one_segment(&self, entries: &[Entry<'_>]) -> (usize, u64) {
        let mut bytes = 0;
        for (index, entry) in entries.iter().enumerate() {
            let more = entry.frame_bytes();
            if index > 0 && bytes + more > self.limits.segment_bytes {
                return (index, bytes);
            }
            bytes += more;
        }
        (entries.len(), bytes)
    }

    /// Gets a newest segment with room for `bytes`, within the bound of all segments.
    fn make_room(&mut self, bytes: u64) -> Result<(), AppendError> {
        while self.total_bytes + bytes > self.limits.total_bytes {
            let Some(oldest) = self.segments.front().copied() else { break };
            let file_name = oldest.name.file_name();
            if self.directory.exists(&file_name).map_err(AppendError::Io)? {
                if self.limits.when_full == WhenFull::Refuse {
                    return Err(AppendError::Full { total_bytes: self.limits.total_bytes });
                }
                self.directory.remove(&file_name).map_err(AppendError::Io)?;
                let end = self.segments.get(1).map_or(self.next, |segment| segment.name.first);
                self.dropped_frames += oldest.name.first.frames_until(end);
            }
            self.forget_oldest();
        }
        let newest_bytes = self.segments.back().map_or(0, |segment| segment.bytes);
        let is_full = newest_bytes > 0 && newest_bytes + bytes > self.limits.segment_bytes;
        if self.file.is_none() || is_full { self.begin_segment() } else { Ok(()) }
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.segments.pop_front() else { return };
        self.total_bytes -= oldest.bytes;
        self.unsynced.retain(|name| *name != oldest.name);
        if self.segments.is_empty() {
            self.file = None;
        }
    }

    fn begin_segment(&mut self) -> Result<(), AppendError> {
        let first = self.resumed.map_or(self.next, |resumed| resumed.sequence);
        if let Some(newest) = self.segments.back()
            && newest.name.first == first
        {
            // It was left without a frame, and its name stands in the new one's place.
            self.directory.remove(&newest.name.file_name()).map_err(AppendError::Io)?;
            self.total_bytes -= newest.bytes;
            self.segments.pop_back();
            self.file = None;
        }
        let marker = self.directory.marker().map_err(AppendError::Io)?;
        let name = SegmentName { first, marker };
        let file = self.directory.create(&name.file_name()).map_err(disk_error)?;
        if self.file.replace(file).is_some()
            && let Some(older) = self.segments.back()
        {
            self.unsynced.push_back(older.name);
        }
        self.segments.push_back(Segment { name, bytes: 0 });
        self.directory_changed = true;
        Ok(())
    }

    fn append_to_one_segment(&mut self, entries: &[Entry<'_>], bytes: u64) -> Result<(), AppendError> {
        let resumed_bytes = if self.resumed.is_some() { RESUMED_FRAME_BYTES } else { 0 };
        self.make_room(resumed_bytes + bytes)?;
        if let Some(resumed) = self.resumed {
            self.write_resumed(resumed, entries[0].at)?;
        }
        self.encoded.clear();
        let (marker, mut sequence) = (self.newest().name.marker, self.next);
        for entry in entries {
            encode(&mut self.encoded, marker, sequence, Kind::Data, entry);
            sequence = sequence.next();
        }
        self.write()?;
        self.next = sequence;
        Ok(())
    }

    /// Begins an epoch. It must outlive a crash of the machine before any frame of it is seen: else the next writer would
    /// begin the same one again.
    fn write_resumed(&mut self, resumed: Resumed, at: Timestamp) -> Result<(), AppendError> {
        let payload = resumed.follows.0.to_le_bytes();
        self.encoded.clear();
        let marker = self.newest().name.marker;
        let entry = Entry { tag: 0, at, payload: &payload };
        encode(&mut self.encoded, marker, resumed.sequence, Kind::Resumed, &entry);
        self.write()?;
        self.sync().map_err(|SyncError(error)| disk_error(error))?;
        self.resumed = None;
        Ok(())
    }

    /// Writes what is encoded to the end of the newest segment: all of it, or nothing.
    fn write(&mut self) -> Result<(), AppendError> {
        let file = self.file.as_ref().expect("make_room leaves the newest segment open");
        let segment = self.segments.back_mut().expect("make_room leaves a newest segment");
        if let Err(error) = file.write_at(&self.encoded, segment.bytes) {
            if file.truncate(segment.bytes).is_err() {
                // What was written stays as damage that the reader skips, and its segment gets no more frames.
                self.file = None;
            }
            return Err(disk_error(error));
        }
        let bytes = self.encoded.len() as u64;
        segment.bytes += bytes;
        self.total_bytes += bytes;
        self.encoded.shrink_to(ENCODED_BYTES_KEPT);
        Ok(())
    }

    fn newest(&self) -> &Segment {
        self.segments.back().expect("make_room leaves a newest segment")
    }

    fn sync_files(&self) -> io::Result<()> {
        for name in &self.unsynced {
            if let Some(file) = self.directory.open(&name.file_name())? {
                file.sync()?;
            }
        }
        if let Some(file) = &self.file {
            file.sync()?;
        }
        if self.directory_changed { self.directory.sync() } else { Ok(()) }
    }
}

fn disk_error(error: io::Error) -> AppendError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => AppendError::DiskFull(error),
        _ => AppendError::Io(error),
    }
}
