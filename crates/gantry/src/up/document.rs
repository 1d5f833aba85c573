//! Reading answers: a member that is not there is as good as an empty one.

use gantry_types::Value;

/// A member's text, empty where there is none.
pub(crate) fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value.get(member).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn list<'v>(value: &'v Value, member: &str) -> &'v [Value] {
    value.get(member).map(Value::as_list).unwrap_or_default()
}

pub(crate) fn number(value: &Value, member: &str) -> i64 {
    value.get(member).and_then(Value::as_i64).unwrap_or_default()
}

pub(crate) fn time(value: &Value, member: &str) -> Option<gantry_types::Timestamp> {
    match value.get(member) {
        Some(Value::Timestamp(at)) => Some(*at),
        _ => None,
    }
}

/// A list of one text.
pub(crate) fn one(item: &str) -> Value {
    Value::List(vec![item.into()])
}
