//! Words: splitting at blanks, quotes, escapes and variables, as Dockerfiles have them.

/// Looks a variable up.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Replaces variables and takes quotes and escapes off: one word in, one word out.
pub(super) fn expand(word: &str, escape: char, lookup: Lookup<'_>) -> Result<String, String> {
    let mut expander = Expander { rest: word, escape, lookup, depth: 0 };
    let expanded = expander.until(None)?;
    check_length(&expanded)?;
    Ok(expanded)
}

/// Splits at blanks outside quotes; quotes and escapes stay.
pub(super) fn split(text: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match quote {
            None if character.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            None if character == '"' || character == '\'' => quote = Some(character),
            Some(open) if character == open => quote = None,
            _ if character == escape && quote != Some('\'') => {
                // An escape character at the very end escapes nothing.
                let Some(next) = characters.next() else { continue };
                word.push(character);
                word.push(next);
                continue;
            }
            _ => {}
        }
        word.push(character);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

struct Expander<'a> {
    rest: &'a str,
    escape: char,
    lookup: Lookup<'a>,
    depth: usize,
}

/// Variables that double themselves would fill the memory. Linux takes no longer argument or variable anyway.
const EXPANDED_BYTES_MAX: usize = 128 * 1024;

fn check_length(word: &str) -> Result<(), String> {
    if word.len() > EXPANDED_BYTES_MAX {
        return Err(format!(
            "a word has more than {EXPANDED_BYTES_MAX} bytes when its variables are replaced"
        ));
    }
    Ok(())
}

/// Variables inside the defaults of variables.
const DEPTH_MAX: usize = 32;

impl Expander<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }
    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.rest = &self.rest[next.len_utf8()..];
        Some(next)
    }

    /// Up to and without `stop`, or to the end.
    fn until(&mut self, stop: Option<char>) -> Result<String, String> {
        let mut word = String::new();
        while let Some(character) = self.next() {
            match character {
                _ if Some(character) == stop => return Ok(word),
                '\'' => self.single_quoted(&mut word)?,
                '"' => self.double_quoted(&mut word)?,
                '$' => {
                    word.push_str(&self.variable()?);
                    check_length(&word)?;
                }
                _ if character == self.escape => word.extend(self.next()),
                _ => word.push(character),
            }
        }
        match stop {
            None => Ok(word),
            Some(stop) => Err(format!("{stop} is missing at the end of a variable")),
        }
    }

    fn single_quoted(&mut self, word: &mut String) -> Result<(), String> {
        loop {
            match self.next() {
                Some('\'') => return Ok(()),
                Some(character) => word.push(character),
                None => return Err("a single quote is not closed".into()),
            }
        }
    }

    fn double_quoted(&mut self, word: &mut String) -> Result<(), String> {
        loop {
            match self.next() {
                Some('"') => return Ok(()),
                Some('$') => {
                    word.push_str(&self.variable()?);
                    check_length(word)?;
                }
                Some(character) if character == self.escape => match self.next() {
                    Some(next) if next == '"' || next == '$' || next == self.escape => word.push(next),
                    Some(next) => word.extend([character, next]),
                    None => return Err("a double quote is not closed".into()),
                },
                Some(character) => word.push(character),
                None => return Err("a double quote is not closed".into()),
            }
        }
    }

    /// What stands for the variable whose `$` was read.
    fn variable(&mut self) -> Result<String, String> {
        if self.peek() != Some('{') {
            let name = self.name();
            return Ok(if name.is_empty() { "$".into() } else { (self.lookup)(&name).unwrap_or_default() });
        }
        self.next();
        let name = self.name();
        if name.is_empty() {
            return Err("a variable without a name, ${...}".into());
        }
        let value = (self.lookup)(&name);
        let Some(mut operator) = self.next() else {
            return Err(format!("}} is missing after ${{{name}"));
        };
        if operator == '}' {
            return Ok(value.unwrap_or_default());
        }
        // With a colon, an empty value counts as none.
        let value = if operator == ':' {
            operator = self.next().unwrap_or(' ');
            value.filter(|value| !value.is_empty())
        } else {
            value
        };
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("variables inside variables, more than {DEPTH_MAX} deep"));
        }
        let result = match operator {
            '-' => {
                let word = self.until(Some('}'))?;
                Ok(value.unwrap_or(word))
            }
            '+' => {
                let word = self.until(Some('}'))?;
                Ok(if value.is_some() { word } else { String::new() })
            }
            '?' => {
                let word = self.until(Some('}'))?;
                let message = if word.is_empty() { "it is not set" } else { &word };
                value.ok_or_else(|| format!("variable {name}: {message}"))
            }
            other => Err(format!(
                "${{{name}{other}...}} is not supported: of the modifiers of variables, -, + and ? are, with or \
                 without a colon"
            )),
        };
        self.depth -= 1;
        result
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(character) = self.peek() {
            let fits = character == '_' || character.is_ascii_alphabetic();
            if !fits && !character.is_ascii_digit() {
                break;
            }
            name.push(character);
            self.next();
            // Of a name that begins with a digit, only that digit: $10 is $1 and a 0.
            if name.len() == 1 && character.is_ascii_digit() {
                break;
            }
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "x" => Some("value".into()),
            "two" => Some("a b".into()),
            "empty" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn variables_and_quotes_are_replaced() {
        #[rustfmt::skip]
        let table = [
            ("plain", "plain"), ("$x", "value"), ("${x}", "value"), ("a$x/b", "avalue/b"), ("a${x}b", "avalueb"),
            ("$none", ""), ("${none}", ""), ("$", "$"), ("a$", "a$"), ("$/", "$/"), ("$1x", "x"), ("$xy", ""),
            ("${x:-y}", "value"), ("${none:-y}", "y"), ("${empty:-y}", "y"), ("${empty-y}", ""), ("${none-y}", "y"),
            ("${x:+y}", "y"), ("${none:+y}", ""), ("${empty:+y}", ""), ("${empty+y}", "y"), ("${none+y}", ""),
            ("${none:-${x}}", "value"), ("${none:-a${none:-b}c}", "abc"), ("${none:-'}'}", "}"),
            ("${x:?no}", "value"), ("${empty?no}", ""), ("${none:-$two}", "a b"), ("$two", "a b"),
            ("'$x'", "$x"), ("\"$x\"", "value"), ("\"a b\"c", "a bc"), ("'a'\"b\"c", "abc"), ("''", ""),
            ("\\$x", "$x"), ("\\a", "a"), ("\\\\", "\\"), ("\"\\$x\"", "$x"), ("\"\\a\"", "\\a"),
            ("\"\\\"\"", "\""), ("'\\'", "\\"), ("\\", ""), ("ü$x", "üvalue"),
        ];
        for (word, expected) in table {
            assert_eq!(expand(word, '\\', &lookup).as_deref(), Ok(expected), "{word}");
        }
        assert_eq!(expand("`$x\\", '`', &lookup).as_deref(), Ok("$x\\"));
    }

    #[test]
    fn what_is_no_word_says_why() {
        #[rustfmt::skip]
        let table = [
            ("'a", "single quote"), ("\"a", "double quote"), ("\"a\\", "double quote"), ("${x", "missing after ${x"),
            ("${", "without a name"), ("${}", "without a name"), ("${-x}", "without a name"), ("${x:-a", "is missing"),
            ("${x#a}", "not supported"), ("${x:}", "not supported"), ("${x:", "not supported"),
            ("${none?}", "variable none: it is not set"), ("${none:?give one}", "variable none: give one"),
            ("${empty:?x y}", "variable empty: x y"),
        ];
        for (word, expected) in table {
            let error = expand(word, '\\', &lookup).expect_err(word);
            assert!(error.contains(expected), "{word} gives: {error}");
        }
        let long = |_: &str| Some("x".repeat(100_000));
        assert!(expand("$x", '\\', &long).is_ok());
        for word in ["$x$x", "\"$x$x\"", "${y:-$x$x}"] {
            assert!(
                expand(word, '\\', &|name| (name == "x").then(|| long(name)).flatten()).is_err(),
                "{word}"
            );
        }
        let deep = format!("{}x{}", "${none:-".repeat(100), "}".repeat(100));
        assert!(expand(&deep, '\\', &lookup).unwrap_err().contains("deep"));
    }

    #[test]
    fn words_are_split_at_blanks_outside_quotes() {
        #[rustfmt::skip]
        let table: &[(&str, &[&str])] = &[
            ("", &[]), ("  ", &[]), ("a b", &["a", "b"]), (" a\t b ", &["a", "b"]),
            ("a='b c' d", &["a='b c'", "d"]), ("a=\"b \\\" c\" d", &["a=\"b \\\" c\"", "d"]),
            ("a=b\\ c d", &["a=b\\ c", "d"]), ("a='\\' b", &["a='\\'", "b"]), ("a\\", &["a"]), ("'a b", &["'a b"]),
        ];
        for (text, expected) in table {
            assert_eq!(split(text, '\\'), *expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[ax{}$:\\-+?'\"\\\\ ü]{0,40}") {
            let _ = expand(&text, '\\', &lookup);
            let words = split(&text, '\\');
            prop_assert!(words.iter().all(|word| !word.is_empty()));
        }

        #[test]
        fn a_word_in_single_quotes_is_left_alone(text in "[^']{0,40}") {
            prop_assert_eq!(expand(&format!("'{text}'"), '\\', &lookup), Ok(text));
        }
    }
}
