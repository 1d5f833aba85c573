//! The node agent: wanted tasks become running containers, and what happens to them is told.
//!
//! Flow: [`core`] is a plain state machine, `step(event, now) -> effects`, that the simulator drives as well as the real
//! [`shell`] does. The shell does the effects (network, images, shims, health checks, log shipping) and feeds their results
//! back as events. A container's output goes from its shim through [`output`] into a spool, and from there through [`logs`] to
//! `control`.
//!
//! Invariants:
//! - A task is on disk before anything of it is started, so that a node that was killed finds it again.
//! - A container is started at most once per task; a task that was forgotten is never run again.
//! - `control` may be gone for as long as it takes: tasks run on, and the next link begins with a full report.
//! - The node may be gone as long: containers run on, what they write is kept, and how they end is found out later.
//! - One thread owns the state and never waits: whatever may block happens elsewhere and comes back as an event.

pub mod core;
pub mod local;
pub mod logs;
pub mod output;
pub mod shell;
