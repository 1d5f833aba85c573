//! Thresholds: `http_req_failed<1%`, `p(95)<200ms`, `http_req_duration:avg<=50`, `http_reqs:rate>100`.

use std::fmt;

use super::stats::{Stats, Trend};

/// What must hold at the end of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    expression: String,
    measure: Measure,
    comparison: Comparison,
    /// In the measure's unit: milliseconds, a share of one, a count.
    bound: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Measure {
    Duration(Aggregation),
    Service(Aggregation),
    FailedRate,
    FailedCount,
    Requests,
    RequestsPerSecond,
    Iterations,
    Dropped,
    Retried,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Aggregation {
    Average,
    Minimum,
    Maximum,
    Percentile(f64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Milliseconds,
    Share,
    Count,
}

/// Whether a threshold held, and the value that decided it.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub threshold: String,
    pub value: String,
    pub holds: bool,
}

impl Threshold {
    /// # Errors
    /// A clause that says what cannot be read.
    pub fn parse(expression: &str) -> Result<Self, &'static str> {
        let compact: String = expression.chars().filter(|c| !c.is_whitespace()).collect();
        let at = compact.find(['<', '>', '=', '!']).ok_or("it compares nothing")?;
        let (measure, rest) = compact.split_at(at);
        let (comparison, bound) = comparison(rest).ok_or("its comparison is none of < <= > >= == !=")?;
        let measure = measure_named(measure)?;
        let bound = bound_in(bound, measure.unit())?;
        Ok(Self { expression: expression.trim().to_owned(), measure, comparison, bound })
    }

    pub fn judge(&self, stats: &Stats) -> Verdict {
        let value = self.measure.value(stats);
        let holds = match self.comparison {
            Comparison::Less => value < self.bound,
            Comparison::LessOrEqual => value <= self.bound,
            Comparison::Greater => value > self.bound,
            Comparison::GreaterOrEqual => value >= self.bound,
            Comparison::Equal => value == self.bound,
            Comparison::NotEqual => value != self.bound,
        };
        let value = match self.measure.unit() {
            Unit::Milliseconds => super::report::milliseconds(value),
            Unit::Share => format!("{:.2}%", value * 100.0),
            Unit::Count => format!("{value}"),
        };
        // Without a single request nothing was shown.
        Verdict { threshold: self.expression.clone(), value, holds: holds && stats.requests > 0 }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.expression)
    }
}

impl Measure {
    fn unit(self) -> Unit {
        match self {
            Self::Duration(_) | Self::Service(_) => Unit::Milliseconds,
            Self::FailedRate => Unit::Share,
            Self::FailedCount
            | Self::Requests
            | Self::RequestsPerSecond
            | Self::Iterations
            | Self::Dropped
            | Self::Retried => Unit::Count,
        }
    }

    fn value(self, stats: &Stats) -> f64 {
        match self {
            Self::Duration(aggregation) => aggregation.of(&stats.duration),
            Self::Service(aggregation) => aggregation.of(&stats.service),
            Self::FailedRate => stats.failed_rate(),
            Self::FailedCount => stats.failed as f64,
            Self::Requests => stats.requests as f64,
            Self::RequestsPerSecond => stats.per_second(stats.requests),
            Self::Iterations => stats.iterations as f64,
            Self::Dropped => stats.dropped as f64,
            Self::Retried => stats.retried as f64,
        }
    }
}

impl Aggregation {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "avg" => Self::Average,
            "min" => Self::Minimum,
            "max" => Self::Maximum,
            "med" => Self::Percentile(50.0),
            _ => {
                let percent: f64 = text.strip_prefix("p(")?.strip_suffix(')')?.parse().ok()?;
                if !(0.0..=100.0).contains(&percent) {
                    return None;
                }
                Self::Percentile(percent)
            }
        })
    }

    fn of(self, trend: &Trend) -> f64 {
        match self {
            Self::Average => trend.average_ms(),
            Self::Minimum => trend.min_ms(),
            Self::Maximum => trend.max_ms(),
            Self::Percentile(percent) => trend.percentile_ms(percent),
        }
    }
}

fn comparison(text: &str) -> Option<(Comparison, &str)> {
    let table = [
        ("<=", Comparison::LessOrEqual),
        (">=", Comparison::GreaterOrEqual),
        ("===", Comparison::Equal),
        ("==", Comparison::Equal),
        ("!=", Comparison::NotEqual),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
    ];
    table.into_iter().find_map(|(sign, comparison)| Some((comparison, text.strip_prefix(sign)?)))
}

fn measure_named(text: &str) -> Result<Measure, &'static str> {
    let (metric, aggregation) = text.split_once(':').unwrap_or((text, ""));
    if let Some(aggregation) = Aggregation::parse(text) {
        return Ok(Measure::Duration(aggregation));
    }
    let trend =
        || Aggregation::parse(aggregation).ok_or("it needs one of avg, min, med, max, p(N) behind the colon");
    match (metric, aggregation) {
        ("http_req_duration", _) => Ok(Measure::Duration(trend()?)),
        ("http_req_service", _) => Ok(Measure::Service(trend()?)),
        ("http_req_failed", "" | "rate") => Ok(Measure::FailedRate),
        ("http_req_failed", "count") => Ok(Measure::FailedCount),
        ("http_reqs", "" | "count") => Ok(Measure::Requests),
        ("http_reqs", "rate") => Ok(Measure::RequestsPerSecond),
        ("iterations", "" | "count") => Ok(Measure::Iterations),
        ("dropped_iterations", "" | "count") => Ok(Measure::Dropped),
        ("http_req_retried", "" | "count") => Ok(Measure::Retried),
        _ => Err("no metric has that name"),
    }
}

fn bound_in(text: &str, unit: Unit) -> Result<f64, &'static str> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().map_err(|_| "its bound is no number")?;
    match (unit, &text[digits..]) {
        (Unit::Milliseconds, "" | "ms") => Ok(number),
        (Unit::Milliseconds, "us" | "µs") => Ok(number / 1e3),
        (Unit::Milliseconds, "s") => Ok(number * 1e3),
        (Unit::Share, "%") => Ok(number / 100.0),
        (Unit::Share | Unit::Count, "") => Ok(number),
        (Unit::Count, "/s") => Ok(number),
        _ => Err("its unit does not fit the metric"),
    }
}
