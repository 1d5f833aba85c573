//! The DNS of a VPC: answers the names that it knows, asks the host's resolvers for the others.
//!
//! [`Zone`] holds the names and is replaced as a whole; [`answer`] decides what to do with one request, a pure function;
//! [`serve`] moves messages between the VPC's sockets, which were made in its namespace, and [`Upstreams`], whose sockets
//! are the host's. Requests come from containers and so are hostile: every request waits for a bounded time, the requests
//! that wait are bounded for each client and in all, and what goes upstream is a new message, not the client's bytes.

mod answer;
pub(crate) mod places;
mod serve;
mod upstream;
mod zone;

pub use serve::serve;
pub use upstream::Upstreams;
pub use zone::{Zone, ZoneConfig, ZoneError};
