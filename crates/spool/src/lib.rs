//! Bounded append files between two processes that need not be alive at the same time.
//!
//! A container's shim appends each line of output to a spool and never waits for anybody; the node reads on from where
//! it was, ships what it read and acknowledges it. Telemetry's write-ahead log is the same thing with [`Writer::sync`]
//! before an answer.
//!
//! Flow: [`Writer::append`] frames the payload and appends it to the newest segment file; a full segment is followed by
//! a new one. [`Reader::read`] yields frames in order; [`Reader::acknowledge`] remembers how far the receiver has come
//! and deletes the segments behind it. [`Watch`] is one descriptor that becomes readable when any of many spools has
//! grown.
//!
//! Invariants:
//! - Every frame has a [`Sequence`], and a sequence never means two different frames, not even after a crash of the
//!   machine that lost the end of the spool: a writer that reopens a spool jumps far ahead and says where it stood. (A
//!   spool of which nothing was ever synced, and all is gone, is a new one.)
//! - What is missing is counted. A frame that was dropped (spool full, disk full) or destroyed leaves a gap in the
//!   sequence, and the reader reports the gap as [`Lost`] before the frame behind it. Dropping needs no space on disk.
//! - A segment's name carries a random marker that begins each of its frames. So a payload, which anybody may have
//!   written, cannot pass for a frame when the reader looks for the next one behind damaged bytes.
//! - Damage never stops the reader: it skips to the next frame that passes its check, and each byte is looked at a
//!   bounded number of times.
//! - A torn end is not damage while its segment is the newest: the rest may be about to be written.

mod acknowledged;
mod cursor;
mod directory;
pub mod fault;
mod frame;
mod limits;
mod reader;
mod segment;
mod watch;
mod writer;

pub use directory::{Directory, RealDirectory, SegmentFile};
pub use frame::{Entry, FRAME_HEADER_BYTES, Frame, PAYLOAD_BYTES_MAX, Sequence};
pub use limits::{LimitError, Limits, WhenFull};
pub use reader::{Item, Lost, Position, ReadError, Reader};
pub use watch::{Watch, WatchId};
pub use writer::{AppendError, OpenError, SyncError, Writer};
