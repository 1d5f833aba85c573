//! The loop that makes what is into what was asked for, without IO.
//!
//! Flow: something happens (the store committed, a node or load balancer said something, time passed) and a shell calls
//! [`Core::step`]. The event only marks what may need a decision; then each marked [`Unit`] decides from the store's view and
//! from what the links last said: tasks take over their nodes' reports, the service reconciler and placement decide in the same
//! step, and the result is one commit by compare-and-set. What the view holds is then compared with what each node and load
//! balancer was told, and the difference is sent.
//!
//! Invariants:
//! - The store is the only memory. `Core` may be dropped between any two effects; a new one goes on from the view and from what
//!   nodes and load balancers report after their `Hello`.
//! - Nodes and load balancers are told only what is committed. A task runs because its record says so, never before.
//! - A unit has at most one commit in flight; a conflict means deciding again. Nothing depends on which trigger came: a slow
//!   full pass decides everything anew.
//! - Every commit fits the store's limits.
//! - The same events on the same views with the same ids make the same effects: nothing iterates over a hash map.

mod balancers;
mod core;
mod event;
mod index;
mod limits;
mod nodes;
mod placer;
mod queue;
mod spec;
mod trigger;
mod units;
mod vpc;

#[cfg(test)]
mod tests;

pub use crate::core::Core;
pub use event::{CommitFailure, CommitId, Effect, Event, LinkId};
pub use limits::Limits;
pub use queue::Unit;
