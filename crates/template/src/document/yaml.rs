//! YAML, built from the parser's events so that every rule of CloudFormation's YAML is ours to keep: no aliases, no
//! merges, no keys but scalars, short forms of functions, and a budget for all of it.

use std::collections::BTreeMap;

use gantry_types::Value;
use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::budget::Budget;
use super::scalar;
use super::tag::{Tag, tag, wrap};
use crate::error::{Result, TemplateError, format, function};

pub(super) fn read(text: &str) -> Result<Value> {
    let mut budget = Budget::default();
    let mut open: Vec<Open> = Vec::new();
    let mut document = None;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| malformed(error.marker().line(), error.marker().col()))?;
        let value = match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => continue,
            Event::DocumentStart(_) => {
                if document.is_some() {
                    return Err(malformed_at(&span));
                }
                continue;
            }
            Event::Alias(_) => return function("YAML aliases are not allowed in CloudFormation templates"),
            Event::SequenceStart(_, given) => {
                budget.node()?;
                budget.enter()?;
                open.push(Open { tag: read_tag(given.as_deref(), &span)?, kind: Kind::List(Vec::new()) });
                continue;
            }
            Event::MappingStart(_, given) => {
                budget.node()?;
                budget.enter()?;
                let kind = Kind::Map { members: BTreeMap::new(), key: None };
                open.push(Open { tag: read_tag(given.as_deref(), &span)?, kind });
                continue;
            }
            Event::Scalar(text, style, _, given) => {
                budget.node()?;
                let given = read_tag(given.as_deref(), &span)?;
                if let Some(Open { kind: Kind::Map { members, key: key @ None }, .. }) = open.last_mut() {
                    *key = Some(member_name(&text, style, given.as_ref(), members, &span)?);
                    continue;
                }
                scalar_value(&text, style, given.as_ref())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                budget.leave();
                open.pop().ok_or_else(|| malformed_at(&span))?.close()
            }
        };
        match open.last_mut() {
            None => document = Some(value),
            Some(parent) => parent.add(value, &span)?,
        }
    }
    Ok(document.unwrap_or_default())
}

/// A list or an object whose end has not come.
struct Open {
    tag: Option<Tag>,
    kind: Kind,
}

enum Kind {
    List(Vec<Value>),
    Map { members: BTreeMap<String, Value>, key: Option<String> },
}

impl Open {
    fn add(&mut self, value: Value, span: &Span) -> Result<()> {
        match &mut self.kind {
            Kind::List(items) => items.push(value),
            Kind::Map { members, key } => match key.take() {
                Some(key) => {
                    members.insert(key, value);
                }
                // A list or an object stands where a name belongs.
                None => {
                    let what = if matches!(value, Value::List(_)) { "a list" } else { "a map" };
                    return format(format!(
                        "map keys must be strings; received {what} instead (line {}, column {})",
                        span.start.line(),
                        span.start.col() + 1
                    ));
                }
            },
        }
        Ok(())
    }

    fn close(self) -> Value {
        let value = match self.kind {
            Kind::List(items) => Value::List(items),
            Kind::Map { members, .. } => Value::Map(members),
        };
        match self.tag {
            Some(Tag::Function(name)) => wrap(name, value),
            _ => value,
        }
    }
}

/// A key is its text, whatever it looks like: `2012-10-17`, `443`, `on`.
fn member_name(
    text: &str,
    style: ScalarStyle,
    given: Option<&Tag>,
    members: &BTreeMap<String, Value>,
    span: &Span,
) -> Result<String> {
    let position = format!("(line {}, column {})", span.start.line(), span.start.col() + 1);
    if matches!(given, Some(Tag::Function(_))) {
        return format(format!("map keys must be strings; received a map instead {position}"));
    }
    if text == "<<" && style == ScalarStyle::Plain {
        return format(format!("YAML hash merges are not allowed in CloudFormation templates {position}"));
    }
    if members.contains_key(text) {
        return format(format!("Duplicate key '{text}' {position}"));
    }
    Ok(text.to_owned())
}

fn scalar_value(text: &str, style: ScalarStyle, given: Option<&Tag>) -> Value {
    let written = || Value::String(text.to_owned());
    let value = if style == ScalarStyle::Plain && given != Some(&Tag::Text) {
        scalar::plain(text)
    } else {
        written()
    };
    match given {
        // `!GetAZs` with nothing behind it means the empty text, as `!GetAZs ""` does.
        Some(Tag::Function(name)) if value.is_null() => wrap(name, written()),
        Some(Tag::Function(name)) => wrap(name, value),
        _ => value,
    }
}

fn read_tag(given: Option<&saphyr_parser::Tag>, span: &Span) -> Result<Option<Tag>> {
    let Some(given) = given else { return Ok(None) };
    match tag(&given.handle, &given.suffix) {
        Tag::Unknown => format(format!(
            "Unsupported tag {}{} (line {}, column {})",
            given.handle,
            given.suffix,
            span.start.line(),
            span.start.col() + 1
        )),
        known => Ok(Some(known)),
    }
}

fn malformed_at(span: &Span) -> TemplateError {
    malformed(span.start.line(), span.start.col())
}

fn malformed(line: usize, column: usize) -> TemplateError {
    TemplateError::Format(format!("YAML not well-formed. (line {line}, column {})", column + 1))
}
