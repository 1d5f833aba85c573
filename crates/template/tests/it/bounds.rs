//! Templates that are made to hurt: time and memory stay within bounds.

use std::time::{Duration, Instant};

use gantry_template::{Template, limits};

use crate::stack::{Account, evaluate, parse};

/// Far above what a debug build takes, far below what an exponential or quadratic reading would.
const TIME_MAX: Duration = Duration::from_secs(10);

fn refused_in_time(text: &str, expected: &str) {
    let start = Instant::now();
    let error = Template::parse(text, limits::FETCHED_BODY_BYTES_MAX).expect_err("it is refused").to_string();
    assert!(error.contains(expected), "{error}");
    assert!(start.elapsed() < TIME_MAX, "{expected} took {:?}", start.elapsed());
}

#[test]
fn nesting_has_an_end() {
    let body_bytes = limits::FETCHED_BODY_BYTES_MAX - 100;
    for depth in [200, 10_000, body_bytes / 2] {
        refused_in_time(&format!("{{\"A\": {}", "[".repeat(depth)), "Nesting is deeper than maximum allowed");
        refused_in_time(&format!("A: {}{}", "[".repeat(depth), "]".repeat(depth)), "");
        refused_in_time(&format!("A:\n{}", "- ".repeat(depth)), "Nesting is deeper than maximum allowed");
        refused_in_time(&format!("A: {}", "{a: ".repeat(depth / 2)), "");
        refused_in_time(&format!("A:\n {}", "? ".repeat(depth)), "");
    }
    let nested = |depth: usize| {
        format!(
            "Resources: {{R: {{Type: T, Properties: {{P: {}{}}}}}}}",
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    assert!(parse(&nested(90)).is_ok());
    assert!(parse(&nested(200)).unwrap_err().to_string().contains("Nesting is deeper"));
}

#[test]
fn laughs_are_not_counted_in_billions() {
    let mut text = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, of) in "bcdefghi".chars().zip("abcdefgh".chars()) {
        text.push_str(&format!("{name}: &{name} [{}]\n", vec![format!("*{of}"); 9].join(", ")));
    }
    refused_in_time(&text, "YAML aliases are not allowed in CloudFormation templates");
    refused_in_time("a: &a [*a]\n", "YAML aliases are not allowed");
}

#[test]
fn many_small_values_have_an_end() {
    let bytes = limits::FETCHED_BODY_BYTES_MAX - 100;
    refused_in_time(
        &format!("{{\"A\": [{}1]}}", "1,".repeat(bytes / 2)),
        "Number of values is greater than maximum allowed",
    );
    refused_in_time(
        &format!("A: [{}1]", "1,".repeat(bytes / 2)),
        "Number of values is greater than maximum allowed",
    );
    refused_in_time(
        &format!("A:\n{}", "- 1\n".repeat(bytes / 4)),
        "Number of values is greater than maximum allowed",
    );
    refused_in_time(&format!("A: {{{}}}", "a,".repeat(bytes / 2)), "");
    refused_in_time(&format!("{}: a", "k".repeat(bytes)), "");
    refused_in_time(&format!("A: \"{}", "\\n".repeat(bytes / 2)), "YAML not well-formed");
    refused_in_time(&format!("A: {}", "'".repeat(bytes)), "");
    refused_in_time(&format!("A: {}", "!a ".repeat(bytes / 3)), "");
    refused_in_time(&format!("A: {}", "&a ".repeat(bytes / 3)), "");
    refused_in_time(&"#\n".repeat(bytes / 2), "unsupported structure");
    refused_in_time(&"---\n".repeat(bytes / 4), "");
    refused_in_time(&"%TAG ! a\n".repeat(bytes / 9), "");
    refused_in_time(&format!("a{}b: c", "\n ".repeat(bytes / 2)), "");
}

/// Each level doubles what the one below it wrote.
#[test]
fn functions_write_a_bounded_text() {
    let mut nested = "!Sub ['${N}${N}', {N: !Ref Big}]".to_owned();
    for _ in 0..30 {
        nested = format!("!Sub ['${{N}}${{N}}', {{N: {nested}}}]");
    }
    let joined = format!("!Join ['', [{}]]", vec!["!Ref Big"; 5000].join(", "));
    let repeated = format!("[{}]", vec!["!Ref Big"; 4500].join(", "));
    for value in [nested, joined, repeated] {
        let text = format!(
            "Parameters: {{Big: {{Type: String, Default: {}}}}}\nResources: {{R: {{Type: T, Properties: {{P: {value}}}}}}}\n",
            "x".repeat(4000)
        );
        let start = Instant::now();
        let error = Template::parse(&text, limits::FETCHED_BODY_BYTES_MAX)
            .and_then(|_| {
                let template = Template::parse(&text, limits::FETCHED_BODY_BYTES_MAX)?;
                let parameters = template.parameter_values(&Default::default(), &Default::default())?;
                gantry_template::Evaluation::new(template.into(), parameters, crate::stack::pseudo())
            })
            .and_then(|evaluation| evaluation.properties("R", &Account))
            .unwrap_err()
            .to_string();
        assert!(error.contains("functions write more than maximum allowed"), "{error}");
        assert!(start.elapsed() < TIME_MAX);
    }
}

/// 500 resources that all need each other's predecessors, and as many conditions in one long chain.
#[test]
fn the_largest_graphs_take_no_time() {
    let mut text = "Conditions:\n  C0: !Equals [a, a]\n".to_owned();
    for index in 1..500 {
        text.push_str(&format!("  C{index}: !Not [!Condition C{}]\n", index - 1));
    }
    text.push_str("Resources:\n  R0: {Type: T}\n");
    for index in 1..500 {
        let names: Vec<String> = (index.max(20) - 20..index).map(|other| format!("R{other}")).collect();
        text.push_str(&format!("  R{index}: {{Type: T, DependsOn: [{}]}}\n", names.join(", ")));
    }
    let start = Instant::now();
    let template = Template::parse(&text, limits::FETCHED_BODY_BYTES_MAX).unwrap();
    let evaluation =
        gantry_template::Evaluation::new(template.into(), Default::default(), crate::stack::pseudo())
            .unwrap();
    assert_eq!(evaluation.graph().order().len(), 500);
    assert!(evaluation.conditions()["C498"]);
    assert!(!evaluation.conditions()["C499"]);
    assert!(start.elapsed() < TIME_MAX);
}

#[test]
fn a_pattern_that_explodes_is_refused_and_one_that_backtracks_does_not() {
    let text = |pattern: &str| {
        format!(
            "Parameters: {{P: {{Type: String, AllowedPattern: '{pattern}'}}}}\nResources: {{R: {{Type: T}}}}\n"
        )
    };
    assert!(
        parse(&text("((a{1,100}){1,100}){1,100}"))
            .unwrap_err()
            .to_string()
            .contains("must be a valid regular expression")
    );
    let start = Instant::now();
    let value = format!("{}!", "a".repeat(4000));
    let error = evaluate(&text("(a+)+"), &[("P", &value)]).unwrap_err().to_string();
    assert!(error.contains("must match pattern"), "{error}");
    assert!(start.elapsed() < TIME_MAX);
}
