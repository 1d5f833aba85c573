//! When requests are due at a fixed rate.

use std::time::Duration;

/// The schedule: request `n` is due `n / rate` after the start, computed from the start so that errors do not add up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    per_second: f64,
    count: u64,
}

impl Schedule {
    pub(super) fn new(per_second: f64, duration: Duration) -> Self {
        // As many as fit before the end; the first is due at once.
        let count = (per_second * duration.as_secs_f64()).ceil().max(1.0);
        Self { per_second, count: count as u64 }
    }

    pub(super) fn count(self) -> u64 {
        self.count
    }

    pub(super) fn due(self, index: u64) -> Duration {
        Duration::from_secs_f64(index as f64 / self.per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_evenly_due_until_the_end() {
        let schedule = Schedule::new(50.0, Duration::from_secs(2));
        assert_eq!(schedule.count(), 100);
        assert_eq!(schedule.due(0), Duration::ZERO);
        assert_eq!(schedule.due(75), Duration::from_millis(1500));
        assert!(schedule.due(99) < Duration::from_secs(2));
        assert_eq!(Schedule::new(0.1, Duration::from_secs(1)).count(), 1);
    }
}
