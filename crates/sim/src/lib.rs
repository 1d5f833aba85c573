//! The simulated world.

mod agenda;
mod balancer;
mod chance;
mod check;
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
mod swarm;
mod trace;
mod traffic;
mod words;
mod works;
mod world;
mod writer;

pub use planted::Planted;
pub use run::{Options, Report, last_lines, replay_command, run, run_traced, whole_trace};
pub use world::Violation;
