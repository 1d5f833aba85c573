//! Real namespaces, links and rules. Each test has a world of its own: a network namespace that stands for the host and a
//! mount namespace, both gone with the test's thread, so nothing reaches the machine's own network. Needs root.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

mod bridge;
mod connectivity;
mod dns;
mod lifecycle;
mod probing;
mod security;
mod world;
