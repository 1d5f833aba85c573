use super::run;

/// What the command prints, and whether all was well.
fn output(words: &[&str]) -> (bool, String) {
    let mut bytes = Vec::new();
    let good = run(words.iter().map(|word| (*word).to_owned()), &mut bytes).expect("the words are options");
    (good, String::from_utf8(bytes).expect("lines of text"))
}

fn line_with<'t>(text: &'t str, part: &str) -> &'t str {
    text.lines().find(|line| line.contains(part)).unwrap_or_else(|| panic!("no line has {part:?}:\n{text}"))
}

#[test]
fn a_failure_names_the_rule_and_the_command_that_replays_it() {
    let (good, text) = output(&["--planted", "double-start", "--seeds", "20", "--jobs", "2"]);
    assert!(good, "{text}");
    assert!(text.contains("1 of 1 planted bugs were found"), "{text}");
    let (_, replay) = line_with(&text, "cargo run").split_once(" -- ").expect("arguments behind the dashes");
    let rule = "a container is started at most once";
    assert!(line_with(&text, "double-start").contains(rule), "{text}");

    // The printed command tells the same failure, and says itself how to see it again.
    let words: Vec<&str> = replay.split_whitespace().filter(|word| *word != "--trace").collect();
    let (good, told) = output(&words);
    assert!(!good, "{told}");
    assert!(line_with(&told, "broke a rule after").ends_with(rule), "{told}");
    assert!(line_with(&told, "replay: ").ends_with(line_with(&text, "cargo run").trim_start()), "{told}");
    assert!(told.lines().count() > 20, "the last lines of the story are there:\n{told}");
}

#[test]
fn the_lowest_seed_is_found_on_any_number_of_threads() {
    let found = |jobs| {
        let (_, text) =
            output(&["--planted", "double-start", "--from", "5", "--seeds", "30", "--jobs", jobs]);
        line_with(&text, "double-start").to_owned()
    };
    assert_eq!(found("1"), found("4"));
}

#[test]
fn a_bug_that_is_not_found_is_a_failure() {
    let (good, text) = output(&["--planted", "ignored-synced", "--seeds", "1", "--jobs", "1"]);
    assert!(!good, "{text}");
    assert!(text.contains("NOT FOUND within 1 seeds"), "{text}");
}

#[test]
fn clean_seeds_are_counted_and_begin_where_the_clock_says() {
    let (good, text) = output(&["--from", "11", "--seeds", "2", "--jobs", "2"]);
    assert!(good, "{text}");
    assert!(text.starts_with("seeds 11 to 12\n"), "{text}");
    assert!(text.contains("2 seeds in"), "{text}");

    let (good, text) = output(&["--seconds", "0", "--jobs", "1"]);
    assert!(good, "{text}");
    assert!(
        line_with(&text, "seeds in").starts_with("1 seeds in"),
        "one is run however short the time: {text}"
    );
    let words: Vec<&str> = line_with(&text, "seeds from").split_whitespace().collect();
    let from: u64 = words[2].parse().expect("the first seed is printed");
    assert!(from < super::SEED_END);
}

#[test]
fn what_is_no_option_is_refused() {
    for (words, part) in [
        (&["--sed", "1"][..], "--sed is no option"),
        (&["--seeds"], "--seeds needs a value"),
        (&["--seeds", "many"], "many is no number"),
        (&["--planted", "none"], "none is no planted bug; there are: skipped-compare-and-set"),
        (&["--planted", "all", "--seed", "1"], "name it"),
    ] {
        let refused = run(words.iter().map(|word| (*word).to_owned()), &mut Vec::new());
        assert!(refused.as_ref().is_err_and(|text| text.contains(part)), "{words:?}: {refused:?}");
    }
    assert!(output(&["--help"]).1.contains("Example:"));
}
