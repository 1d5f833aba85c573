//! What every decoder shares: its error, and scalars that arrive as text.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use gantry_types::Value;

use crate::shape::{Kind, Shape, TimeFormat};
use crate::time_format;

/// Clients differ in whether they pad.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Bytes that do not have the form of their shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DecodeError {
    /// Where, in the request's own names; empty for the whole body.
    pub(crate) path: String,
    pub(crate) problem: String,
    /// The text that could not be read, where it is one.
    pub(crate) text: Option<String>,
}

impl DecodeError {
    pub(crate) fn body(problem: impl Into<String>) -> Self {
        Self { path: String::new(), problem: problem.into(), text: None }
    }
    pub(crate) fn at(path: &str, problem: impl Into<String>) -> Self {
        Self { path: path.to_owned(), problem: problem.into(), text: None }
    }
}

/// A scalar that stands as text in a form, an XML element, a header or a path.
pub(crate) fn scalar_from_text(
    shape: &Shape,
    text: &str,
    format: TimeFormat,
    path: &str,
) -> Result<Value, DecodeError> {
    let value = match shape.kind {
        Kind::String(_) => Some(Value::String(text.to_owned())),
        Kind::Boolean => boolean(text),
        Kind::Integer => text.trim().parse::<i32>().ok().map(Value::from),
        Kind::Long => text.trim().parse::<i64>().ok().map(Value::from),
        Kind::Float | Kind::Double => float(text.trim()),
        Kind::Blob => BASE64.decode(text.trim()).ok().map(Value::Blob),
        Kind::Timestamp(own) => time_format::parse(text.trim(), format.or(own)).map(Value::Timestamp),
        Kind::Structure(_) | Kind::Union(_) | Kind::List { .. } | Kind::Map { .. } | Kind::Document => None,
    };
    value.ok_or_else(|| DecodeError {
        path: path.to_owned(),
        problem: format!("{} was expected", kind_name(&shape.kind)),
        text: Some(text.to_owned()),
    })
}

fn boolean(text: &str) -> Option<Value> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("true") {
        Some(Value::Bool(true))
    } else if text.eq_ignore_ascii_case("false") {
        Some(Value::Bool(false))
    } else {
        None
    }
}

/// Rust's own parser also takes `inf` and `nan`, which no AWS client sends.
pub(crate) fn float(text: &str) -> Option<Value> {
    match text {
        "NaN" => Some(Value::Float(f64::NAN)),
        "Infinity" => Some(Value::Float(f64::INFINITY)),
        "-Infinity" => Some(Value::Float(f64::NEG_INFINITY)),
        _ if text.bytes().any(|byte| byte.is_ascii_alphabetic() && !byte.eq_ignore_ascii_case(&b'e')) => None,
        _ => text.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Float),
    }
}

pub(crate) fn kind_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Structure(_) | Kind::Union(_) => "a structure",
        Kind::List { .. } => "a list",
        Kind::Map { .. } => "a map",
        Kind::String(_) => "a string",
        Kind::Boolean => "a boolean",
        Kind::Integer => "an integer",
        Kind::Long => "a long",
        Kind::Float | Kind::Double => "a number",
        Kind::Blob => "base64",
        Kind::Timestamp(_) => "a timestamp",
        Kind::Document => "a document",
    }
}
