//! What a condition compares with.

use regex::bytes::{Regex, RegexBuilder};

use super::{Cursor, PatternError};

/// Regular expressions of one pattern of conditions.
const REGEXES_MAX: usize = 2;
/// Compiled bytes of one: repetitions in a short text may become large.
const REGEX_BYTES_MAX: usize = 1 << 20;
/// What may stand in a regular expression beside letters and digits.
const REGEX_SYMBOLS: &str = "_#=@/;,-:^$?[]{}|\\*+.";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
}

#[derive(Debug)]
pub(super) enum Operand {
    Text(Glob),
    Regex(Regex),
}

/// A text in which `*` stands for any characters; without quotes it may also be a number.
#[derive(Debug)]
pub(super) struct Glob {
    /// What stands between the stars: one part where there are none.
    parts: Vec<String>,
    pub(super) number: Option<f64>,
    pub(super) is_quoted: bool,
}

/// An operator with what stands behind it.
#[derive(Debug)]
pub(super) struct Comparison {
    pub(super) operator: Operator,
    pub(super) operand: Operand,
}

impl Comparison {
    /// Reads an operator and a value. `ends` says which characters end a value without quotes, beside white space.
    pub(super) fn parse(
        cursor: &mut Cursor<'_>,
        ends: &str,
        regexes: &mut usize,
    ) -> Result<Self, PatternError> {
        let operator = operator(cursor)?;
        cursor.skip_space();
        let operand = match cursor.peek() {
            Some('%') => {
                *regexes += 1;
                if *regexes > REGEXES_MAX {
                    return Err(PatternError::new(format!("A pattern has at most {REGEXES_MAX} regexes")));
                }
                Operand::Regex(regex(cursor.percent()?)?)
            }
            Some('"') => Operand::Text(Glob::new(&cursor.quoted('"')?, true)),
            _ => {
                let text = cursor.take_while(|next| !next.is_whitespace() && !ends.contains(next));
                if text.is_empty() {
                    return Err(cursor.unexpected());
                }
                Operand::Text(Glob::new(text, false))
            }
        };
        let is_ordering = !matches!(operator, Operator::Equal | Operator::NotEqual);
        let is_number = matches!(&operand, Operand::Text(Glob { number: Some(_), .. }));
        if is_ordering && !is_number {
            return Err(PatternError::new("Only numbers are greater or less than others"));
        }
        Ok(Self { operator, operand })
    }

    /// Compares a text that may be a number.
    pub(super) fn holds_for_text(&self, text: &str) -> bool {
        let number = || text.parse::<f64>().ok().filter(|number| number.is_finite());
        match &self.operand {
            Operand::Regex(regex) => self.equality(regex.is_match(text.as_bytes())),
            Operand::Text(glob) => match glob.number {
                Some(wanted) => match number() {
                    Some(number) => self.holds_for_number(number, wanted),
                    None => self.equality(false),
                },
                None => self.equality(glob.matches(text)),
            },
        }
    }

    pub(super) fn holds_for_number(&self, number: f64, wanted: f64) -> bool {
        match self.operator {
            Operator::Equal => number == wanted,
            Operator::NotEqual => number != wanted,
            Operator::Greater => number > wanted,
            Operator::Less => number < wanted,
            Operator::GreaterOrEqual => number >= wanted,
            Operator::LessOrEqual => number <= wanted,
        }
    }

    /// The outcome where there is no order, only the same or another.
    pub(super) fn equality(&self, is_equal: bool) -> bool {
        match self.operator {
            Operator::Equal => is_equal,
            Operator::NotEqual => !is_equal,
            Operator::Greater | Operator::Less | Operator::GreaterOrEqual | Operator::LessOrEqual => false,
        }
    }
}

fn operator(cursor: &mut Cursor<'_>) -> Result<Operator, PatternError> {
    const OPERATORS: [(&str, Operator); 6] = [
        ("!=", Operator::NotEqual),
        (">=", Operator::GreaterOrEqual),
        ("<=", Operator::LessOrEqual),
        ("=", Operator::Equal),
        (">", Operator::Greater),
        ("<", Operator::Less),
    ];
    for (token, operator) in OPERATORS {
        if cursor.take(token) {
            return Ok(operator);
        }
    }
    Err(cursor.unexpected())
}

impl Glob {
    fn new(text: &str, is_quoted: bool) -> Self {
        // `f64` also reads words such as inf and nan.
        let looks_numeric = text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first));
        let number = text.parse().ok().filter(|number: &f64| number.is_finite());
        Self {
            parts: text.split('*').map(str::to_owned).collect(),
            number: number.filter(|_| looks_numeric && !is_quoted),
            is_quoted,
        }
    }

    /// `*` alone: whatever there is.
    pub(super) fn is_anything(&self) -> bool {
        self.parts.len() > 1 && self.parts.iter().all(String::is_empty)
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        let [first, middle @ .., last] = self.parts.as_slice() else {
            return self.parts.first().is_some_and(|only| only == text);
        };
        let Some(mut rest) = text.strip_prefix(first.as_str()) else { return false };
        for part in middle {
            let Some(at) = rest.find(part.as_str()) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last.as_str())
    }
}

/// Compiles what stands between percent signs. It works on bytes and in linear time.
pub(super) fn regex(text: &str) -> Result<Regex, PatternError> {
    if text.is_empty() {
        return Err(PatternError::character("%%"));
    }
    let is_allowed = |character: char| character.is_ascii_alphanumeric() || REGEX_SYMBOLS.contains(character);
    if let Some(character) = text.chars().find(|character| !is_allowed(*character)) {
        return Err(PatternError::character(character));
    }
    RegexBuilder::new(text)
        .unicode(false)
        .size_limit(REGEX_BYTES_MAX)
        .build()
        .map_err(|_| PatternError::new(format!("Invalid regex '{text}'")))
}
