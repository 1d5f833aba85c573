//! AWS's patterns: `*` stands for any number of characters, `?` for exactly one.

/// Whether a pattern tells upper from lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    Sensitive,
    /// ASCII letters match in either case.
    Insensitive,
}

/// A compiled pattern. Text that comes from the network need not be UTF-8, so it matches bytes; `?` stands for one
/// character, which is one byte or one whole UTF-8 sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<Part>,
    case: Case,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Byte(u8),
    One,
    Many,
}

impl Pattern {
    pub fn new(text: &str, case: Case) -> Self {
        Self::compile(text, case, false)
    }

    /// A pattern in which `\*`, `\?` and `\\` stand for the characters themselves, as in header and query conditions.
    pub fn with_escapes(text: &str, case: Case) -> Self {
        Self::compile(text, case, true)
    }

    fn compile(text: &str, case: Case, escapes: bool) -> Self {
        let mut parts = Vec::with_capacity(text.len());
        let mut bytes = text.bytes().peekable();
        while let Some(byte) = bytes.next() {
            let part = match byte {
                b'\\' if escapes => match bytes.next_if(|next| matches!(next, b'*' | b'?' | b'\\')) {
                    Some(escaped) => Part::Byte(escaped),
                    None => Part::Byte(b'\\'),
                },
                b'*' if parts.last() == Some(&Part::Many) => continue,
                b'*' => Part::Many,
                b'?' => Part::One,
                other => Part::Byte(fold(other, case)),
            };
            parts.push(part);
        }
        Self { parts, case }
    }

    /// Whether the whole text matches.
    ///
    /// Only the last `*` is ever tried again: what an earlier one could take more of, the later one takes as well.
    pub fn matches(&self, text: &[u8]) -> bool {
        let (mut part, mut at) = (0, 0);
        let mut last_many: Option<(usize, usize)> = None;
        loop {
            let step = match self.parts.get(part) {
                Some(Part::Many) => {
                    last_many = Some((part, at));
                    part += 1;
                    continue;
                }
                Some(Part::One) => character_length(&text[at..]),
                Some(Part::Byte(byte)) if text.get(at).map(|b| fold(*b, self.case)) == Some(*byte) => 1,
                Some(Part::Byte(_)) => 0,
                None if at == text.len() => return true,
                None => 0,
            };
            if step > 0 {
                part += 1;
                at += step;
                continue;
            }
            let Some((many, taken_to)) = last_many else { return false };
            let more = character_length(&text[taken_to..]);
            if more == 0 {
                return false;
            }
            last_many = Some((many, taken_to + more));
            part = many + 1;
            at = taken_to + more;
        }
    }
}

fn fold(byte: u8, case: Case) -> u8 {
    match case {
        Case::Sensitive => byte,
        Case::Insensitive => byte.to_ascii_lowercase(),
    }
}

/// How many bytes the first character has: a whole UTF-8 sequence, one byte of anything else, 0 at the end.
fn character_length(text: &[u8]) -> usize {
    let length = match text.first() {
        None => return 0,
        Some(0xc2..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf4) => 4,
        Some(_) => return 1,
    };
    match text.get(1..length) {
        Some(rest) if rest.iter().all(|byte| byte & 0xc0 == 0x80) => length,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_match_whole_texts() {
        let cases: &[(&str, &str, bool)] = &[
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything/at/all", true),
            ("?", "", false),
            ("?", "é", true),
            ("??", "é", false),
            ("/img/*", "/img/", true),
            ("/img/*", "/img", false),
            ("/img/*/pics", "/img/a/b/pics", true),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "example.com", false),
            ("*a*b", "xaxbxab", true),
            ("*a*b", "xaxbxa", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*/todos*", "/u/todos/1", true),
            ("**", "x", true),
            ("\\*", "\\anything", true),
        ];
        for (pattern, text, expected) in cases {
            let compiled = Pattern::new(pattern, Case::Sensitive);
            assert_eq!(compiled.matches(text.as_bytes()), *expected, "{pattern:?} on {text:?}");
        }
    }

    #[test]
    fn case_counts_only_where_it_shall() {
        assert!(Pattern::new("WWW.*.com", Case::Insensitive).matches(b"www.Example.COM"));
        assert!(!Pattern::new("/A", Case::Sensitive).matches(b"/a"));
    }

    #[test]
    fn an_escaped_wildcard_is_itself() {
        let pattern = Pattern::with_escapes(r"a\*b\?\\*", Case::Insensitive);
        assert!(pattern.matches(br"A*b?\tail"));
        assert!(!pattern.matches(br"axb?\"));
    }

    #[test]
    fn many_stars_on_a_long_text_end_soon() {
        let pattern = Pattern::new(&"*a".repeat(60), Case::Sensitive);
        assert!(!pattern.matches("a".repeat(59).as_bytes()));
        assert!(!pattern.matches("ab".repeat(8000).as_bytes()));
    }

    /// The definition, word by word; too slow for use.
    fn by_definition(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|taken| by_definition(rest, &text[taken..])),
            Some((b'?', rest)) => !text.is_empty() && by_definition(rest, &text[1..]),
            Some((byte, rest)) => text.first() == Some(byte) && by_definition(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn matching_is_what_the_definition_says(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            let compiled = Pattern::new(&pattern, Case::Sensitive);
            prop_assert_eq!(compiled.matches(text.as_bytes()), by_definition(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn any_bytes_are_taken(pattern in ".{0,20}", text in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Pattern::with_escapes(&pattern, Case::Insensitive).matches(&text);
        }
    }
}
