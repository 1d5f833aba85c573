//! The records that Gantry is made of, the changes that act on them, and the view that a decider reads.
//!
//! Flow: a service module or a decider reads a [`View`], proposes [`Change`]s, the store commits them by compare-and-set
//! and applies the same changes to the view. [`View::apply`] is deterministic: the same changes in the same order make the
//! same view, wherever they are applied.
//!
//! Invariants:
//! - The view is the store's content and nothing else; its indexes are derived and can be rebuilt.
//! - A record is the typed fields that decisions read, plus the canonical document that Describe gives back.
//! - Nothing here does IO, reads a clock or draws a random number.

mod aws_enum;
mod batch;
mod change;
mod key;
mod record;
mod view;

pub mod assignment;
pub mod container_instance;
pub mod elb;
pub mod network;
pub mod node;
pub mod object;
pub mod service;
pub mod task;
pub mod task_definition;
pub mod task_session;

pub use batch::Batch;
pub use change::{Action, Change, Expect};
pub use key::{Key, Kind, deployment_number, service_group};
pub use record::{Record, Stored};
pub use view::{Versioned, View, kind_matches};
