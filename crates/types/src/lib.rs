//! The vocabulary that every crate shares: identifiers, ARNs, time, quantities and the shape-valued document.
//!
//! Nothing here does IO, and nothing here depends on another crate of ours. Time and randomness enter the rest of
//! the system through [`Timestamp`] and [`Ids`], always as arguments, so that the whole control plane can run in a
//! seeded simulation.

mod arn;
mod id;
mod ids;
mod quantity;
mod timestamp;
mod value;

pub use arn::{ACCOUNT, Arn, ArnError, arn};
pub use id::*;
pub use ids::Ids;
pub use quantity::{CpuUnits, MemoryMib};
pub use timestamp::Timestamp;
pub use value::Value;
