//! Tests with real processes.

mod command;
mod supervised;
mod wait;
