//! Many seeds without a planted bug: each must keep every rule.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{Arguments, Output, seed_of_now, tell_failure};
use crate::run::{Options, Report, run as run_seed};

const PROGRESS_EVERY: Duration = Duration::from_secs(10);

pub(super) fn run(out: &Output<'_>, arguments: &Arguments) -> bool {
    let from = arguments.from.unwrap_or_else(seed_of_now);
    out.line(&match arguments.seconds {
        Some(seconds) => format!("seeds from {from} on, for {} s", seconds.as_secs()),
        None => format!("seeds {from} to {}", from.saturating_add(arguments.seeds.saturating_sub(1))),
    });
    let began = Instant::now();
    let next = AtomicU64::new(0);
    let failed = AtomicBool::new(false);
    let progress = Mutex::new((Totals::default(), began));
    let is_over = || arguments.seconds.is_some_and(|seconds| began.elapsed() >= seconds);
    let work = || {
        while !failed.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            // The first seed is run in any case: a run of no seed would prove nothing.
            if index >= arguments.seeds || (index > 0 && is_over()) {
                break;
            }
            let report = run_seed(from.wrapping_add(index), Options::default());
            let mut progress = progress.lock().expect("nobody panics with the totals");
            progress.0.add(&report);
            if progress.1.elapsed() >= PROGRESS_EVERY {
                progress.1 = Instant::now();
                out.line(&format!("{} seeds, {:.0} s", progress.0.seeds, began.elapsed().as_secs_f64()));
            }
            drop(progress);
            if let Some(violation) = &report.violation {
                if arguments.keep_going {
                    out.line(&format!("seed {}: {}: {}", report.seed, violation.invariant, violation.what));
                } else if !failed.swap(true, Ordering::Relaxed) {
                    tell_failure(out, &report, Options::default(), false);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs {
            scope.spawn(work);
        }
    });
    let (totals, _) = progress.into_inner().expect("nobody panics with the totals");
    out.line(&totals.words(began.elapsed()));
    totals.broken == 0
}

#[derive(Debug, Default)]
struct Totals {
    seeds: u64,
    broken: u64,
    happenings: u64,
    commits: u64,
    tasks: u64,
    requests: u64,
}

impl Totals {
    fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.broken += u64::from(report.violation.is_some());
        self.happenings += report.happenings;
        self.commits += report.revision;
        self.tasks += report.tasks;
        self.requests += report.requests;
    }

    fn words(&self, took: Duration) -> String {
        format!(
            "{} seeds in {:.1} s, {} broke a rule: {} simulated hours, {} happenings, {} commits, {} tasks that ran, {} requests",
            self.seeds,
            took.as_secs_f64(),
            self.broken,
            self.seeds,
            self.happenings,
            self.commits,
            self.tasks,
            self.requests
        )
    }
}
