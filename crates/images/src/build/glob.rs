//! Patterns of COPY sources and of .dockerignore.

/// A pattern over a path whose parts are joined by `/`. `*` and `?` never match a slash; `**` matches any number of
/// directories if the pattern is made for .dockerignore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Glob(Vec<Token>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    One(char),
    AnyOne,
    /// Any number of characters but slashes.
    Any,
    /// Any number of whole directories, each with its slash.
    AnyDirectories,
    /// Everything that follows.
    Everything,
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// The characters of a path; where it is not UTF-8, the broken parts are replaced.
pub(super) fn characters(path: &[u8]) -> Vec<char> {
    String::from_utf8_lossy(path).chars().collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stars {
    Single,
    /// `**` is known too.
    Double,
}

impl Glob {
    /// A pattern of one part of a path, for COPY.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        Self::compile(pattern, Stars::Single)
    }
    /// A pattern of a whole path, for .dockerignore.
    pub(super) fn deep(pattern: &str) -> Result<Self, String> {
        Self::compile(pattern, Stars::Double)
    }
    /// Whether the text has any character that makes it a pattern.
    pub(super) fn is_pattern(text: &str) -> bool {
        text.contains(['*', '?', '[', '\\'])
    }

    fn compile(pattern: &str, stars: Stars) -> Result<Self, String> {
        let malformed = || format!("{pattern:?} is not a valid pattern");
        let text: Vec<char> = pattern.chars().collect();
        let mut tokens = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let character = text[at];
            at += 1;
            match character {
                '*' if stars == Stars::Double && text.get(at) == Some(&'*') => {
                    at += text[at..].iter().take_while(|next| **next == '*').count();
                    if text.get(at) == Some(&'/') {
                        at += 1;
                    }
                    tokens.push(if at == text.len() { Token::Everything } else { Token::AnyDirectories });
                }
                '*' => {
                    if tokens.last() != Some(&Token::Any) {
                        tokens.push(Token::Any);
                    }
                }
                '?' => tokens.push(Token::AnyOne),
                '[' => {
                    let (class, after) = class(&text, at).ok_or_else(malformed)?;
                    tokens.push(class);
                    at = after;
                }
                '\\' => {
                    tokens.push(Token::One(*text.get(at).ok_or_else(malformed)?));
                    at += 1;
                }
                other => tokens.push(Token::One(other)),
            }
        }
        Ok(Self(tokens))
    }

    /// In time proportional to the product of both lengths, whatever the pattern.
    pub(super) fn matches(&self, path: &[char]) -> bool {
        // reachable[i]: the tokens so far match the first i characters.
        let mut reachable = vec![false; path.len() + 1];
        reachable[0] = true;
        for token in &self.0 {
            let mut next = vec![false; path.len() + 1];
            match token {
                Token::Any => {
                    let mut open = false;
                    for at in 0..=path.len() {
                        open = reachable[at] || (open && at > 0 && path[at - 1] != '/');
                        next[at] = open;
                    }
                }
                Token::AnyDirectories => {
                    let mut open = false;
                    for at in 0..=path.len() {
                        next[at] = reachable[at] || (open && at > 0 && path[at - 1] == '/');
                        open |= reachable[at];
                    }
                }
                Token::Everything => {
                    let mut open = false;
                    for at in 0..=path.len() {
                        open |= reachable[at];
                        next[at] = open;
                    }
                }
                one => {
                    for at in 0..path.len() {
                        next[at + 1] = reachable[at] && one.matches_one(path[at]);
                    }
                }
            }
            reachable = next;
            if !reachable.contains(&true) {
                return false;
            }
        }
        reachable[path.len()]
    }
}

impl Token {
    fn matches_one(&self, character: char) -> bool {
        match self {
            Self::One(expected) => character == *expected,
            Self::AnyOne => character != '/',
            Self::Class { negated, ranges } => {
                character != '/'
                    && ranges.iter().any(|(low, high)| (*low..=*high).contains(&character)) != *negated
            }
            Self::Any | Self::AnyDirectories | Self::Everything => false,
        }
    }
}

/// What stands between brackets, and where it ends.
fn class(text: &[char], mut at: usize) -> Option<(Token, usize)> {
    let negated = text.get(at) == Some(&'^');
    at += usize::from(negated);
    let mut ranges = Vec::new();
    let single = |at: &mut usize| -> Option<char> {
        let escaped = text.get(*at) == Some(&'\\');
        *at += usize::from(escaped);
        let character = *text.get(*at)?;
        if !escaped && (character == '-' || character == ']') {
            return None;
        }
        *at += 1;
        Some(character)
    };
    loop {
        if text.get(at) == Some(&']') && !ranges.is_empty() {
            return Some((Token::Class { negated, ranges }, at + 1));
        }
        let low = single(&mut at)?;
        let mut high = low;
        if text.get(at) == Some(&'-') {
            at += 1;
            high = single(&mut at)?;
        }
        ranges.push((low, high));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_match_as_in_go() {
        #[rustfmt::skip]
        let table = [
            ("abc", "abc", true), ("abc", "ab", false), ("*", "abc", true), ("*", "", true), ("*", "a/b", false),
            ("*c", "abc", true), ("a*", "a", true), ("a*", "abc", true), ("a*", "ab/c", false), ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false), ("a*b*c*d*e*", "axbxcxdxe", true), ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false), ("ab[c]", "abc", true), ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false), ("ab[^c]", "abc", false), ("ab[^b-d]", "abc", false), ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true), ("a\\*b", "ab", false), ("a?b", "a/b", false), ("a[^a]b", "a/b", false),
            ("[a-ζ]*", "α", true), ("*[a-ζ]", "A", false), ("a?c", "abc", true), ("[\\]a]", "]", true),
            ("[\\-]", "-", true), ("[x\\-]", "x", true), ("[x\\-]", "z", false), ("*x", "xxx", true), ("a?c", "aüc", true),
        ];
        for (pattern, path, expected) in table {
            assert_eq!(
                Glob::new(pattern).unwrap().matches(&characters(path.as_bytes())),
                expected,
                "{pattern} {path}"
            );
        }
        for pattern in ["[", "[^", "[]", "[]a]", "[-]", "[x-]", "[-x]", "a\\", "a[", "[a-b-c]"] {
            assert!(Glob::new(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn two_stars_match_directories() {
        #[rustfmt::skip]
        let table = [
            ("**", "file", true), ("**", "a/b", true), ("**/", "a", true), ("**/x", "x", true), ("**/x", "a/b/x", true),
            ("**/x", "ax", false), ("a/**", "a/b/c", true), ("a/**", "ab", false), ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true), ("a/**/b", "ab", false), ("a**", "abc/d", true), ("a**b", "ab", true),
            ("a**b", "ax/b", true), ("a**b", "axb", false), ("**/*.go", "a/b/c.go", true), ("*.go", "a/c.go", false),
            ("**/dist/*.js", "x/dist/a.js", true), ("**/dist/*.js", "dist/a.js", true), ("***", "a/b", true),
        ];
        for (pattern, path, expected) in table {
            assert_eq!(
                Glob::deep(pattern).unwrap().matches(&characters(path.as_bytes())),
                expected,
                "{pattern} {path}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_path_matches_itself_when_escaped(path in "[a-z*?\\[\\]\\\\/-]{0,30}") {
            let escaped: String = path.chars().flat_map(|character| ['\\', character]).collect();
            prop_assert!(Glob::new(&escaped).unwrap().matches(&characters(path.as_bytes())));
        }

        #[test]
        fn no_pattern_takes_long_or_panics(pattern in "[a*?\\[\\]^/-]{0,60}", path in "[a/]{0,200}") {
            if let Ok(glob) = Glob::deep(&pattern) {
                glob.matches(&characters(path.as_bytes()));
            }
        }
    }
}
