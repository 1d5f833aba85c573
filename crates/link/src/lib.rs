//! What `control`, `node` and `lb` say to each other, and the frames that carry it.
//!
//! Flow: a child connects to `control` (a local socket; other machines use the same frames over mutual TLS), says who it is in a
//! [`Hello`], and both sides send messages. After a [`Hello`] the other side sends everything that it holds, then `Synced` with
//! the list of what there is: what is not on that list is gone.
//!
//! Invariants:
//! - Every message is a whole state or an idempotent order. Losing the link loses nothing: the next one begins with everything.
//! - Members that one side does not know are ignored, so that versions may differ during an upgrade.
//! - A frame is at most [`FRAME_BYTES_MAX`] long.

mod frame;
mod message;

pub use frame::{FRAME_BYTES_MAX, FrameReader, FrameWriter, LinkError, decode, encode};
pub use message::*;
