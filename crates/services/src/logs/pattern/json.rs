//! Members of an event that is JSON: `{ $.status >= 500 && $.request.path != "/health" }`.

use serde_json::Value as Json;

use super::expression::Expression;
use super::value::{Comparison, Operand};
use super::{Cursor, PatternError};

/// Wildcards of one selector, and of all of a pattern's.
const SELECTOR_WILDCARDS_MAX: usize = 1;
const PATTERN_WILDCARDS_MAX: usize = 3;

#[derive(Debug)]
pub(super) struct Condition {
    selector: Vec<Step>,
    test: Test,
}

#[derive(Debug)]
enum Step {
    Member(String),
    Item(usize),
    AnyMember,
    AnyItem,
}

#[derive(Debug)]
enum Test {
    Compare(Comparison),
    Is(Json),
    NotExists,
}

/// How many of what a pattern may have few of were seen.
#[derive(Default)]
struct Counts {
    regexes: usize,
    wildcards: usize,
}

pub(super) fn parse(text: &str) -> Result<Expression<Condition>, PatternError> {
    let mut cursor = Cursor::new(text);
    let mut counts = Counts::default();
    let expression = Expression::parse(&mut cursor, &mut |cursor| condition(cursor, &mut counts))?;
    if cursor.is_at_end() { Ok(expression) } else { Err(cursor.unexpected()) }
}

pub(super) fn matches(expression: &Expression<Condition>, message: &str) -> bool {
    // A line that cannot be JSON costs no parse.
    if !message.trim_start().starts_with(['{', '[']) {
        return false;
    }
    match serde_json::from_str::<Json>(message) {
        Ok(document) => expression.holds(&|condition| condition.holds(&document)),
        Err(_) => false,
    }
}

fn condition(cursor: &mut Cursor<'_>, counts: &mut Counts) -> Result<Condition, PatternError> {
    let selector = selector(cursor, counts)?;
    cursor.skip_space();
    let test = if cursor.take_word("IS") {
        cursor.skip_space();
        let values = [("NULL", Json::Null), ("TRUE", Json::Bool(true)), ("FALSE", Json::Bool(false))];
        let value = values.into_iter().find(|(word, _)| cursor.take_word(word));
        Test::Is(value.ok_or_else(|| cursor.unexpected())?.1)
    } else if cursor.take_word("NOT") {
        cursor.skip_space();
        if !cursor.take_word("EXISTS") {
            return Err(cursor.unexpected());
        }
        Test::NotExists
    } else {
        Test::Compare(Comparison::parse(cursor, "()&|{}", &mut counts.regexes)?)
    };
    Ok(Condition { selector, test })
}

fn selector(cursor: &mut Cursor<'_>, counts: &mut Counts) -> Result<Vec<Step>, PatternError> {
    cursor.expect("$")?;
    let mut steps = Vec::new();
    loop {
        let step = if cursor.take(".") {
            match cursor.peek() {
                Some('*') => {
                    cursor.take("*");
                    Step::AnyMember
                }
                Some('[') => bracket(cursor)?,
                _ => match cursor.take_while(|next| next.is_alphanumeric() || "_-".contains(next)) {
                    "" => return Err(cursor.unexpected()),
                    name => Step::Member(name.to_owned()),
                },
            }
        } else if cursor.peek() == Some('[') {
            bracket(cursor)?
        } else {
            break;
        };
        steps.push(step);
    }
    if steps.is_empty() {
        return Err(cursor.unexpected());
    }
    let wildcards = steps.iter().filter(|step| matches!(step, Step::AnyItem | Step::AnyMember)).count();
    counts.wildcards += wildcards;
    if wildcards > SELECTOR_WILDCARDS_MAX || counts.wildcards > PATTERN_WILDCARDS_MAX {
        return Err(PatternError::new(format!(
            "A selector has at most {SELECTOR_WILDCARDS_MAX} wildcard, and a pattern at most {PATTERN_WILDCARDS_MAX}"
        )));
    }
    Ok(steps)
}

/// `[0]`, `[*]` or `['a.b']`.
fn bracket(cursor: &mut Cursor<'_>) -> Result<Step, PatternError> {
    cursor.expect("[")?;
    let step = match cursor.peek() {
        Some(quote @ ('\'' | '"')) => Step::Member(cursor.quoted(quote)?),
        Some('*') => {
            cursor.take("*");
            Step::AnyItem
        }
        _ => {
            let digits = cursor.take_while(|next| next.is_ascii_digit());
            Step::Item(digits.parse().map_err(|_| cursor.unexpected())?)
        }
    };
    cursor.expect("]")?;
    Ok(step)
}

impl Condition {
    fn holds(&self, document: &Json) -> bool {
        match &self.test {
            Test::NotExists => !reaches(document, &self.selector, &|_| true),
            Test::Is(wanted) => reaches(document, &self.selector, &|value| value == wanted),
            Test::Compare(comparison) => {
                reaches(document, &self.selector, &|value| compare(comparison, value))
            }
        }
    }
}

/// Whether the selector leads to a value that passes the test.
fn reaches(value: &Json, steps: &[Step], test: &dyn Fn(&Json) -> bool) -> bool {
    let Some((step, rest)) = steps.split_first() else { return test(value) };
    let goes_on = |next: &Json| reaches(next, rest, test);
    match step {
        Step::Member(name) => value.get(name.as_str()).is_some_and(goes_on),
        Step::Item(index) => value.as_array().and_then(|items| items.get(*index)).is_some_and(goes_on),
        Step::AnyItem => value.as_array().is_some_and(|items| items.iter().any(goes_on)),
        Step::AnyMember => value.as_object().is_some_and(|members| members.values().any(goes_on)),
    }
}

/// Objects, lists and null are not compared with anything.
fn compare(comparison: &Comparison, value: &Json) -> bool {
    let text = match value {
        Json::Null | Json::Array(_) | Json::Object(_) => return false,
        Json::String(text) => return compare_text(comparison, text),
        Json::Bool(truth) => truth.to_string(),
        Json::Number(number) => match (&comparison.operand, number.as_f64()) {
            (Operand::Text(glob), Some(number)) if glob.number.is_some() => {
                return comparison.holds_for_number(number, glob.number.unwrap_or_default());
            }
            _ => number.to_string(),
        },
    };
    match &comparison.operand {
        Operand::Text(glob) if glob.is_quoted && !glob.is_anything() => comparison.equality(false),
        Operand::Text(glob) => comparison.equality(glob.matches(&text)),
        Operand::Regex(regex) => comparison.equality(regex.is_match(text.as_bytes())),
    }
}

/// A JSON text is no number, whatever it looks like; it equals one that is written in the same way.
fn compare_text(comparison: &Comparison, text: &str) -> bool {
    match &comparison.operand {
        Operand::Text(glob) => comparison.equality(glob.matches(text)),
        Operand::Regex(regex) => comparison.equality(regex.is_match(text.as_bytes())),
    }
}
