//! The balancer with real sockets: a control of ours on one side, targets and clients of ours on the others.
//!
//! Every test has loopback addresses of its own, so that tests run side by side.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bodies;
mod codes;
mod forwarding;
mod life;
mod no_failures;
mod places;
mod support;
