//! `AllowedPattern`: a regular expression that the whole value has to match, in Java's language as far as ours goes.

use regex::RegexBuilder;

use crate::limits::{PATTERN_BYTES_MAX, PATTERN_STEPS_MAX};

#[derive(Debug, Clone)]
pub(super) struct Pattern {
    /// As it is written.
    pub(super) text: String,
    compiled: Compiled,
}

#[derive(Debug, Clone)]
enum Compiled {
    Linear(regex::Regex),
    /// With look-around or back-references: it tries, and gives up after [`PATTERN_STEPS_MAX`].
    Backtracking(Box<fancy_regex::Regex>),
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Pattern {
    pub(super) fn compile(text: String) -> Option<Self> {
        let compiled = linear(&text)
            .map(Compiled::Linear)
            .or_else(|| backtracking(&text).map(|compiled| Compiled::Backtracking(Box::new(compiled))))?;
        Some(Self { text, compiled })
    }

    /// Nothing if the value makes the pattern try too long.
    pub(super) fn matches(&self, value: &str) -> Option<bool> {
        match &self.compiled {
            Compiled::Linear(compiled) => Some(compiled.is_match(value)),
            Compiled::Backtracking(compiled) => compiled.is_match(value).ok(),
        }
    }
}

fn whole(text: &str) -> String {
    format!("^(?:{text})$")
}

/// The text has to be a pattern by itself too, so that it cannot close the group around it.
fn linear(text: &str) -> Option<regex::Regex> {
    let build = |text: &str| RegexBuilder::new(text).size_limit(PATTERN_BYTES_MAX).build().ok();
    build(text)?;
    build(&whole(text))
}

fn backtracking(text: &str) -> Option<fancy_regex::Regex> {
    let build = |text: &str| {
        fancy_regex::RegexBuilder::new(text)
            .backtrack_limit(PATTERN_STEPS_MAX)
            .delegate_size_limit(PATTERN_BYTES_MAX)
            .build()
            .ok()
    };
    build(text)?;
    build(&whole(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_value_has_to_match() {
        for (pattern, value, expected) in [
            ("[a-z]+", "abc", Some(true)),
            ("[a-z]+", "abc1", Some(false)),
            ("a|b", "ab", Some(false)),
            ("^a$", "a", Some(true)),
            ("[a-zA-Z0-9-_]+", "a-_", Some(true)),
            ("(?=.*[A-Z])(?=.*[0-9]).{8,}", "Passw0rdX", Some(true)),
            ("(?=.*[A-Z])(?=.*[0-9]).{8,}", "password", Some(false)),
            ("(?!-)[a-z-]*", "-a", Some(false)),
            ("(a|b)\\1", "aa", Some(true)),
            ("(a|b)\\1", "ab", Some(false)),
        ] {
            assert_eq!(
                Pattern::compile(pattern.to_owned()).unwrap().matches(value),
                expected,
                "{pattern} {value}"
            );
        }
    }

    #[test]
    fn what_is_no_pattern_or_takes_too_long_is_refused() {
        for pattern in ["(", "a)|(b", "[", "*", "((a{1,100}){1,100}){1,100}"] {
            assert!(Pattern::compile(pattern.to_owned()).is_none(), "{pattern}");
        }
        let slow = Pattern::compile("(?=a)(a|a|a)+b\\1".to_owned()).unwrap();
        assert_eq!(slow.matches(&"a".repeat(4000)), None);
    }
}
