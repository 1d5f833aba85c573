//! Fields of an event that is divided by spaces: `[address, user, ..., status = 5*, bytes > 1000]`.

use super::expression::Expression;
use super::value::Comparison;
use super::{Cursor, PatternError};

/// An event with more fields than this matches nothing.
const FIELDS_MAX: usize = 10_000;

#[derive(Debug)]
pub(super) struct Fields(Vec<Item>);

#[derive(Debug)]
enum Item {
    /// Any number of fields.
    Rest,
    /// One field; a name alone takes any.
    Field(Option<Expression<Comparison>>),
}

pub(super) fn parse(text: &str) -> Result<Fields, PatternError> {
    let mut cursor = Cursor::new(text);
    let mut regexes = 0;
    let mut items = Vec::new();
    loop {
        cursor.skip_space();
        items.push(if cursor.take("...") { Item::Rest } else { field(&mut cursor, &mut regexes)? });
        cursor.skip_space();
        if cursor.is_at_end() {
            return Ok(Fields(items));
        }
        cursor.expect(",")?;
    }
}

/// A name, and what is asked of its field. Every condition of an item is about the same field.
fn field(cursor: &mut Cursor<'_>, regexes: &mut usize) -> Result<Item, PatternError> {
    let mut own: Option<String> = None;
    let mut is_bare = false;
    let expression = Expression::parse(cursor, &mut |cursor| {
        let name = cursor.take_while(|next| next.is_alphanumeric() || "_-$.".contains(next));
        let known = own.get_or_insert_with(|| name.to_owned());
        if name.is_empty() || known != name {
            return Err(if name.is_empty() { cursor.unexpected() } else { PatternError::character(name) });
        }
        cursor.skip_space();
        if cursor.is_at_end() || cursor.peek() == Some(',') {
            is_bare = true;
            return Ok(None);
        }
        Comparison::parse(cursor, ",()&|", regexes).map(Some)
    })?;
    match expression {
        Expression::Condition(None) => Ok(Item::Field(None)),
        // A name alone beside conditions asks nothing.
        _ if is_bare => Err(cursor.unexpected()),
        expression => Ok(Item::Field(Some(whole(expression)))),
    }
}

/// No condition is missing any more.
fn whole(expression: Expression<Option<Comparison>>) -> Expression<Comparison> {
    let all = |parts: Vec<Expression<Option<Comparison>>>| parts.into_iter().map(whole).collect();
    match expression {
        Expression::Condition(Some(comparison)) => Expression::Condition(comparison),
        Expression::Condition(None) => Expression::All(vec![]),
        Expression::All(parts) => Expression::All(all(parts)),
        Expression::Any(parts) => Expression::Any(all(parts)),
    }
}

impl Fields {
    /// Finds a place for each item. Where `...` stands, the fewest fields that do are left out, and more where the rest
    /// finds no place: it is enough to go back to the last `...`.
    pub(super) fn matches(&self, message: &str) -> bool {
        let Some(fields) = split(message) else { return false };
        let items = &self.0;
        let (mut item, mut field) = (0, 0);
        let mut last_rest: Option<(usize, usize)> = None;
        while field < fields.len() {
            match items.get(item) {
                Some(Item::Rest) => {
                    last_rest = Some((item, field));
                    item += 1;
                }
                Some(Item::Field(wanted)) if admits(wanted.as_ref(), fields[field]) => {
                    item += 1;
                    field += 1;
                }
                _ => match last_rest {
                    Some((rest, skipped)) => {
                        last_rest = Some((rest, skipped + 1));
                        item = rest + 1;
                        field = skipped + 1;
                    }
                    None => return false,
                },
            }
        }
        items[item..].iter().all(|item| matches!(item, Item::Rest))
    }
}

fn admits(wanted: Option<&Expression<Comparison>>, field: &str) -> bool {
    wanted.is_none_or(|expression| expression.holds(&|comparison| comparison.holds_for_text(field)))
}

/// The fields: between spaces, and what stands in brackets or quotes as one, without them.
fn split(message: &str) -> Option<Vec<&str>> {
    let mut fields = Vec::new();
    let mut rest = message.trim_start();
    while !rest.is_empty() {
        if fields.len() == FIELDS_MAX {
            return None;
        }
        let close = match rest.as_bytes()[0] {
            b'[' => Some(']'),
            b'"' => Some('"'),
            _ => None,
        };
        let enclosed = close.and_then(|close| rest[1..].split_once(close));
        let (field, behind) = enclosed.or_else(|| rest.split_once(char::is_whitespace)).unwrap_or((rest, ""));
        fields.push(field);
        rest = behind.trim_start();
    }
    Some(fields)
}
