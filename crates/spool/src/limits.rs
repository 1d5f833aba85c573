//! How much a spool may hold, and what gives way when it is full. All defaults stand here.

use crate::frame::{FRAME_HEADER_BYTES, PAYLOAD_BYTES_MAX};

/// Segments that a spool has at the least when it is full: what is dropped at once is at most this part of it.
const SEGMENTS_MIN: u64 = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes on disk that all segments together may have, frame headers included.
    pub total_bytes: u64,
    /// Bytes of one segment: the unit in which space is given back. At most a quarter of the total.
    pub segment_bytes: u64,
    pub when_full: WhenFull,
}

/// What happens to a frame for which there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// The oldest segment goes, read or not, and the writer goes on: for a container's output, whose newest lines
    /// say why it died. What the disk refuses is dropped too. The reader is told how many frames are missing.
    DropOldest,
    /// The append fails and changes nothing: for a log whose caller still has the data and answers with an error.
    Refuse,
}

impl Limits {
    /// A container's output: 64 MiB, the oldest sixteenth goes first.
    pub const CONTAINER_OUTPUT: Self =
        Self { total_bytes: 64 << 20, segment_bytes: 4 << 20, when_full: WhenFull::DropOldest };

    /// A write-ahead log: 256 MiB, then the caller is refused.
    pub const WRITE_AHEAD_LOG: Self =
        Self { total_bytes: 256 << 20, segment_bytes: 16 << 20, when_full: WhenFull::Refuse };

    /// The largest payload that a segment of this size can hold.
    pub fn payload_bytes_max(&self) -> usize {
        let room = self.segment_bytes.saturating_sub(FRAME_HEADER_BYTES as u64);
        usize::try_from(room).unwrap_or(usize::MAX).min(PAYLOAD_BYTES_MAX)
    }

    pub(crate) fn validate(&self) -> Result<(), LimitError> {
        // The second frame's worth of header is for the record that a reopened spool writes.
        if self.segment_bytes < 2 * FRAME_HEADER_BYTES as u64 + 8 {
            return Err(LimitError::SegmentTooSmall { segment_bytes: self.segment_bytes });
        }
        if self.segment_bytes.saturating_mul(SEGMENTS_MIN) > self.total_bytes {
            return Err(LimitError::TooFewSegments {
                segment_bytes: self.segment_bytes,
                total_bytes: self.total_bytes,
            });
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    #[error("a segment of {segment_bytes} bytes has no room for a frame")]
    SegmentTooSmall { segment_bytes: u64 },
    #[error(
        "a spool of {total_bytes} bytes must have room for {SEGMENTS_MIN} segments, and one has {segment_bytes} bytes"
    )]
    TooFewSegments { segment_bytes: u64, total_bytes: u64 },
}
