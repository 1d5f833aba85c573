//! The core in a scripted world: a store, one node and one load balancer that behave as told.

mod chaos;
mod records;
mod restarts;
mod stories;
mod world;
