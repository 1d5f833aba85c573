//! A line that changes in place on a terminal, or one every few seconds.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use super::plan::{Pace, Plan};
use super::report::{count, milliseconds};
use super::stats::Stats;

const TERMINAL_INTERVAL: Duration = Duration::from_millis(200);
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Shows how a run goes, on standard error.
pub struct Progress {
    style: Style,
    ticks: Option<Interval>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Silent,
    Terminal,
    Lines,
}

impl Progress {
    pub fn new() -> Self {
        let style = if io::stderr().is_terminal() { Style::Terminal } else { Style::Lines };
        Self { style, ticks: None }
    }
    pub fn silent() -> Self {
        Self { style: Style::Silent, ticks: None }
    }

    /// Ready when the next line is due.
    pub(super) async fn tick(&mut self) {
        let period = match self.style {
            Style::Silent => return std::future::pending().await,
            Style::Terminal => TERMINAL_INTERVAL,
            Style::Lines => LINE_INTERVAL,
        };
        let ticks = self.ticks.get_or_insert_with(|| {
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            ticks.reset();
            ticks
        });
        ticks.tick().await;
    }

    pub(super) fn show(&self, plan: &Plan, elapsed: Duration, stats: &Stats) {
        let line = line(plan, elapsed, stats);
        // Nobody to show it to is no reason to stop.
        let _ = match self.style {
            Style::Silent => Ok(()),
            Style::Terminal => write!(io::stderr(), "\r\x1b[2K{line}"),
            Style::Lines => writeln!(io::stderr(), "{line}"),
        };
    }

    pub(super) fn finish(&self) {
        if self.style == Style::Terminal {
            let _ = write!(io::stderr(), "\r\x1b[2K");
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

fn line(plan: &Plan, elapsed: Duration, stats: &Stats) -> String {
    const BAR: usize = 20;
    let share = (elapsed.as_secs_f64() / plan.duration.as_secs_f64()).min(1.0);
    let full = (share * BAR as f64).round() as usize;
    let pace = match plan.pace {
        Pace::Users { count: 1, .. } => "1 VU".to_owned(),
        Pace::Users { count, .. } => format!("{count} VUs"),
        Pace::Rate { per_second, .. } => format!("{per_second}/s"),
    };
    let rate = stats.requests as f64 / elapsed.as_secs_f64().max(0.001);
    format!(
        "[{}{}] {:>4}s/{}s  {pace}  {} requests ({rate:.1}/s)  {} failed  p(95) {}",
        "=".repeat(full),
        " ".repeat(BAR - full),
        elapsed.as_secs(),
        plan.duration.as_secs_f64(),
        count(stats.requests),
        count(stats.failed),
        milliseconds(stats.duration.percentile_ms(95.0)),
    )
}
