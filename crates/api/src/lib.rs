//! The AWS services that Gantry serves: typed structs, a trait per service, and the tables that the wire reads.
//!
//! All of it is generated at build time from `models/*.json` by `gantry-codegen`; nothing is checked in. A service `ecs` is
//! the module [`ecs`]:
//! - `ecs::CreateServiceRequest` and the other structures. Members that the model requires are plain, all others
//!   `Option`; enumerations are `String`; every struct has `Default`, [`FromValue`] and [`IntoValue`].
//! - `ecs::Ecs`, the trait: an `async fn` per operation, `(&self, call: &CallContext, input)`. An operation that is not
//!   overridden answers that it is not implemented.
//! - `ecs::dispatch(&service, &call)`, which runs the handler of `call.operation` and gives the output's document.
//! - `ecs::errors::cluster_not_found_exception("Cluster not found.")` and the other modelled errors. EC2's model has
//!   none: `ApiError::sender("InvalidVpcID.NotFound", ..)`.
//! - `ecs::shapes::Cluster`, the shape tables, and `ecs::MODEL`.
//!
//! Flow: `gantry_wire::parse_request` gives a [`CallContext`] whose `input` is the canonical, valid document; `dispatch`
//! makes it typed, runs the handler and gives back a document; `gantry_wire::render_output` writes it. A handler that
//! keeps what it was given as a record's document takes `call.input`, which has every member.
//!
//! # How to add a service
//! 1. Name the service and its operations in `models/served.txt`, and run
//!    `cargo xtask models --botocore DIR` (the `data` folder of a botocore package). That writes `models/NAME.json`.
//! 2. Implement `gantry_api::NAME::Name` in a module of `gantry-services`.
//! 3. Add the line that sends calls of that service to `gantry_api::NAME::dispatch`.
//!
//! How it words its validation errors stands in `gantry_wire`'s table of styles; without a line there it uses AWS's usual
//! form.
//!
//! # How to add an operation
//! Name it in `models/served.txt`, refresh, and override its method.

mod convert;

pub use convert::{Blob, FromValue, IntoValue, Mismatch};
pub use gantry_wire::{ApiError, Call as CallContext, ServiceModel};
pub use generated::*;

/// What the generated modules use.
mod prelude {
    pub(crate) use std::collections::BTreeMap;
    pub(crate) use std::future::{Future, Ready, ready};

    pub(crate) use gantry_types::{Timestamp, Value};

    #[allow(unused_imports, reason = "no served operation takes or gives bytes yet")]
    pub(crate) use super::Blob;
    pub(crate) use super::convert::{Members, opt, req};
    pub(crate) use crate::{ApiError, CallContext, FromValue, IntoValue, Mismatch};

    /// The answer of an operation that nobody has written.
    pub(crate) fn unwritten<I, O>(call: &CallContext, _input: I) -> Ready<Result<O, ApiError>> {
        ready(Err(ApiError::not_implemented(call.service.name, call.operation.name)))
    }

    pub(crate) fn typed_input<T: FromValue>(call: &CallContext) -> Result<T, ApiError> {
        T::from_value(&call.input)
            .map_err(|mismatch| ApiError::sender("SerializationException", mismatch.to_string()))
    }
}

#[allow(clippy::all, clippy::pedantic, reason = "generated code is not reviewed; its generator is")]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/services.rs"));
}
