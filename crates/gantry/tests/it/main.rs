//! Tests with real processes.

#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod command;
mod supervised;
mod wait;
