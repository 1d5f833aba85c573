//! The simulated world: the real cores of `control`, `node` and `lb` and the real store on a faulty disk, with everything else
//! invented. One seed is one world, and one story: an hour of twenty services under random faults.
//!
//! Flow: `world` takes the next happening off its agenda and gives it to the part that it belongs to (`control`, `node`,
//! `balancer`: each the real core in the place of its shell; `writer`: the store's thread; `links`, `machine`, `operator`,
//! `traffic`, `faults`: the world around them), whose effects become happenings to come. `check` has the rules, which are looked at
//! wherever one could be broken: before and after each commit, at each start, signal, request and removal. When the hour is over
//! all faults end, and everything must come to rest.
//!
//! Invariants:
//! - The same seed tells the same story: one clock, one source of chance, nothing iterates over a hash map. `Report::fingerprint`
//!   is equal for equal stories.
//! - A rule reads the ledger, the machines and the requests, which the world keeps by itself; it asks no core whether it did well.
//! - A rule that is broken ends the seed, and the command that replays it is printed.
//! - Planted bugs stand in `seams`, and only with the feature `planted` and in tests of this crate.

mod agenda;
mod balancer;
mod chance;
mod check;
pub mod command;
mod control;
mod disk;
mod faults;
mod gate;
mod happening;
mod ledger;
mod links;
mod machine;
mod node;
mod operator;
mod planted;
mod program;
mod records;
mod run;
mod seams;
mod site;
mod swarm;
mod trace;
mod traffic;
mod words;
mod works;
mod world;
mod writer;

pub use planted::Planted;
pub use run::{Options, Report, run, whole_trace};
pub use world::Violation;
