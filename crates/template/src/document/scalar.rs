//! Scalars: what a text without quotes means, and what a value looks like as text.
//!
//! CloudFormation hands every scalar on as text, so nothing of the text may be lost: a number becomes a number only
//! when it is written back exactly as it stood. `0123`, `1.10` and `1e3` stay text.

use std::borrow::Cow;

use gantry_types::Value;

/// A YAML scalar without quotes, by YAML 1.1's rules but without its dates, which CloudFormation keeps as text.
pub(super) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Value::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Value::Bool(false),
        _ => number(text),
    }
}

/// A number if it comes back as it was written, else the text.
pub(super) fn number(text: &str) -> Value {
    if let Ok(number) = text.parse::<i64>()
        && number.to_string() == text
    {
        return Value::Int(number);
    }
    let looks_like_a_fraction =
        text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-')) && text.contains('.');
    if looks_like_a_fraction
        && let Ok(number) = text.parse::<f64>()
        && number.is_finite()
        && number.to_string() == text
    {
        return Value::Float(number);
    }
    Value::String(text.to_owned())
}

/// A scalar as the text that CloudFormation hands on; nothing for lists and objects.
pub fn text_of(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Bool(truth) => Some(Cow::Borrowed(if *truth { "true" } else { "false" })),
        Value::Int(number) => Some(Cow::Owned(number.to_string())),
        Value::Float(number) => Some(Cow::Owned(number.to_string())),
        Value::Null | Value::Blob(_) | Value::Timestamp(_) | Value::List(_) | Value::Map(_) => None,
    }
}

/// Whether two values are the same for a stack: `80` and `"80"` are.
pub fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::List(left), Value::List(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Map(left), Value::Map(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|((left_key, left), (right_key, right))| left_key == right_key && same(left, right))
        }
        _ => left == right || text_of(left).is_some_and(|left| Some(left) == text_of(right)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_number_is_lost() {
        for text in [
            "0",
            "-7",
            "80",
            "0.5",
            "-2.25",
            "9007199254740993",
            "0123",
            "012345678901",
            "1.10",
            "1.0",
            "1e3",
            "+5",
            "0x1F",
            "1_000",
            "-0",
            ".5",
            "99999999999999999999",
            "2012-10-17",
            "1.2.3",
            "-",
            ".",
        ] {
            assert_eq!(text_of(&plain(text)).as_deref(), Some(text));
        }
        assert_eq!(plain("80"), Value::Int(80));
        assert_eq!(plain("0.5"), Value::Float(0.5));
        assert_eq!(plain("0123"), Value::from("0123"));
    }

    #[test]
    fn truths_are_those_of_yaml_1_1() {
        for text in ["true", "Yes", "ON"] {
            assert_eq!(plain(text), Value::Bool(true), "{text}");
        }
        for text in ["false", "no", "Off"] {
            assert_eq!(plain(text), Value::Bool(false), "{text}");
        }
        assert_eq!(plain("y"), Value::from("y"));
        assert_eq!(plain("~"), Value::Null);
    }

    #[test]
    fn a_number_is_the_same_as_its_text() {
        assert!(same(&Value::from(80i64), &Value::from("80")));
        assert!(same(&Value::from(true), &Value::from("true")));
        assert!(!same(&Value::from(80i64), &Value::from("080")));
        assert!(!same(&Value::List(vec![]), &Value::map()));
        assert!(same(&Value::from(vec![1i64]), &Value::from(vec!["1"])));
    }
}
