//! The program itself: what it prints, and how it ends.

use std::process::{Command, Output};

fn simulation(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gantry-sim")).args(words).output().expect("the program runs")
}

#[test]
fn a_seed_without_a_failure_ends_well_and_always_tells_the_same() {
    let (first, second) = (simulation(&["--seed", "7"]), simulation(&["--seed", "7"]));
    assert!(first.status.success(), "{first:?}");
    assert_eq!(first, second, "another process tells the same story");
    assert!(String::from_utf8_lossy(&first.stdout).contains("fingerprint"), "{first:?}");
}

#[test]
fn a_word_that_is_no_option_ends_with_the_usage() {
    let output = simulation(&["--seeed", "7"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("--seeed is no option") && text.contains("Usage:"), "{text}");
}
