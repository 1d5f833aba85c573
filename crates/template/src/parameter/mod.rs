//! Parameters: what a template declares, and what a request gives.

mod constraint;
pub(crate) mod declaration;
mod kind;
mod pattern;
mod values;

pub use declaration::Parameter;
pub use kind::ParameterKind;
pub use values::{ParameterInput, ParameterLookup, ParameterValue, ParameterValues, lookup_failed};
