//! Running seeds.

use crate::planted::Planted;
use crate::trace::Tracing;
use crate::world::{Violation, World};

/// Lines that a failure shows.
const LAST_LINES: usize = 50;

/// How a seed went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub seed: u64,
    /// Equal for equal stories.
    pub fingerprint: u64,
    pub happenings: u64,
    /// The store's last revision.
    pub revision: u64,
    /// Tasks that became RUNNING.
    pub tasks: u64,
    pub requests: u64,
    /// Milliseconds until everything had come to rest after the last fault.
    pub settled_after: u64,
    pub violation: Option<Violation>,
}

/// What a seed is run with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    pub planted: Option<Planted>,
}

/// Runs one seed.
pub fn run(seed: u64, options: Options) -> Report {
    tell(seed, options, Tracing::Off).0
}

/// Runs one seed and prints its trace.
pub fn run_traced(seed: u64, options: Options) -> Report {
    tell(seed, options, Tracing::Printed).0
}

/// The last lines of a seed's trace: the same story, told once more.
pub fn last_lines(seed: u64, options: Options) -> Vec<String> {
    tell(seed, options, Tracing::Last(LAST_LINES)).1
}

/// Runs one seed and gives its whole trace.
pub fn whole_trace(seed: u64, options: Options) -> Vec<String> {
    tell(seed, options, Tracing::Last(usize::MAX)).1
}

/// The command that replays a seed.
pub fn replay_command(seed: u64, options: Options) -> String {
    match options.planted {
        None => format!("cargo run --release -p gantry-sim -- --seed {seed} --trace"),
        Some(planted) => format!(
            "cargo run --release -p gantry-sim --features planted -- --planted {} --seed {seed} --trace",
            planted.name()
        ),
    }
}

fn tell(seed: u64, options: Options, tracing: Tracing) -> (Report, Vec<String>) {
    let mut world = World::new(seed, tracing, options.planted);
    world.run();
    let report = Report {
        seed,
        fingerprint: world.trace.fingerprint(),
        happenings: world.happenings(),
        revision: world.ledger.view.revision(),
        tasks: world.watched.tasks_ran,
        requests: world.requests,
        settled_after: world.settled_at.map_or(0, |at| at - crate::world::FAULTS_LAST),
        violation: world.violation.take(),
    };
    (report, world.trace.into_lines())
}
