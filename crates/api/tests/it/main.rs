//! The generated services, asked over the wire.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod golden;
mod handlers;
mod models;
