//! What a person reads when a command fails.

use std::fmt;

/// What was attempted, why it failed, what to do next.
#[derive(Debug)]
pub(crate) struct Failure {
    attempted: String,
    cause: String,
    next: String,
}

impl Failure {
    pub(crate) fn new(
        attempted: impl Into<String>,
        cause: impl fmt::Display,
        next: impl Into<String>,
    ) -> Self {
        Self { attempted: attempted.into(), cause: cause.to_string(), next: next.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (red, bold, reset) =
            if crate::logging::colour_wanted() { ("\x1b[1;31m", "\x1b[1m", "\x1b[0m") } else { ("", "", "") };
        writeln!(f, "{red}gantry:{reset} {} failed: {}", self.attempted, self.cause)?;
        writeln!(f, "{bold}next:{reset}   {}", self.next)
    }
}
