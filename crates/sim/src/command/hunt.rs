//! Planted bugs: seeds are run with each until one breaks a rule.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::{Arguments, Output};
use crate::planted::Planted;
use crate::run::{Options, Report, replay_command, run as run_seed};

const FIRST_SEED: u64 = 1;

pub(super) fn run(out: &Output<'_>, planted: &[Planted], arguments: &Arguments) -> bool {
    let from = arguments.from.unwrap_or(FIRST_SEED);
    let began = Instant::now();
    out.line(&format!("{:<24} {:>8}  broken rule, and the command that replays it", "bug", "seed"));
    let mut found = 0;
    for planted in planted {
        let options = Options { planted: Some(*planted) };
        match hunt(options, from, arguments) {
            Some(Report { seed, violation: Some(violation), .. }) => {
                found += 1;
                out.line(&format!(
                    "{:<24} {seed:>8}  {} ({})\n{:<35}{}",
                    planted.name(),
                    violation.invariant,
                    violation.what,
                    "",
                    replay_command(seed, options)
                ));
            }
            _ => out.line(&format!("{:<24} NOT FOUND within {} seeds", planted.name(), arguments.seeds)),
        }
    }
    let (all, took) = (planted.len(), began.elapsed().as_secs_f64());
    out.line(&format!(
        "{found} of {all} planted bugs were found, each within {} seeds from {from} on, in {took:.1} s",
        arguments.seeds
    ));
    found == all
}

/// The lowest seed that breaks a rule: the same on any number of threads.
fn hunt(options: Options, from: u64, arguments: &Arguments) -> Option<Report> {
    let next = AtomicU64::new(0);
    let end = AtomicU64::new(arguments.seeds);
    let lowest: Mutex<Option<Report>> = Mutex::new(None);
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= end.load(Ordering::Relaxed) {
                break;
            }
            let report = run_seed(from.wrapping_add(index), options);
            if report.violation.is_some() {
                end.fetch_min(index, Ordering::Relaxed);
                let mut lowest = lowest.lock().expect("nobody panics with the lowest seed");
                if lowest.as_ref().is_none_or(|before| report.seed < before.seed) {
                    *lowest = Some(report);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs {
            scope.spawn(work);
        }
    });
    lowest.into_inner().expect("nobody panics with the lowest seed")
}
