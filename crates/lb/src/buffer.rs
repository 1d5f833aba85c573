//! Bytes between a socket and another one.

use std::sync::{Mutex, PoisonError};

use crate::limits::{BUFFER_BYTES, BUFFER_BYTES_MAX, SPARE_BUFFERS_MAX};

/// A window of bytes that are there, in a vector whose whole length may be written.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// What is there.
    pub(crate) fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether it has no memory yet.
    pub(crate) fn is_unallocated(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Takes bytes away from the front.
    pub(crate) fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.len(), "nobody can take more than there is");
        self.start += count.min(self.len());
        if self.start == self.end {
            self.clear();
        }
    }

    /// Takes everything away.
    pub(crate) fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// Room behind what is there: made by moving it to the front, and, when a head needs it, by growing. Empty when the
    /// buffer is as large as it may be.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.end == self.bytes.len() && self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.bytes.len() {
            let length = if self.bytes.is_empty() { BUFFER_BYTES } else { self.bytes.len() * 2 };
            self.bytes.resize(length.min(BUFFER_BYTES_MAX), 0);
        }
        &mut self.bytes[self.end..]
    }

    /// Room without growing: for bodies, which pass through piece by piece.
    pub(crate) fn spare_room(&mut self) -> &mut [u8] {
        if self.bytes.is_empty() || self.end < self.bytes.len() || self.start > 0 {
            return self.room();
        }
        &mut []
    }

    /// Bytes were written to the room.
    pub(crate) fn extend(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }
}

/// Buffers that idle connections gave back.
#[derive(Debug, Default)]
pub(crate) struct SpareBuffers(Mutex<Vec<Buffer>>);

impl SpareBuffers {
    pub(crate) fn take(&self) -> Buffer {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Keeps an empty buffer of the usual size.
    pub(crate) fn give(&self, mut buffer: Buffer) {
        if buffer.bytes.len() != BUFFER_BYTES {
            return;
        }
        buffer.clear();
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE_BUFFERS_MAX {
            spare.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(buffer: &mut Buffer, count: usize) {
        let room = buffer.room();
        assert!(room.len() >= count);
        room[..count].fill(7);
        buffer.extend(count);
    }

    #[test]
    fn room_is_found_at_the_front_before_the_buffer_grows() {
        let mut buffer = Buffer::default();
        put(&mut buffer, BUFFER_BYTES);
        assert!(buffer.spare_room().is_empty());
        buffer.consume(BUFFER_BYTES - 3);
        assert_eq!(buffer.spare_room().len(), BUFFER_BYTES - 3);
        assert_eq!(buffer.filled(), [7; 3]);
        put(&mut buffer, BUFFER_BYTES - 3);
        assert_eq!(buffer.room().len(), BUFFER_BYTES);
        put(&mut buffer, BUFFER_BYTES);
        assert_eq!(buffer.room().len(), BUFFER_BYTES_MAX - 2 * BUFFER_BYTES);
        let rest = BUFFER_BYTES_MAX - 2 * BUFFER_BYTES;
        put(&mut buffer, rest);
        assert!(buffer.room().is_empty(), "there is an end to growing");
        buffer.consume(3);
        buffer.clear();
        assert!(buffer.is_empty());
    }
}
