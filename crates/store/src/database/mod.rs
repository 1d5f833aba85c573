//! The store's typed part: domain records, a view of all of them in memory, and who wants to know of changes.
//!
//! [`DatabaseCore`] is synchronous, for the simulation and for the one thread that writes. [`Database`] is what everybody
//! else holds: it hands commits to that thread, which makes all that wait durable with one sync.
//!
//! A commit is first made durable, then applied to the view, then told to the subscribers, then acknowledged. So whoever
//! was told of a revision finds it in the view.

mod core;
mod encode;
mod error;
mod handle;
mod loaded;

pub use self::core::{Changed, DatabaseCore};
pub use error::{CommitError, DatabaseError, SubscriptionError};
pub use handle::{Database, Subscription};
