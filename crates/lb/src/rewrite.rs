//! Heads on their way: what the balancer adds, removes and leaves as it was.
//!
//! Lines that need no change are copied as they are, in their order. Headers that belong to one connection alone (RFC 9110,
//! 7.6.1) end here; how long a body is, is said exactly once.

mod forwarded;
mod host;
mod own;
mod request;
mod response;
mod trace;

pub(crate) use own::OwnResponse;
pub(crate) use request::{Refusal, RequestContext, write_request};
pub(crate) use response::{Relay, write_interim, write_response};
pub(crate) use trace::Randomness;
