//! What every encoder shares.

use std::fmt;

use crate::decode::kind_name;
use crate::shape::Shape;

/// A handler's answer that is not of its shape: our own mistake, which the caller sees as an internal failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EncodeError {
    path: Vec<String>,
    expected: &'static str,
}

impl EncodeError {
    pub(crate) fn mismatch(shape: &Shape) -> Self {
        Self { path: Vec::new(), expected: kind_name(&shape.kind) }
    }
    pub(crate) fn inside(mut self, step: impl Into<Step>) -> Self {
        self.path.insert(0, step.into().0);
        self
    }
}

/// A member's name, a map's key, or a list's number.
pub(crate) struct Step(String);

impl From<&str> for Step {
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl From<&String> for Step {
    fn from(key: &String) -> Self {
        Self(key.clone())
    }
}

impl From<usize> for Step {
    fn from(number: usize) -> Self {
        Self(number.to_string())
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was expected at '{}' of the answer", self.expected, self.path.join("."))
    }
}
