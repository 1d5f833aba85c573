//! The core in a scripted world: a store, one node and one load balancer that behave as told.

mod balancer;
mod chaos;
mod node;
mod records;
mod restarts;
mod spec;
mod stories;
mod world;
