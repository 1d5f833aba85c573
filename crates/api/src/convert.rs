//! Typed structs from the canonical document, and back.

use std::collections::BTreeMap;
use std::fmt;

use gantry_types::{Timestamp, Value};

/// Reads a typed value out of a document. Members that the type does not know are passed over.
pub trait FromValue: Sized {
    fn from_value(value: &Value) -> Result<Self, Mismatch>;
}

/// Turns a typed value into a document; members that are `None` are left out.
pub trait IntoValue {
    fn into_value(self) -> Value;
}

/// Bytes, apart from a list of numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blob(pub Vec<u8>);

/// A document that is not of its type's shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The members on the way to the value, outermost first.
    pub path: Vec<&'static str>,
    pub expected: &'static str,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was expected at '{}'", self.expected, self.path.join("."))
    }
}

impl std::error::Error for Mismatch {}

fn expected<T>(expected: &'static str) -> Result<T, Mismatch> {
    Err(Mismatch { path: Vec::new(), expected })
}

/// A required member.
pub(crate) fn req<T: FromValue>(value: &Value, name: &'static str) -> Result<T, Mismatch> {
    match value.get(name) {
        Some(member) => read(member, name),
        None => Err(Mismatch { path: vec![name], expected: "a value" }),
    }
}

/// A member that may be absent.
pub(crate) fn opt<T: FromValue>(value: &Value, name: &'static str) -> Result<Option<T>, Mismatch> {
    match value.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(member) => read(member, name).map(Some),
    }
}

fn read<T: FromValue>(member: &Value, name: &'static str) -> Result<T, Mismatch> {
    T::from_value(member).map_err(|mut mismatch| {
        mismatch.path.insert(0, name);
        mismatch
    })
}

/// Collects the members of a structure.
pub(crate) struct Members(BTreeMap<String, Value>);

impl Members {
    pub(crate) fn new() -> Self {
        Self(BTreeMap::new())
    }
    pub(crate) fn put(&mut self, name: &'static str, value: impl IntoValue) {
        let value = value.into_value();
        if value != Value::Null {
            self.0.insert(name.to_owned(), value);
        }
    }
    pub(crate) fn finish(self) -> Value {
        Value::Map(self.0)
    }
}

macro_rules! scalars {
    ($($type:ty, $expected:literal, $read:pat => $out:expr, $value:ident => $into:expr;)*) => {$(
        impl FromValue for $type {
            fn from_value(value: &Value) -> Result<Self, Mismatch> {
                match value {
                    $read => Ok($out),
                    _ => expected($expected),
                }
            }
        }
        impl IntoValue for $type {
            fn into_value(self) -> Value {
                let $value = self;
                $into
            }
        }
    )*};
}

scalars! {
    String, "a string", Value::String(text) => text.clone(), text => Value::String(text);
    bool, "a boolean", Value::Bool(truth) => *truth, truth => Value::Bool(truth);
    i64, "an integer", Value::Int(number) => *number, number => Value::Int(number);
    Timestamp, "a timestamp", Value::Timestamp(at) => *at, at => Value::Timestamp(at);
    Blob, "a blob", Value::Blob(bytes) => Blob(bytes.clone()), blob => Value::Blob(blob.0);
}

impl FromValue for i32 {
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        value
            .as_i64()
            .and_then(|number| Self::try_from(number).ok())
            .map_or_else(|| expected("an integer"), Ok)
    }
}

impl IntoValue for i32 {
    fn into_value(self) -> Value {
        Value::Int(i64::from(self))
    }
}

impl FromValue for f64 {
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        match value {
            Value::Float(number) => Ok(*number),
            Value::Int(number) => Ok(*number as Self),
            _ => expected("a number"),
        }
    }
}

impl IntoValue for f64 {
    fn into_value(self) -> Value {
        Value::Float(self)
    }
}

impl FromValue for Value {
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        Ok(value.clone())
    }
}

impl IntoValue for Value {
    fn into_value(self) -> Value {
        self
    }
}

impl IntoValue for () {
    fn into_value(self) -> Value {
        Value::map()
    }
}

impl<T: FromValue> FromValue for Box<T> {
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        T::from_value(value).map(Self::new)
    }
}

impl<T: IntoValue> IntoValue for Box<T> {
    fn into_value(self) -> Value {
        (*self).into_value()
    }
}

impl<T: IntoValue> IntoValue for Option<T> {
    fn into_value(self) -> Value {
        self.map_or(Value::Null, T::into_value)
    }
}

impl<T: FromValue> FromValue for Vec<T> {
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        match value {
            Value::List(items) => items.iter().map(T::from_value).collect(),
            _ => expected("a list"),
        }
    }
}

impl<T: IntoValue> IntoValue for Vec<T> {
    fn into_value(self) -> Value {
        Value::List(self.into_iter().map(T::into_value).collect())
    }
}

impl<T: FromValue> FromValue for BTreeMap<String, T> {
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        match value {
            Value::Map(entries) => {
                entries.iter().map(|(key, value)| Ok((key.clone(), T::from_value(value)?))).collect()
            }
            _ => expected("a map"),
        }
    }
}

impl<T: IntoValue> IntoValue for BTreeMap<String, T> {
    fn into_value(self) -> Value {
        Value::Map(self.into_iter().map(|(key, value)| (key, value.into_value())).collect())
    }
}
