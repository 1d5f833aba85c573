//! Filter patterns: which events a caller wants.
//!
//! Three languages behind one door. `{ .. }` compares members of an event that is JSON ([`json`]); `[ .. ]` compares the
//! fields of an event that is divided by spaces ([`fields`]); everything else are words that an event has or has not
//! ([`words`]). Comparisons are case-sensitive. A pattern is parsed once and matched often; matching takes time in
//! proportion to the event and never fails.

mod cursor;
mod expression;
mod fields;
mod json;
mod value;
mod words;

use std::fmt;

use self::cursor::Cursor;
use self::expression::Expression;

/// The longest pattern, in characters.
const CHARACTERS_MAX: usize = 1024;

/// A parsed filter pattern.
#[derive(Debug)]
pub(crate) struct Pattern(Kind);

#[derive(Debug)]
enum Kind {
    Everything,
    Words(words::Words),
    Json(Expression<json::Condition>),
    Fields(fields::Fields),
}

/// Why a text is no pattern, in AWS's words where they are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PatternError(String);

impl PatternError {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
    /// What stands there does not belong there.
    fn character(text: impl fmt::Display) -> Self {
        Self(format!("Invalid character(s) in term '{text}'"))
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Pattern {
    pub(crate) fn parse(text: &str) -> Result<Self, PatternError> {
        if text.chars().count() > CHARACTERS_MAX {
            return Err(PatternError::new(format!("A pattern has at most {CHARACTERS_MAX} characters")));
        }
        let text = text.trim();
        // A quoted space is how some clients say everything.
        if text.is_empty() || text == "\" \"" {
            return Ok(Self(Kind::Everything));
        }
        let kind = match text.as_bytes()[0] {
            b'{' => Kind::Json(json::parse(inside(text, '{', '}')?)?),
            b'[' => Kind::Fields(fields::parse(inside(text, '[', ']')?)?),
            _ => Kind::Words(words::parse(text)?),
        };
        Ok(Self(kind))
    }

    pub(crate) fn matches(&self, message: &str) -> bool {
        match &self.0 {
            Kind::Everything => true,
            Kind::Words(words) => words.matches(message),
            Kind::Json(expression) => json::matches(expression, message),
            Kind::Fields(fields) => fields.matches(message),
        }
    }
}

fn inside(text: &str, open: char, close: char) -> Result<&str, PatternError> {
    text.strip_prefix(open).and_then(|text| text.strip_suffix(close)).ok_or_else(|| {
        PatternError::new(format!("If a filter pattern starts with '{open}' it must end with '{close}'"))
    })
}

#[cfg(test)]
mod tests;
