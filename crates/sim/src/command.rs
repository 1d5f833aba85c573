//! The command line of `gantry-sim`.

mod clean;
mod hunt;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::planted::Planted;
use crate::run::{Options, Report, last_lines, replay_command, run as run_seed, run_traced};

pub const USAGE: &str = "\
Runs the real control, node and load balancer cores and the real store in a simulated world full of faults.
A seed is one hour of twenty services; the same seed always tells the same story.

Usage:
  gantry-sim [--seeds N] [--from N] [--seconds N] [--jobs N] [--keep-going]
                                     run N seeds (1000), from a seed that the time gives, on N threads (2), until one
                                     breaks a rule or all are done; begin none after --seconds
  gantry-sim --seed N [--trace]      run one seed, and print all that happens
  gantry-sim --planted NAME|all [--seeds N] [--from N] [--jobs N]
                                     show that a planted bug is found (needs --features planted)
  gantry-sim --planted NAME --seed N [--trace]

Example:
  cargo run --release -p gantry-sim -- --seeds 1000 --jobs 2
";

/// A seed that the time gives is below this, so that it is easily typed.
const SEED_END: u64 = 1_000_000_000;
const SEEDS: u64 = 1000;
const JOBS: usize = 2;
const JOBS_MAX: usize = 64;

#[derive(Debug)]
struct Arguments {
    seeds: u64,
    from: Option<u64>,
    seconds: Option<Duration>,
    jobs: usize,
    seed: Option<u64>,
    trace: bool,
    keep_going: bool,
    planted: Vec<Planted>,
    help: bool,
}

/// Does what the words ask for; says whether no rule was broken, or every planted bug was found. The error is for who typed
/// them.
pub fn run(words: impl Iterator<Item = String>, out: &mut (dyn Write + Send)) -> Result<bool, String> {
    let arguments = parse(words)?;
    let out = Output(Mutex::new(out));
    if arguments.help {
        out.line(USAGE.trim_end());
        return Ok(true);
    }
    Ok(match (&arguments.planted[..], arguments.seed) {
        ([], Some(seed)) => replay(&out, seed, Options::default(), arguments.trace),
        ([], None) => clean::run(&out, &arguments),
        ([planted], Some(seed)) => replay(&out, seed, Options { planted: Some(*planted) }, arguments.trace),
        (_, Some(_)) => return Err("--seed replays one planted bug: name it".to_owned()),
        (planted, None) => hunt::run(&out, planted, &arguments),
    })
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments {
        seeds: SEEDS,
        from: None,
        seconds: None,
        jobs: JOBS,
        seed: None,
        trace: false,
        keep_going: false,
        planted: Vec::new(),
        help: false,
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--seeds" => arguments.seeds = number(&value()?)?,
            "--from" => arguments.from = Some(number(&value()?)?),
            "--seconds" => arguments.seconds = Some(Duration::from_secs(number(&value()?)?)),
            "--seed" => arguments.seed = Some(number(&value()?)?),
            "--jobs" => {
                let jobs = usize::try_from(number(&value()?)?).map_err(|error| error.to_string())?;
                arguments.jobs = jobs.clamp(1, JOBS_MAX);
            }
            "--trace" => arguments.trace = true,
            "--keep-going" => arguments.keep_going = true,
            "--planted" => arguments.planted = planted(&value()?)?,
            "--help" | "-h" => arguments.help = true,
            other => return Err(format!("{other} is no option")),
        }
    }
    Ok(arguments)
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}

fn planted(name: &str) -> Result<Vec<Planted>, String> {
    if !cfg!(any(test, feature = "planted")) {
        return Err("this program has no planted bugs: build it with --features planted".to_owned());
    }
    match name {
        "all" => Ok(Planted::ALL.to_vec()),
        name => Planted::parse(name).map(|planted| vec![planted]).ok_or_else(|| {
            let names: Vec<&str> = Planted::ALL.iter().map(|planted| planted.name()).collect();
            format!("{name} is no planted bug; there are: {}", names.join(", "))
        }),
    }
}

fn seed_of_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(0) % SEED_END
}

fn replay(out: &Output<'_>, seed: u64, options: Options, trace: bool) -> bool {
    let report = if trace { run_traced(seed, options) } else { run_seed(seed, options) };
    out.line(&format!(
        "seed {seed}: {} happenings, {} commits, {} tasks, {} requests, fingerprint {:016x}",
        report.happenings, report.revision, report.tasks, report.requests, report.fingerprint
    ));
    if report.violation.is_some() {
        tell_failure(out, &report, options, trace);
    } else {
        let seconds = report.settled_after / 1000;
        out.line(&format!("every rule held; all was at rest {seconds} s after the last fault"));
    }
    report.violation.is_none()
}

fn tell_failure(out: &Output<'_>, report: &Report, options: Options, was_traced: bool) {
    let Some(violation) = &report.violation else { return };
    let mut lines = Vec::new();
    if !was_traced {
        lines.push(format!("--- the last lines of seed {}", report.seed));
        lines.extend(last_lines(report.seed, options));
    }
    let at = violation.at as f64 / 1000.0;
    lines.push(format!("--- seed {} broke a rule after {at:.3} s: {}", report.seed, violation.invariant));
    lines.push(format!("    {}", violation.what));
    lines.push(format!("    replay: {}", replay_command(report.seed, options)));
    out.line(&lines.join("\n"));
}

/// Where the command writes, from any of its threads.
struct Output<'o>(Mutex<&'o mut (dyn Write + Send)>);

impl Output<'_> {
    fn line(&self, text: &str) {
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Who closed the pipe does not want to read it.
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }
}
