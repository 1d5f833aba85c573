//! The service reconciler: what one ECS service needs next.
//!
//! Flow: [`ServiceView::gather`] collects a service's records; [`reconcile`] classifies its tasks ([`classify`]), counts what ended
//! ([`account`]), decides stops and starts inside the minimum and the maximum ([`budget`]), keeps target registrations in step with
//! the tasks ([`targets`]), gives the deployments their verdict ([`verdict`]) and tells it all in AWS's words ([`Note`]). The
//! result is a [`Plan`] of changes that the caller commits by compare-and-set; on a conflict it decides again.
//!
//! Invariants:
//! - Never more than `floor(desired * maximum / 100)` tasks are wanted by our own act, and a healthy task is stopped only while
//!   `ceil(desired * minimum / 100)` others stay healthy.
//! - Every plan that starts or stops a task also changes the service's record, and every plan that stops a healthy task checks
//!   the healthy ones that it relies on: two deciders never act on the same state.
//! - A task's end is counted exactly once, because the count and the mark on the task are one commit.
//! - Deciding again when nothing changed proposes nothing.

mod account;
mod budget;
mod classify;
mod events;
mod note;
mod plan;
mod policy;
mod start;
mod stop;
mod targets;
mod verdict;
mod view;

#[cfg(test)]
mod tests;

pub use classify::{Condition, Unhealth};
pub use note::Note;
pub use plan::{Plan, explain, reconcile};
pub use policy::Policy;
pub use start::{Place, Placed, Unplaced};
pub use view::{ServiceView, TaskView};
