//! `.dockerignore`: which files of a build context do not exist for the build.

use std::path::Path;

use super::error::BuildError;
use super::glob::{Glob, characters};

/// The patterns in their order; the last one that matches decides.
#[derive(Clone, Debug, Default)]
pub(super) struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug)]
struct Pattern {
    glob: Glob,
    /// `!pattern`: what matches is taken after all.
    exception: bool,
}

impl Ignore {
    pub(super) fn parse(text: &str, path: &Path) -> Result<Self, BuildError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut patterns = Vec::new();
        for (at, line) in text.lines().enumerate() {
            if line.starts_with('#') {
                continue;
            }
            let line = line.trim();
            let (exception, pattern) = match line.strip_prefix('!') {
                Some(pattern) => (true, pattern.trim()),
                None => (false, line),
            };
            let fail = |message| BuildError::Ignore { path: path.to_owned(), line: at + 1, message };
            if pattern.is_empty() {
                if exception {
                    return Err(fail("an exclamation mark needs a pattern".into()));
                }
                continue;
            }
            let cleaned = clean(pattern);
            // The context itself is always there.
            if cleaned.is_empty() {
                continue;
            }
            patterns.push(Pattern { glob: Glob::deep(&cleaned).map_err(fail)?, exception });
        }
        Ok(Self { patterns })
    }

    /// Whether the file or directory itself is left out. A pattern that matches a directory matches all below it.
    pub(super) fn excludes(&self, path: &[u8]) -> bool {
        let path = characters(path);
        let mut excluded = false;
        for pattern in &self.patterns {
            // A pattern that could change nothing need not be tried.
            if pattern.exception == excluded && pattern.matches_with_parents(&path) {
                excluded = !pattern.exception;
            }
        }
        excluded
    }

    /// Whether something below an excluded directory may exist nevertheless.
    pub(super) fn has_exceptions(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern.exception)
    }
}

impl Pattern {
    fn matches_with_parents(&self, path: &[char]) -> bool {
        let slashes = path.iter().enumerate().filter(|(_, character)| **character == '/');
        let mut parents = slashes.map(|(at, _)| &path[..at]);
        self.glob.matches(path) || parents.any(|parent| self.glob.matches(parent))
    }
}

/// Without `.`, empty parts and a leading slash; `..` takes a part away.
fn clean(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Ignore, BuildError> {
        Ignore::parse(text, Path::new(".dockerignore"))
    }

    #[test]
    fn files_are_left_out_as_docker_does() {
        #[rustfmt::skip]
        let table: &[(&str, &[&str], &[&str])] = &[
            ("", &[], &["a", "a/b"]),
            ("# a\n\n  \n", &[], &["a", "# a"]),
            ("a", &["a", "a/b", "a/b/c"], &["b", "b/a", "ab"]),
            ("/a/", &["a", "a/b"], &["b/a"]),
            ("./a/../b", &["b"], &["a"]),
            ("*", &["a", "a/b"], &[]),
            ("*/temp*", &["x/temp", "x/temporary/y"], &["temp", "x/y/temp"]),
            ("*/*/temp*", &["x/y/temp.txt"], &["x/temp.txt"]),
            ("temp?", &["tempa", "tempb/x"], &["temp", "temp/a"]),
            ("**/*.go", &["a.go", "x/y/a.go"], &["a.goo"]),
            ("**/node_modules", &["node_modules/x", "a/node_modules/b"], &["a/node_module"]),
            ("*.md\n!README.md", &["a.md"], &["README.md"]),
            ("*.md\n!README*.md\nREADME-secret.md", &["a.md", "README-secret.md"], &["README.md", "README-x.md"]),
            ("*.md\nREADME-secret.md\n!README*.md", &["a.md"], &["README-secret.md"]),
            ("*\n!src", &["a", "a/src"], &["src", "src/a/b"]),
            ("*\n!src/a/**\nsrc/a/b", &["src/x", "src/a/b/c"], &["src/a/c"]),
            ("a\n!a/b", &["a", "a/c"], &["a/b", "a/b/c"]),
            ("[ab].txt", &["a.txt", "b.txt"], &["c.txt"]),
            ("\\!a", &["!a"], &["a"]),
            (".", &[], &["a"]),
            (" a ", &["a"], &[]),
            ("\u{feff}a\r\nb\r\n", &["a", "b"], &["c"]),
        ];
        for (text, excluded, taken) in table {
            let ignore = parse(text).unwrap();
            for path in *excluded {
                assert!(ignore.excludes(path.as_bytes()), "{text:?} takes {path}");
            }
            for path in *taken {
                assert!(!ignore.excludes(path.as_bytes()), "{text:?} excludes {path}");
            }
        }
    }

    #[test]
    fn a_bad_pattern_is_told_with_its_line() {
        let error = parse("a\n\n[b").unwrap_err().to_string();
        assert_eq!(error, "line 3 of .dockerignore: \"[b\" is not a valid pattern");
        assert!(parse("!").is_err());
    }

    proptest! {
        #[test]
        fn what_lies_below_an_excluded_directory_is_excluded(
            lines in prop::collection::vec("[ab*]{1,3}(/[ab*]{1,3})?", 1..4),
            path in "[ab]{1,2}(/[ab]{1,2}){0,2}",
        ) {
            let ignore = parse(&lines.join("\n")).unwrap();
            if ignore.excludes(path.as_bytes()) {
                let below = format!("{path}/b");
                prop_assert!(ignore.excludes(below.as_bytes()));
            }
        }

        #[test]
        fn an_exception_for_everything_takes_everything(
            lines in prop::collection::vec("[ab*]{1,3}", 0..4),
            path in "[ab]{1,2}(/[ab]{1,2}){0,2}",
        ) {
            let ignore = parse(&format!("{}\n!**", lines.join("\n"))).unwrap();
            prop_assert!(!ignore.excludes(path.as_bytes()));
        }
    }
}
