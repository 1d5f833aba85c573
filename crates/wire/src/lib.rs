//! (purpose, flow and invariants stand here)

mod call;
mod error;
mod protocol;
pub mod shape;

pub use call::{Call, Principal, Response};
pub use error::{ApiError, Fault};
pub use protocol::Protocol;
pub use shape::{OperationModel, ServiceModel, Shape};
