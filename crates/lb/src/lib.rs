//! The load balancer: listeners, rules, targets, and the bytes between them.
//!
//! Flow: `control` sends what there is; [`core`] turns it, and what happens to targets, into decisions without IO; the shell
//! ([`run`]) does them, and publishes an immutable table. One shard a core, each a thread with a runtime of its own, accepts
//! connections and serves requests from that table: a head is read and classified, a rule chooses a target group, the group a
//! target, and the bytes flow both ways. What shards meet (a refused connection, the last request on a draining target)
//! goes back to the core as events.
//!
//! Invariants:
//! - A request that no target can have seen is never lost: it is tried elsewhere, or held while a target is promised.
//! - A draining target is said to be drained only when no request is on it and none can come.
//! - Bodies are streamed: what one side does not take, the other side is not asked for.
//! - Every wait has a timeout, every buffer and queue a limit; they stand in `limits`.
//! - The balancer serves on without `control`, and without having ever heard of it since it was started.

pub mod access_log;
mod attributes;
mod body;
mod buffer;
mod choose;
mod connection;
mod control_link;
pub mod core;
mod counters;
mod decide;
mod exchange;
mod forward;
mod group;
mod http1;
mod idle;
mod io;
mod limits;
mod listening;
mod outbound;
mod persist;
mod prober;
mod registry;
mod relay;
mod rewrite;
mod run;
mod shard;
mod shell;
mod store;
mod table;
mod target;
#[cfg(test)]
mod testing;
mod tunnel;

pub use counters::{GroupSums, LoadBalancerSums, TargetSums, Times};
pub use http1::{Class, Classification, DesyncMode, Reason};
pub use limits::Limits;
pub use outbound::{Network, Outbound};
pub use registry::{GroupSnapshot, Snapshot, TargetSnapshot};
pub use run::{Commands, Config, Handle, RunError, run};
pub use store::{Kept, SocketStore};
