//! Netlink, synchronously: messages as bytes, and a socket that sends them in batches.
//!
//! The kernel handles a request while it is being sent, so every answer is in the receive queue when `send` returns:
//! a whole batch costs one system call to send and one per answer to read, and nothing ever waits. That is why this is
//! not asynchronous.

mod attributes;
mod message;
mod socket;

pub(crate) use attributes::{Attributes, ipv4, text, u32_at};
pub(crate) use message::{Body, Messages};
pub use socket::NetlinkError;
pub(crate) use socket::{NetlinkSocket, Protocol};
