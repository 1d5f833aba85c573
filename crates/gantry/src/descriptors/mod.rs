//! The named descriptor store: whoever makes a listening socket puts it here, and a new child takes it back.
//!
//! Flow: a child is started with one end of a sequenced-packet socket pair as its standard input. Over it the child's
//! [`Client`] sends a [`Request`](message::Request), with descriptors beside it, and gets one reply. The supervisor's [`Table`]
//! keeps a duplicate of every descriptor, so that a listening socket, and the connections in its backlog, outlive the child. The
//! pair is inherited and has no path: nobody else can connect to it. Its end is also how a child learns that the supervisor died.
//!
//! A load balancer whose supervisor died offers the same sockets to the next one: [`handoff`].
//!
//! Invariants:
//! - A child sees only names that its own role put there.
//! - A `put` that was answered is there until `remove`; replacing a name is atomic.
//! - A message carries at most [`DESCRIPTORS_MESSAGE_MAX`] descriptors, and so does a name.

mod channel;
mod client;
pub mod handoff;
pub mod message;
mod table;

pub use channel::Channel;
pub use client::{Client, StoreError};
pub use table::{Refusal, Table};

/// What the kernel passes in one message.
pub const DESCRIPTORS_MESSAGE_MAX: usize = 253;
/// More than listeners, addresses and VPCs of one machine.
pub const NAMES_MAX: usize = 4_096;
pub const NAME_BYTES_MAX: usize = 200;
/// Descriptors in all; the supervisor raises its own limit above this.
pub const DESCRIPTORS_MAX: usize = 16_384;
/// A page of names fits in one message.
pub const NAMES_PAGE_MAX: usize = 128;
pub const MESSAGE_BYTES_MAX: usize = 64 << 10;
