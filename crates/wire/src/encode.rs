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
    pub(crate) fn inside(mut self, step: impl ToString) -> Self {
        self.path.insert(0, step.to_string());
        self
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was expected at '{}' of the answer", self.expected, self.path.join("."))
    }
}
