//! The summary, in the words that k6's users know.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::plan::{Pace, Plan};
use super::stats::{Stats, Trend};
use super::threshold::Verdict;

const PERCENTILES: [f64; 3] = [90.0, 95.0, 99.0];

/// The summary for people.
pub fn text(plan: &Plan, stats: &Stats, verdicts: &[Verdict], colour: bool) -> String {
    let paint = Paint { colour };
    let mut out = String::new();
    if !verdicts.is_empty() {
        out.push_str("  THRESHOLDS\n");
        for verdict in verdicts {
            let mark = if verdict.holds { paint.good("ok     ") } else { paint.bad("crossed") };
            let _ = writeln!(out, "    {mark} '{}' is {}", verdict.threshold, verdict.value);
        }
        out.push('\n');
    }
    let mut row = |name: &str, value: String| {
        let _ = writeln!(out, "    {name:.<28}: {value}");
    };
    row("http_req_duration", trend(&stats.duration));
    if matches!(plan.pace, Pace::Rate { .. }) {
        row("http_req_service", trend(&stats.service));
    }
    let failed = format!(
        "{:.2}%  {} out of {}",
        stats.failed_rate() * 100.0,
        count(stats.failed),
        count(stats.requests)
    );
    row("http_req_failed", if stats.failed == 0 { paint.good(&failed) } else { paint.bad(&failed) });
    row("http_reqs", format!("{}  {:.2}/s", count(stats.requests), stats.per_second(stats.requests)));
    if stats.retried > 0 {
        row(
            "http_req_retried",
            format!("{}  (the server had closed a kept-alive connection)", count(stats.retried)),
        );
    }
    row("iterations", format!("{}  {:.2}/s", count(stats.iterations), stats.per_second(stats.iterations)));
    if stats.dropped > 0 {
        row("dropped_iterations", format!("{}  (due, but too many were in flight)", count(stats.dropped)));
    }
    if stats.interrupted > 0 {
        row(
            "interrupted_iterations",
            format!("{}  (in flight when the run was cut off)", count(stats.interrupted)),
        );
    }
    match plan.pace {
        Pace::Users { count, .. } => row("vus", count.to_string()),
        Pace::Rate { per_second, in_flight_max } => {
            row("rate", format!("{per_second}/s due, at most {in_flight_max} in flight"));
        }
    }
    row("data_received", bytes(stats, stats.received_bytes));
    row("data_sent", bytes(stats, stats.sent_bytes));
    let statuses: Vec<String> =
        stats.statuses.iter().map(|(status, number)| format!("{status}: {}", count(*number))).collect();
    row("status codes", if statuses.is_empty() { "none".to_owned() } else { statuses.join("  ") });
    for (kind, error) in &stats.errors {
        row(kind, format!("{}  first: {}", count(error.count), error.first_example));
    }
    if let (Some(first), Some(last)) = (stats.first_failure, stats.last_failure) {
        row(
            "failures",
            format!("first after {:.2} s, last after {:.2} s", first.as_secs_f64(), last.as_secs_f64()),
        );
    }
    row("running", format!("{:.1} s", stats.elapsed.as_secs_f64()));
    out
}

/// The summary for machines: durations in milliseconds, as k6 exports them.
pub fn json(stats: &Stats, verdicts: &[Verdict]) -> Value {
    let rate = |count: u64| json!({ "count": count, "rate": stats.per_second(count) });
    let errors: Vec<Value> = stats
        .errors
        .iter()
        .map(|(kind, error)| json!({ "kind": kind, "count": error.count, "first": error.first_example }))
        .collect();
    let thresholds: Vec<Value> = verdicts
        .iter()
        .map(|verdict| json!({ "threshold": verdict.threshold, "value": verdict.value, "ok": verdict.holds }))
        .collect();
    let statuses: serde_json::Map<String, Value> =
        stats.statuses.iter().map(|(status, count)| (status.to_string(), (*count).into())).collect();
    json!({
        "metrics": {
            "http_req_duration": trend_json(&stats.duration),
            "http_req_service": trend_json(&stats.service),
            "http_req_failed": {
                "rate": stats.failed_rate(),
                "failed": stats.failed,
                "passed": stats.requests - stats.failed,
            },
            "http_reqs": rate(stats.requests),
            "http_req_retried": { "count": stats.retried },
            "iterations": rate(stats.iterations),
            "dropped_iterations": { "count": stats.dropped },
            "interrupted_iterations": { "count": stats.interrupted },
            "data_received": rate(stats.received_bytes),
            "data_sent": rate(stats.sent_bytes),
        },
        "statuses": statuses,
        "errors": errors,
        "thresholds": thresholds,
        "elapsed_ms": stats.elapsed.as_secs_f64() * 1e3,
    })
}

fn trend(trend: &Trend) -> String {
    let mut out = format!(
        "avg={} min={} med={} max={}",
        milliseconds(trend.average_ms()),
        milliseconds(trend.min_ms()),
        milliseconds(trend.percentile_ms(50.0)),
        milliseconds(trend.max_ms())
    );
    for percent in PERCENTILES {
        let _ = write!(out, " p({percent})={}", milliseconds(trend.percentile_ms(percent)));
    }
    out
}

fn trend_json(trend: &Trend) -> Value {
    let mut object = json!({
        "avg": trend.average_ms(),
        "min": trend.min_ms(),
        "med": trend.percentile_ms(50.0),
        "max": trend.max_ms(),
    });
    for percent in PERCENTILES {
        object[format!("p({percent})")] = trend.percentile_ms(percent).into();
    }
    object
}

fn bytes(stats: &Stats, number: u64) -> String {
    format!("{}  {}/s", data(number as f64), data(stats.per_second(number)))
}

fn data(number: f64) -> String {
    match number {
        n if n < 1e3 => format!("{n:.0} B"),
        n if n < 1e6 => format!("{:.1} kB", n / 1e3),
        n if n < 1e9 => format!("{:.1} MB", n / 1e6),
        n => format!("{:.2} GB", n / 1e9),
    }
}

/// A duration given in milliseconds, with three digits that matter.
pub fn milliseconds(value: f64) -> String {
    match value {
        v if v <= 0.0 => "0s".to_owned(),
        v if v < 1.0 => format!("{:.0}µs", v * 1e3),
        v if v < 10.0 => format!("{v:.2}ms"),
        v if v < 100.0 => format!("{v:.1}ms"),
        v if v < 1e3 => format!("{v:.0}ms"),
        v if v < 60e3 => format!("{:.2}s", v / 1e3),
        v => format!("{}m{:.0}s", (v / 60e3) as u64, v % 60e3 / 1e3),
    }
}

/// A number with its thousands apart.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

struct Paint {
    colour: bool,
}

impl Paint {
    fn good(&self, text: &str) -> String {
        self.with("\x1b[32m", text)
    }
    fn bad(&self, text: &str) -> String {
        self.with("\x1b[1;31m", text)
    }
    fn with(&self, code: &str, text: &str) -> String {
        if self.colour { format!("{code}{text}\x1b[0m") } else { text.to_owned() }
    }
}
