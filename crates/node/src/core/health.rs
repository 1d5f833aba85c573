//! A container's health check: ECS's rules for interval, retries and start period.

use gantry_domain::task::HealthStatus;
use gantry_domain::task_definition::ContainerHealthCheck;
use gantry_types::Timestamp;

use super::event::HealthOutcome;

/// What one check's outcome means for the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthVerdict {
    Unchanged,
    Changed(HealthStatus),
}

/// Counts outcomes. UNKNOWN until the first success or until the retries are used up; failures inside the start period do not
/// count, a success ends it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct HealthMachine {
    pub status: HealthStatus,
    failures: u32,
    started_at: Timestamp,
    /// When the next check begins; `None` while one runs.
    next_at: Option<Timestamp>,
}

impl HealthMachine {
    /// The first check runs one interval after the start, as Docker's does.
    pub fn new(check: &ContainerHealthCheck, started_at: Timestamp) -> Self {
        Self {
            status: HealthStatus::Unknown,
            failures: 0,
            started_at,
            next_at: Some(started_at + check.interval),
        }
    }

    pub fn next_at(&self) -> Option<Timestamp> {
        self.next_at
    }

    /// Whether a check is due; it then counts as running until its outcome is told.
    pub fn begin_if_due(&mut self, now: Timestamp) -> bool {
        let due = self.next_at.is_some_and(|at| at <= now);
        if due {
            self.next_at = None;
        }
        due
    }

    pub fn outcome(
        &mut self,
        check: &ContainerHealthCheck,
        outcome: HealthOutcome,
        now: Timestamp,
    ) -> HealthVerdict {
        self.next_at = Some(now + check.interval);
        let in_start_period = now.since(self.started_at) < check.start_period;
        let status = match outcome {
            HealthOutcome::Passed => {
                self.failures = 0;
                HealthStatus::Healthy
            }
            HealthOutcome::Failed if in_start_period && self.status == HealthStatus::Unknown => self.status,
            HealthOutcome::Failed => {
                self.failures = self.failures.saturating_add(1);
                if self.failures >= check.retries { HealthStatus::Unhealthy } else { self.status }
            }
        };
        if status == self.status {
            HealthVerdict::Unchanged
        } else {
            self.status = status;
            HealthVerdict::Changed(status)
        }
    }

    /// A node that restarted does not know how its running check ended: it checks again at once.
    pub fn resume(&mut self, now: Timestamp) {
        self.next_at = Some(self.next_at.unwrap_or(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// `outcomes`: `+` passes, `-` fails, one every ten seconds; the expected statuses by their first letter.
    fn check(start_period_s: u64, outcomes: &str, expected: &str) {
        let check = ContainerHealthCheck {
            command: vec![],
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            retries: 3,
            start_period: Duration::from_secs(start_period_s),
        };
        let mut now = Timestamp::EPOCH;
        let mut machine = HealthMachine::new(&check, now);
        let mut seen = String::new();
        for outcome in outcomes.chars() {
            now = now + Duration::from_secs(10);
            assert!(machine.begin_if_due(now) && !machine.begin_if_due(now), "a check is due once");
            let outcome = if outcome == '+' { HealthOutcome::Passed } else { HealthOutcome::Failed };
            machine.outcome(&check, outcome, now);
            seen.push(match machine.status {
                HealthStatus::Healthy => 'H',
                HealthStatus::Unhealthy => 'U',
                HealthStatus::Unknown => '?',
            });
        }
        assert_eq!(seen, expected, "{outcomes} with a start period of {start_period_s} s");
    }

    #[test]
    fn outcomes_are_counted_as_ecs_counts_them() {
        check(0, "+--+---+", "HHHHHHUH");
        check(0, "---", "??U");
        check(35, "------", "?????U");
        // A success ends the start period.
        check(100, "+---", "HHHU");
    }
}
