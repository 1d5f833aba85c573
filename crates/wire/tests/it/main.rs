//! The wire from outside: bytes in, documents and bytes out.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod aws_json;
mod cbor;
mod claims;
mod hostile;
mod model;
mod query;
mod rest;
mod signatures;
mod validation;
