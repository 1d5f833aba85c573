//! Where a task runs: its availability zone, its node and its address.
//!
//! Flow: the caller keeps a [`Capacity`] (what each node gives already, and how each group of tasks is spread) in step with the
//! task records, change by change, and an [`Addresses`] with what commits under way have taken; [`place`] chooses by the rules
//! of the launch type, fills the task in and returns its network interface as a change of the same commit.
//!
//! Rules:
//! - FARGATE never fails for CPU or memory: quotas are what was asked, the machine is overcommitted. EC2 is strict.
//! - Without a strategy tasks go to the zone with the fewest tasks of their group, then to the node with the fewest.
//! - An address is used again as late as possible: the search goes round its subnet.
//!
//! Invariant: the index equals what a scan over all tasks would count.

mod address;
mod capacity;
mod choose;
mod expression;
mod place;
mod refusal;

#[cfg(test)]
mod tests;

pub use address::Addresses;
pub use capacity::{Capacity, Load};
pub use expression::{Expression, ExpressionError};
pub use place::{Site, place};
pub use refusal::Refusal;
