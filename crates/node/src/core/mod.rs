//! The node without IO.
//!
//! `State` holds one `TaskState` per task. Each event touches tasks; each touched task is then driven forward as far as its
//! state allows (`drive`), and its report is sent if it says something new.

mod drive;
mod event;
mod health;
mod outcome;
mod report;
mod state;

pub use event::{Effect, Event, Exit, Found, HealthOutcome, Restored, StartedContainer};
pub use health::{HealthMachine, HealthVerdict};
pub use state::{ContainerPhase, ContainerState, NetworkPhase, State, TaskState};

#[cfg(test)]
mod tests;
