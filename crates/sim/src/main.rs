//! `gantry-sim`: runs seeds of the simulated world, replays one, and shows that planted bugs are found.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gantry_sim::{Options, Planted, Report, last_lines, replay_command, run, run_traced};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "\
Runs the real control, node and load balancer cores and the real store in a simulated world full of faults.
A seed is one hour of twenty services; the same seed always tells the same story.

Usage:
  gantry-sim [--seeds N] [--from N] [--jobs N] [--keep-going]
                                                 run N seeds (1000), from a seed that the time gives, on N threads (2),
                                                 until one fails, or all
  gantry-sim --seed N [--trace]                  run one seed, and print all that happens
  gantry-sim --planted NAME|all [--seeds N] [--from N] [--seed N] [--trace]
                                                 show that a planted bug is found (needs --features planted)

Example:
  cargo run --release -p gantry-sim -- --seeds 1000 --jobs 2
";

/// A seed that the time gives is below this, so that it is easily typed.
const SEED_END: u64 = 1_000_000_000;
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
struct Arguments {
    seeds: Option<u64>,
    from: Option<u64>,
    jobs: Option<usize>,
    seed: Option<u64>,
    trace: bool,
    keep_going: bool,
    planted: Vec<Planted>,
    help: bool,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(text) => {
            eprintln!("{text}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if arguments.help {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let is_good = match (&arguments.planted[..], arguments.seed) {
        ([], Some(seed)) => replay(seed, Options::default(), arguments.trace),
        ([], None) => run_many(&arguments),
        ([planted], Some(seed)) => replay(seed, Options { planted: Some(*planted) }, arguments.trace),
        (planted, _) => find_planted(planted, &arguments),
    };
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments::default();
    let mut words = words;
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--seeds" => arguments.seeds = Some(number(&value()?)?),
            "--from" => arguments.from = Some(number(&value()?)?),
            "--seed" => arguments.seed = Some(number(&value()?)?),
            "--jobs" => {
                let jobs = usize::try_from(number(&value()?)?).map_err(|error| error.to_string())?;
                arguments.jobs = Some(jobs.clamp(1, 64));
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
    if !cfg!(feature = "planted") {
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

fn replay(seed: u64, options: Options, trace: bool) -> bool {
    let report = if trace { run_traced(seed, options) } else { run(seed, options) };
    println!(
        "seed {seed}: {} happenings, {} commits, {} tasks, {} requests, fingerprint {:016x}",
        report.happenings, report.revision, report.tasks, report.requests, report.fingerprint
    );
    if report.violation.is_some() {
        tell_failure(&report, options, trace);
    } else {
        println!("every rule held; all was at rest {} s after the last fault", report.settled_after / 1000);
    }
    report.violation.is_none()
}

fn tell_failure(report: &Report, options: Options, was_traced: bool) {
    let Some(violation) = &report.violation else { return };
    if !was_traced {
        println!("--- the last lines of seed {}", report.seed);
        for line in last_lines(report.seed, options) {
            println!("{line}");
        }
    }
    println!(
        "--- seed {} broke a rule after {:.3} s: {}",
        report.seed,
        violation.at as f64 / 1000.0,
        violation.invariant
    );
    println!("    {}", violation.what);
    println!("    replay: {}", replay_command(report.seed, options));
}

fn run_many(arguments: &Arguments) -> bool {
    let count = arguments.seeds.unwrap_or(1000);
    let from = arguments.from.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(now.as_millis()).unwrap_or(0) % SEED_END
    });
    println!("seeds {from} to {}", from + count - 1);
    let began = Instant::now();
    let next = AtomicU64::new(0);
    let failed = AtomicBool::new(false);
    let totals = Mutex::new((Totals::default(), began));
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.unwrap_or(2) {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        break;
                    }
                    let report = run(from + index, Options::default());
                    let mut totals = totals.lock().expect("nobody panics with the totals");
                    totals.0.add(&report);
                    if totals.1.elapsed() >= PROGRESS_EVERY {
                        totals.1 = Instant::now();
                        println!(
                            "{} of {count} seeds, {:.0} s",
                            totals.0.seeds,
                            began.elapsed().as_secs_f64()
                        );
                    }
                    if let Some(violation) = &report.violation {
                        if arguments.keep_going {
                            println!("seed {}: {}: {}", report.seed, violation.invariant, violation.what);
                        } else if !failed.swap(true, Ordering::Relaxed) {
                            tell_failure(&report, Options::default(), false);
                        }
                    }
                }
            });
        }
    });
    let (totals, _) = totals.into_inner().expect("nobody panics with the totals");
    totals.tell(began.elapsed());
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
    fn tell(&self, took: Duration) {
        println!(
            "{} seeds in {:.1} s, {} broke a rule: {} simulated hours, {} happenings, {} commits, {} tasks that ran, {} requests",
            self.seeds,
            took.as_secs_f64(),
            self.broken,
            self.seeds,
            self.happenings,
            self.commits,
            self.tasks,
            self.requests
        );
    }
}

/// Runs seeds with each bug until it is found.
fn find_planted(planted: &[Planted], arguments: &Arguments) -> bool {
    let (from, count) = (arguments.from.unwrap_or(1), arguments.seeds.unwrap_or(1000));
    let mut all_found = true;
    for planted in planted {
        let options = Options { planted: Some(*planted) };
        let found =
            (from..from + count).map(|seed| run(seed, options)).find(|report| report.violation.is_some());
        match found {
            Some(Report { seed, violation: Some(violation), .. }) => println!(
                "{:<24} found by seed {seed}, the {}. of {count}: {} ({})",
                planted.name(),
                seed - from + 1,
                violation.invariant,
                violation.what
            ),
            _ => {
                all_found = false;
                println!("{:<24} NOT FOUND within {count} seeds", planted.name());
            }
        }
    }
    all_found
}
