//! The services as clients use them: calls by the operations' and members' names on a real store.

#![allow(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    reason = "a test that meets what it does not expect fails, and its rows are built on the spot"
)]

mod cloudformation;
mod ec2;
mod ecs;
mod elbv2;
mod random;
mod world;
