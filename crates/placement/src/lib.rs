//! Where a task runs: its availability zone, its node and its address.
//!
//! Flow: the caller keeps a [`Capacity`] (what each node gives already, and how each group of tasks is spread) in step with the
//! task records, change by change, and an [`Addresses`] with what commits under way have taken; [`place`] chooses by the rules
//! of the launch type, fills the task in and returns its network interface as a change of the same commit.
//!
//! Rules:
//! - FARGATE never fails for CPU or memory: quotas are what was asked, the machine is overcommitted. EC2 is strict: a task gets an
//!   instance of its cluster that has the CPU, the memory and the ports.
//! - Without a strategy tasks go to the zone with the fewest tasks of their group, then to the node with the fewest.
//! - An address or a dynamic port is used again as late as possible: the search goes round.
//! - A cluster that asks for EC2 and has no instance is lent the machine ([`lending`]).
//!
//! Invariant: the index equals what a scan over all tasks would count.

mod address;
mod capacity;
mod choose;
mod expression;
mod machine;
mod place;
mod ports;
mod refusal;

#[cfg(test)]
mod tests;

pub use address::Addresses;
pub use capacity::{Capacity, Load};
pub use expression::{Expression, ExpressionError};
pub use machine::{Lending, lend, lending};
pub use place::{Site, place};
pub use ports::{Port, Ports, UsedPorts};
pub use refusal::Refusal;
