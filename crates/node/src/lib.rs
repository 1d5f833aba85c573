//! The node agent: wanted tasks become running containers, and what happens to them is told.
//!
//! Flow: [`core`] is a plain state machine, `step(event, now) -> effects`, that the simulator drives as well as the real
//! shell does. The shell does the effects (network, images, shims, health checks, log shipping) and feeds their results
//! back as events.
//!
//! Invariants:
//! - A task is on disk before anything is done for it, so that a node that was killed finds it again.
//! - A container is started at most once per task; a task that was forgotten is never run again.
//! - `control` may be gone for as long as it takes: tasks run on, and the next link begins with a full report.

pub mod core;
