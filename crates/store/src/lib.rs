//! The one truth: records with revisions, changed by compare-and-set, durable before anybody is told.
//!
//! Flow: [`Store`] is the core. It gives redb etcd's semantics and etcd's limits, so that a plan that fits here fits a
//! cluster of etcd too: transactions of compares, puts and deletes; a revision for each commit; ranges, watches, leases.
//! [`Database`] is the typed part that the rest of Gantry uses: domain records in, a [`gantry_domain::View`] of all of them
//! in memory, changes told to subscribers. [`DatabaseCore`] is the same without threads, for the simulation.
//!
//! Invariants:
//! - A transaction is made whole or not at all, also when the power fails while it is written.
//! - What was acknowledged is there after any crash. Many transactions may share one sync of the disk.
//! - redb refuses all work after an error of the disk until it is opened again: the store does that by itself, and goes on
//!   as soon as the disk does.
//! - Time is an argument; there is no thread and no clock in the cores.
//! - The view is what the store holds, also after a failure that left it open whether a commit was made.

mod database;
mod disk;
pub mod fault;
mod history;
mod lease;
mod options;
mod store;
mod stored;
mod tables;
mod transaction;

pub use database::{
    Changed, CommitError, Database, DatabaseCore, DatabaseError, Subscription, SubscriptionError,
};
pub use disk::{Disk, FileDisk};
pub use history::Compacted;
pub use lease::LeaseId;
pub use options::{OPERATIONS_MAX, Options, TRANSACTION_BYTES_MAX};
pub use store::{OpenError, Page, ReadError, Store};
pub use transaction::{
    Committed, Compare, Condition, Event, KeyValue, Operation, Revision, Transaction, TransactionError,
};
