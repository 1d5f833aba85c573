//! `gantry load`: requests at a server, and the numbers that tell how it did, in k6's words.
//!
//! Flow: arguments become a [`Plan`]; [`run`] drives it on one thread, either as virtual users (closed model: each waits for its
//! answer and thinks) or at a fixed rate (open model: requests start when they are due, whatever happened to those before);
//! each finished request is one [`Sample`] in [`Stats`]; [`report`] writes the summary; [`thresholds`](threshold) decide the
//! exit code.
//!
//! Invariants:
//! - At a fixed rate a latency counts from the time at which the request was due, also when it could only start later: a server
//!   that stalls is charged for everybody who would have waited. The service time beside it counts from the real start.
//! - Memory does not grow with the number of requests: histograms, counters and one example of each kind of error.

mod connection;
mod pace;
mod plan;
mod progress;
pub mod report;
mod run;
mod stats;
mod target;
#[cfg(test)]
mod tests;
pub mod threshold;

pub use plan::{Pace, Plan, PlanError, RawPlan, parse_duration, parse_rate};
pub use progress::Progress;
pub use run::run;
pub use stats::{Sample, Stats, Trend};
pub use target::Target;

/// Every limit of a run.
pub mod limits {
    use std::time::Duration;

    /// More would measure this process's own scheduling.
    pub const VIRTUAL_USERS_MAX: usize = 10_000;
    pub const RATE_MAX: f64 = 100_000.0;
    pub const DURATION_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
    /// How long what is in flight at the end may take; the same as in k6.
    pub const GRACEFUL_STOP: Duration = Duration::from_secs(30);
    /// Requests in flight at a fixed rate, unless `--vus` says otherwise.
    pub const IN_FLIGHT_DEFAULT: usize = 1_000;
    pub const BODY_BYTES_MAX: u64 = 64 << 20;
    pub const HEADERS_MAX: usize = 100;
}
