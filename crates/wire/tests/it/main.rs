//! The wire from outside: bytes in, documents and bytes out.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::needless_pass_by_value, reason = "constant functions take their tables apart")]

mod aws_json;
mod cbor;
mod claims;
mod client;
mod hostile;
mod model;
mod query;
mod rest;
mod signatures;
mod validation;
