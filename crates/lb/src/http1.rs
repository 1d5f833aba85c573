//! HTTP/1.1 as bytes: heads found, read and classified, bodies followed to their end, both without copying.
//!
//! One parser reads requests for every purpose, so that no two of our own parts can disagree on where a message ends. What
//! is compliant is forwarded as it was sent; what is not is classified as AWS's desync mitigation does it.

mod bytes;
mod chunked;
mod desync;
mod field;
mod head_end;
mod request;
mod response;

pub(crate) use bytes::trim;
pub(crate) use chunked::{ChunkError, ChunkScanner};
pub use desync::{Class, Classification, DesyncMode, Reason};
pub(crate) use field::{Field, Kind, connection_options};
pub(crate) use head_end::{HeadEnd, HeadProgress, TooLong};
pub(crate) use request::{Body, Malformed, RequestHead, TargetForm, Version, is_valid_name, split_port};
pub(crate) use response::{ResponseBody, ResponseHead};

/// The longest request line and the longest header line.
pub(crate) const LINE_BYTES_MAX: usize = 16 << 10;
/// The longest request head.
pub(crate) const REQUEST_HEAD_BYTES_MAX: usize = 64 << 10;
/// The longest response head of a target.
pub(crate) const RESPONSE_HEAD_BYTES_MAX: usize = 32 << 10;
/// The longest line that begins a chunk, its extensions included.
pub(crate) const CHUNK_LINE_BYTES_MAX: usize = 4 << 10;
/// The longest trailer section.
pub(crate) const TRAILER_BYTES_MAX: usize = 16 << 10;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod smuggling;
