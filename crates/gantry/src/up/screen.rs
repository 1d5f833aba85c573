//! What a person sees: lines that stay, and on a terminal one line below them that changes.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// Output of one command. Everything goes to standard error but what other programs read.
pub(crate) struct Screen {
    begun: Instant,
    is_terminal: bool,
    colours: bool,
    status: Option<String>,
    /// When a CI log last got a line, so that long work is seen to go on.
    said: Instant,
}

/// How a line is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Bad,
    Quiet,
}

/// A CI log gets the status so often.
const STATUS_EVERY: Duration = Duration::from_secs(10);
/// Wide enough for the names of steps.
const LABEL_WIDTH: usize = 9;

impl Screen {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self {
            begun: now,
            is_terminal: std::io::stderr().is_terminal(),
            colours: crate::logging::colour_wanted(),
            status: None,
            said: now,
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// A step of the whole: its name, and what came of it.
    pub(crate) fn step(&mut self, label: &str, text: &str) {
        let (bold, reset) = if self.colours { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        self.print(&format!("{bold}{label:LABEL_WIDTH$}{reset} {text}"));
    }

    /// Something below a step.
    pub(crate) fn line(&mut self, tone: Tone, text: &str) {
        let colour = match tone {
            _ if !self.colours => "",
            Tone::Plain => "",
            Tone::Good => "\x1b[32m",
            Tone::Bad => "\x1b[31m",
            Tone::Quiet => "\x1b[2m",
        };
        let reset = if colour.is_empty() { "" } else { "\x1b[0m" };
        self.print(&format!("{:LABEL_WIDTH$} {colour}{text}{reset}", ""));
    }

    /// What is going on right now. On a terminal it stands below everything; a CI log gets it from time to time.
    pub(crate) fn status(&mut self, text: &str) {
        if self.status.as_deref() == Some(text) && (self.is_terminal || self.said.elapsed() < STATUS_EVERY) {
            return;
        }
        if self.is_terminal {
            let short: String = text.chars().take(width().saturating_sub(1)).collect();
            let _ = write!(std::io::stderr(), "\r\x1b[2K{short}");
        } else if self.said.elapsed() >= STATUS_EVERY {
            self.said = Instant::now();
            eprintln!("{:LABEL_WIDTH$} {text}", "");
        }
        self.status = Some(text.to_owned());
    }

    pub(crate) fn clear_status(&mut self) {
        if self.status.take().is_some() && self.is_terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[2K");
        }
    }

    fn print(&mut self, text: &str) {
        let status = self.status.take();
        if self.is_terminal && status.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[2K");
        }
        self.said = Instant::now();
        eprintln!("{}", text.trim_end());
        if let Some(status) = status.filter(|_| self.is_terminal) {
            self.status(&status);
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.clear_status();
    }
}

fn width() -> usize {
    rustix::termios::tcgetwinsize(std::io::stderr()).map_or(80, |size| usize::from(size.ws_col).max(20))
}

/// A duration for people.
pub(crate) fn seconds(duration: Duration) -> String {
    match duration.as_millis() {
        millis @ 0..1_000 => format!("{millis} ms"),
        millis @ 1_000..60_000 => format!("{:.1} s", millis as f64 / 1e3),
        millis => format!("{} min {} s", millis / 60_000, millis % 60_000 / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        for (millis, text) in [(7, "7 ms"), (1_250, "1.2 s"), (59_990, "60.0 s"), (61_000, "1 min 1 s")] {
            assert_eq!(seconds(Duration::from_millis(millis)), text);
        }
    }
}
