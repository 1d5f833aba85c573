//! Checks a decoded input against its shape's constraints.

use gantry_types::Value;

use crate::limits::{QUOTED_CHARACTERS_MAX, VIOLATIONS_MAX};
use crate::shape::{Kind, Member, Shape};

/// One broken constraint.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Violation {
    /// The members on the way, as the model names them; `member` stands for a list's element after its number.
    pub(crate) path: Vec<String>,
    /// The structure that the member belongs to; empty for an operation's own input.
    pub(crate) parent: &'static str,
    pub(crate) value: Found,
    pub(crate) constraint: Constraint,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Found {
    Null,
    Text(String),
    Secret,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Constraint {
    NotNull { of: Wanted },
    LengthMin(f64),
    LengthMax(f64),
    ValueMin(f64),
    ValueMax(f64),
    Pattern(&'static str),
    Enumeration(&'static [&'static str]),
    MapKey(Vec<Constraint>),
    MapValue(Vec<Constraint>),
}

/// What is missing, for services that word it by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    List,
    Other,
}

/// All violations of an operation's input, the first ten.
pub(crate) fn validate(shape: &'static Shape, input: &Value) -> Vec<Violation> {
    let mut check = Check { path: Vec::new(), violations: Vec::new() };
    check.structure(shape.members(), "", input);
    check.violations
}

struct Check {
    path: Vec<String>,
    violations: Vec<Violation>,
}

impl Check {
    fn structure(&mut self, members: &'static [Member], parent: &'static str, value: &Value) {
        for member in members {
            self.path.push(member.name.to_owned());
            match value.get(member.name) {
                Some(value) if !value.is_null() => self.value(member.shape, parent, value),
                _ if member.required => self.missing(member.shape, parent),
                _ => {}
            }
            self.path.pop();
        }
    }

    fn missing(&mut self, shape: &Shape, parent: &'static str) {
        let of = if matches!(shape.kind, Kind::List { .. }) { Wanted::List } else { Wanted::Other };
        self.report(parent, Found::Null, Constraint::NotNull { of });
    }

    fn report(&mut self, parent: &'static str, value: Found, constraint: Constraint) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(Violation { path: self.path.clone(), parent, value, constraint });
        }
    }

    fn value(&mut self, shape: &'static Shape, parent: &'static str, value: &Value) {
        for constraint in broken(shape, value) {
            self.report(parent, found(shape, value), constraint);
        }
        match (&shape.kind, value) {
            (Kind::Structure(members) | Kind::Union(members), Value::Map(_)) => {
                self.structure(members, shape.name, value);
            }
            (Kind::List { member, .. }, Value::List(items)) => {
                for (index, item) in items.iter().enumerate() {
                    self.path.extend([(index + 1).to_string(), "member".to_owned()]);
                    if item.is_null() {
                        self.missing(member, parent);
                    } else {
                        self.value(member, parent, item);
                    }
                    self.path.truncate(self.path.len() - 2);
                }
            }
            (Kind::Map { key, value: shape, .. }, Value::Map(entries)) => {
                for (name, item) in entries {
                    let keys = broken(key, &Value::String(name.clone()));
                    if !keys.is_empty() {
                        self.report(parent, found(key, value), Constraint::MapKey(keys));
                    }
                    if matches!(
                        shape.kind,
                        Kind::Structure(_) | Kind::Union(_) | Kind::List { .. } | Kind::Map { .. }
                    ) {
                        self.path.extend([name.clone(), "member".to_owned()]);
                        self.value(shape, parent, item);
                        self.path.truncate(self.path.len() - 2);
                    } else {
                        let values = broken(shape, item);
                        if !values.is_empty() {
                            self.report(parent, found(shape, value), Constraint::MapValue(values));
                        }
                    }
                }
            }
            _ => {}
        }
    }
}

/// The constraints of the shape itself that the value breaks.
fn broken(shape: &'static Shape, value: &Value) -> Vec<Constraint> {
    let mut broken = Vec::new();
    let (min, max) = (shape.min.unwrap_or(f64::NEG_INFINITY), shape.max.unwrap_or(f64::INFINITY));
    let length = match value {
        Value::String(text) if shape.min.is_some() || shape.max.is_some() => Some(text.chars().count()),
        Value::Blob(bytes) => Some(bytes.len()),
        Value::List(items) => Some(items.len()),
        Value::Map(entries) => Some(entries.len()),
        _ => None,
    };
    let number = match value {
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    };
    if let Some(length) = length.map(|length| length as f64) {
        if length < min {
            broken.push(Constraint::LengthMin(min));
        }
        if length > max {
            broken.push(Constraint::LengthMax(max));
        }
    }
    if let Some(number) = number {
        if number < min {
            broken.push(Constraint::ValueMin(min));
        }
        if number > max {
            broken.push(Constraint::ValueMax(max));
        }
    }
    if let Value::String(text) = value {
        if let Some(pattern) = shape.pattern.as_ref().filter(|pattern| !pattern.accepts(text)) {
            broken.push(Constraint::Pattern(pattern.text));
        }
        if let Kind::String(values) = shape.kind
            && !values.is_empty()
            && !values.contains(&text.as_str())
        {
            broken.push(Constraint::Enumeration(values));
        }
    }
    broken
}

fn found(shape: &Shape, value: &Value) -> Found {
    if shape.sensitive {
        return Found::Secret;
    }
    let mut text = String::new();
    quote(value, &mut text);
    if let Some((end, _)) = text.char_indices().nth(QUOTED_CHARACTERS_MAX) {
        text.truncate(end);
        text.push_str("...");
    }
    Found::Text(text)
}

/// As Java prints values: `[a, b]`, `{k=v}`.
fn quote(value: &Value, text: &mut String) {
    // What is beyond the limit is not worth the work.
    if text.len() > 4 * QUOTED_CHARACTERS_MAX {
        return;
    }
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(truth) => text.push_str(&truth.to_string()),
        Value::Int(number) => text.push_str(&number.to_string()),
        Value::Float(number) => text.push_str(&format!("{number:?}")),
        Value::String(own) => text.push_str(own),
        Value::Blob(bytes) => {
            text.push_str(&format!("java.nio.HeapByteBuffer[pos=0 lim={0} cap={0}]", bytes.len()));
        }
        Value::Timestamp(at) => text.push_str(&at.iso8601()),
        Value::List(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index > 0 { ", " } else { "" });
                quote(item, text);
            }
            text.push(']');
        }
        Value::Map(entries) => {
            text.push('{');
            for (index, (key, item)) in entries.iter().enumerate() {
                text.push_str(if index > 0 { ", " } else { "" });
                text.push_str(key);
                text.push('=');
                quote(item, text);
            }
            text.push('}');
        }
    }
}
