//! Log lines on standard error: `12:03:01.123Z INFO  control  the sentence key=value`, or one JSON object a line.
//!
//! A log line never blocks the process that writes it: the data plane does not wait for a terminal that was stopped or a pipe
//! that nobody reads. A line that has no room is dropped, and the next one that has room says how many were.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal as _};
use std::sync::atomic::{AtomicU64, Ordering};

use gantry_types::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use thiserror::Error;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use crate::config::LogFormat;

/// What a pipe with room for anything takes whole without blocking.
const LINE_BYTES_MAX: usize = 4096;

#[derive(Debug, Error)]
#[error("'{filter}' is no log filter ({why}); write one like info, debug, or gantry_lb=debug,info")]
pub struct FilterError {
    filter: String,
    why: String,
}

/// Sends every log event of this process to standard error.
///
/// # Errors
/// When the filter cannot be read.
pub fn start(process: &'static str, format: LogFormat, filter: &str) -> Result<(), FilterError> {
    let filter = EnvFilter::builder()
        .parse(filter)
        .map_err(|error| FilterError { filter: filter.to_owned(), why: error.to_string() })?;
    let lines = Lines { process, format, colour: colour_wanted() };
    // A second call in one process (tests) keeps the first.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .log_internal_errors(false)
        .event_format(lines)
        .with_writer(Unblocked)
        .try_init();
    Ok(())
}

/// Whether people look at standard error and like colours.
pub fn colour_wanted() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

struct Lines {
    process: &'static str,
    format: LogFormat,
    colour: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let now = Timestamp::now();
        match self.format {
            LogFormat::Text => self.text(&mut writer, *event.metadata().level(), now, &fields),
            LogFormat::Json => self.json(&mut writer, *event.metadata().level(), now, fields),
        }
    }
}

impl Lines {
    fn text(&self, writer: &mut Writer<'_>, level: Level, now: Timestamp, fields: &Fields) -> fmt::Result {
        let iso = now.iso8601();
        // A person at a terminal knows the day.
        let (dim, reset, time) = if self.colour {
            ("\x1b[2m", "\x1b[0m", iso.split_once('T').map_or(iso.as_str(), |(_, time)| time))
        } else {
            ("", "", iso.as_str())
        };
        let colour = match (self.colour, level) {
            (false, _) => "",
            (true, Level::ERROR) => "\x1b[1;31m",
            (true, Level::WARN) => "\x1b[33m",
            (true, Level::INFO) => "\x1b[32m",
            (true, _) => "\x1b[2m",
        };
        write!(writer, "{dim}{time}{reset} {colour}{level:<5}{reset} {dim}{:<10}{reset} ", self.process)?;
        writer.write_str(&fields.message)?;
        for (name, value) in &fields.others {
            write!(writer, " {dim}{name}={reset}{value}")?;
        }
        writer.write_char('\n')
    }

    fn json(&self, writer: &mut Writer<'_>, level: Level, now: Timestamp, fields: Fields) -> fmt::Result {
        let mut object = serde_json::Map::new();
        object.insert("time".to_owned(), now.iso8601().into());
        object.insert("level".to_owned(), level.as_str().to_lowercase().into());
        object.insert("process".to_owned(), self.process.into());
        object.insert("message".to_owned(), fields.message.into());
        for (name, value) in fields.others {
            object.entry(name).or_insert_with(|| value.into());
        }
        writeln!(writer, "{}", serde_json::Value::Object(object))
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(String, String)>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        let value = one_line(value);
        if field.name() == "message" {
            self.message = value;
        } else {
            self.others.push((field.name().to_owned(), value));
        }
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// Nobody who controls a part of a message can forge a line or move the cursor.
fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            let _ = write!(out, "{}", character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

static DROPPED: AtomicU64 = AtomicU64::new(0);

struct Unblocked;

impl<'a> MakeWriter<'a> for Unblocked {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        Self
    }
}

impl io::Write for Unblocked {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if !stderr_has_room() {
            DROPPED.fetch_add(1, Ordering::Relaxed);
            return Ok(line.len());
        }
        let dropped = DROPPED.swap(0, Ordering::Relaxed);
        let mut stderr = io::stderr().lock();
        if dropped > 0 {
            writeln!(stderr, "({dropped} log lines had no room here and were dropped)")?;
        }
        let cut = line.len().min(LINE_BYTES_MAX);
        stderr.write_all(&line[..cut])?;
        if cut < line.len() {
            stderr.write_all(b"...\n")?;
        }
        Ok(line.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn stderr_has_room() -> bool {
    let stderr = io::stderr();
    let mut descriptors = [PollFd::new(&stderr, PollFlags::OUT)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut descriptors, Some(&now)).is_ok() && descriptors[0].revents().contains(PollFlags::OUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(format: LogFormat, fields: Fields) -> String {
        let mut text = String::new();
        let mut writer = Writer::new(&mut text);
        let lines = Lines { process: "lb", format, colour: false };
        let at = Timestamp::from_millis(1_700_000_000_123);
        match format {
            LogFormat::Text => lines.text(&mut writer, Level::WARN, at, &fields).unwrap(),
            LogFormat::Json => lines.json(&mut writer, Level::WARN, at, fields).unwrap(),
        }
        text
    }

    fn fields() -> Fields {
        Fields {
            message: "listener closed".to_owned(),
            others: vec![("port".to_owned(), "80".to_owned()), ("level".to_owned(), "forged".to_owned())],
        }
    }

    #[test]
    fn lines_for_people_and_for_machines() {
        assert_eq!(
            line(LogFormat::Text, fields()),
            "2023-11-14T22:13:20.123Z WARN  lb         listener closed port=80 level=forged\n"
        );
        let json: serde_json::Value = serde_json::from_str(&line(LogFormat::Json, fields())).unwrap();
        assert_eq!(json["level"], "warn", "a field does not overwrite what every line has");
        assert_eq!(json["message"], "listener closed");
        assert_eq!(json["port"], "80");
    }

    #[test]
    fn what_was_logged_cannot_forge_a_line() {
        assert_eq!(one_line("a\nERROR b\x1b[2J"), "a\\nERROR b\\u{1b}[2J");
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_explained() {
        let error = start("lb", LogFormat::Text, "lb=loudest").unwrap_err().to_string();
        assert!(error.starts_with("'lb=loudest' is no log filter"), "{error}");
    }
}
