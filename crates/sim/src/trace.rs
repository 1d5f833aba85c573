//! What happened, line by line. Lines are made only where somebody reads them: a seed that fails is run again for its last ones.

use std::collections::VecDeque;

use crate::agenda::At;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tracing {
    Off,
    /// The last lines are kept.
    Last(usize),
    /// Each line is printed as it happens.
    Printed,
}

#[derive(Debug)]
pub(crate) struct Trace {
    tracing: Tracing,
    lines: VecDeque<String>,
    /// Of all that happened: equal for equal stories.
    fingerprint: u64,
}

impl Trace {
    pub(crate) fn new(tracing: Tracing) -> Self {
        Self { tracing, lines: VecDeque::new(), fingerprint: 0xcbf2_9ce4_8422_2325 }
    }
    pub(crate) fn is_on(&self) -> bool {
        self.tracing != Tracing::Off
    }
    pub(crate) fn line(&mut self, at: At, text: &str) {
        let line = format!("{:>4}.{:03} {text}", at / 1000, at % 1000);
        match self.tracing {
            Tracing::Off => {}
            Tracing::Printed => println!("{line}"),
            Tracing::Last(limit) => {
                self.lines.push_back(line);
                if self.lines.len() > limit {
                    self.lines.pop_front();
                }
            }
        }
    }
    pub(crate) fn mix(&mut self, number: u64) {
        self.fingerprint = (self.fingerprint ^ number).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    }
    pub(crate) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }
    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.into()
    }
}

/// Writes a line of the trace, if there is one.
macro_rules! trace {
    ($world:expr, $($format:tt)+) => {
        if $world.trace.is_on() {
            let text = format!($($format)+);
            let at = $world.agenda.now();
            $world.trace.line(at, &text);
        }
    };
}
pub(crate) use trace;
