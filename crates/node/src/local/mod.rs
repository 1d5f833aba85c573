//! What a person on this machine asks its node: which tasks there are, a command in one of them, a connection into one.
//!
//! Flow: the node listens on a socket in the server's state directory, which only its owner can reach. A client connects, sends
//! one line and gets one back; for a command it sends the supervisor's end of a [`gantry_runtime::Session`] along, and for a
//! connection it gets a connected socket. From then on bytes pass the node no more, so a node that is restarted cuts nothing
//! off.

mod client;
mod message;

pub use client::{Client, LocalError};
pub use message::{LocalContainer, LocalTask};
pub(crate) use message::{LocalReply, LocalRequest, MESSAGE_BYTES_MAX, receive, send};
