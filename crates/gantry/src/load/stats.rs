//! Counters and histograms of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

/// Longer is counted as this long: more than any timeout.
const DURATION_US_MAX: u64 = 3_600_000_000;

/// One finished request.
#[derive(Debug, Clone)]
pub struct Sample {
    /// From when it was due (at a fixed rate) or began (virtual users) to the last byte.
    pub duration: Duration,
    /// From its real start to the last byte.
    pub service: Duration,
    pub outcome: Outcome,
    /// Since the start of the run.
    pub ended: Duration,
    pub sent_bytes: u64,
    pub received_bytes: u64,
    /// It was sent again after a kept-alive connection had been closed.
    pub retried: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Status(u16),
    /// No whole answer came.
    Error {
        kind: &'static str,
        example: String,
    },
}

impl Outcome {
    /// As k6 has it by default: statuses from 200 to 399 are expected.
    pub fn is_failure(&self) -> bool {
        match self {
            Self::Status(status) => !(200..400).contains(status),
            Self::Error { .. } => true,
        }
    }
}

/// Durations: exact minimum, maximum and mean; percentiles to three digits.
#[derive(Debug, Clone)]
pub struct Trend {
    histogram: Histogram<u64>,
    sum_us: u128,
    min_us: u64,
    max_us: u64,
}

impl Trend {
    pub fn new() -> Self {
        Self {
            histogram: Histogram::new_with_bounds(1, DURATION_US_MAX, 3).expect("these bounds are valid"),
            sum_us: 0,
            min_us: u64::MAX,
            max_us: 0,
        }
    }

    pub fn record(&mut self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).min(DURATION_US_MAX);
        self.histogram.saturating_record(us);
        self.sum_us += u128::from(us);
        self.min_us = self.min_us.min(us);
        self.max_us = self.max_us.max(us);
    }

    pub fn count(&self) -> u64 {
        self.histogram.len()
    }
    pub fn min_ms(&self) -> f64 {
        if self.count() == 0 { 0.0 } else { self.min_us as f64 / 1e3 }
    }
    pub fn max_ms(&self) -> f64 {
        self.max_us as f64 / 1e3
    }
    pub fn average_ms(&self) -> f64 {
        if self.count() == 0 { 0.0 } else { self.sum_us as f64 / self.count() as f64 / 1e3 }
    }
    /// The time within which this percentage of requests ended.
    pub fn percentile_ms(&self, percent: f64) -> f64 {
        if self.count() == 0 {
            return 0.0;
        }
        // A bucket's upper end may lie above every value in it.
        self.histogram.value_at_percentile(percent).clamp(self.min_us, self.max_us) as f64 / 1e3
    }
}

impl Default for Trend {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorCount {
    pub count: u64,
    pub first_example: String,
}

#[derive(Debug, Clone, Default)]
pub struct Stats {
    pub duration: Trend,
    pub service: Trend,
    pub requests: u64,
    pub failed: u64,
    pub retried: u64,
    pub iterations: u64,
    /// Requests that were due and never started.
    pub dropped: u64,
    /// Requests that were still in flight when the run was cut off.
    pub interrupted: u64,
    pub sent_bytes: u64,
    pub received_bytes: u64,
    pub statuses: BTreeMap<u16, u64>,
    pub errors: BTreeMap<&'static str, ErrorCount>,
    pub first_failure: Option<Duration>,
    pub last_failure: Option<Duration>,
    /// How long the run took.
    pub elapsed: Duration,
}

impl Stats {
    pub fn record(&mut self, sample: Sample) {
        self.duration.record(sample.duration);
        self.service.record(sample.service);
        self.requests += 1;
        self.iterations += 1;
        self.retried += u64::from(sample.retried);
        self.sent_bytes += sample.sent_bytes;
        self.received_bytes += sample.received_bytes;
        if sample.outcome.is_failure() {
            self.failed += 1;
            self.first_failure.get_or_insert(sample.ended);
            self.last_failure = Some(sample.ended);
        }
        match sample.outcome {
            Outcome::Status(status) => *self.statuses.entry(status).or_default() += 1,
            Outcome::Error { kind, example } => {
                self.errors
                    .entry(kind)
                    .or_insert_with(|| ErrorCount { count: 0, first_example: example })
                    .count += 1;
            }
        }
    }

    pub fn failed_rate(&self) -> f64 {
        if self.requests == 0 { 0.0 } else { self.failed as f64 / self.requests as f64 }
    }

    pub fn per_second(&self, count: u64) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
    }
}
