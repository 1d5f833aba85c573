//! A test runner as small as these tests need: names to choose by, a few at once, all failures at the end.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::exit;
use std::sync::Mutex;
use std::time::Instant;

pub(crate) type Test = (&'static str, fn());

const AT_ONCE: usize = 3;

pub(crate) fn run(tests: &[Test], arguments: impl Iterator<Item = OsString>) {
    let words: Vec<String> = arguments.filter_map(|word| word.into_string().ok()).collect();
    let names: Vec<&String> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let chosen: Vec<Test> = tests
        .iter()
        .filter(|(name, _)| names.is_empty() || names.iter().any(|part| name.contains(part.as_str())))
        .copied()
        .collect();
    if words.iter().any(|word| word == "--list") {
        for (name, _) in &chosen {
            println!("{name}: test");
        }
        return;
    }
    assert!(
        rustix::process::geteuid().is_root(),
        "these tests start real containers: run them as root, or the crate's unit tests alone with --lib"
    );
    // The tests' words are the nodes' words too.
    let filter = std::env::var("GANTRY_LOG").unwrap_or_default();
    if !filter.is_empty() {
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
    let count = chosen.len();
    let waiting = Mutex::new(VecDeque::from(chosen));
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((name, test)) = { waiting.lock().unwrap().pop_front() } {
                    let began = Instant::now();
                    let passed = catch_unwind(AssertUnwindSafe(test)).is_ok();
                    let word = if passed { "ok" } else { "FAILED" };
                    println!("test {name} ... {word} ({} ms)", began.elapsed().as_millis());
                    if !passed {
                        failed.lock().unwrap().push(name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    println!("\ntest result: {} passed; {} failed {failed:?}", count - failed.len(), failed.len());
    if !failed.is_empty() {
        exit(101);
    }
}
