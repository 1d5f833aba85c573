//! How long to wait before a child is started again.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(50);
const MAX: Duration = Duration::from_secs(5);
/// A child that lived for so long was well.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);

/// At once, then 50 ms doubling to 5 s; a child that lives for ten seconds begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after a child that lived for `life`.
    pub(super) fn after(&mut self, life: Duration) -> Duration {
        if life >= HEALTHY_AFTER {
            self.failures = 0;
        }
        let wait = match self.failures {
            0 => Duration::ZERO,
            failures => FIRST.saturating_mul(1 << (failures - 1).min(16)).min(MAX),
        };
        self.failures = self.failures.saturating_add(1);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_once_then_doubling_to_five_seconds_and_anew_after_a_healthy_life() {
        let mut backoff = Backoff::default();
        let short = Duration::from_millis(3);
        let waits: Vec<u128> = (0..10).map(|_| backoff.after(short).as_millis()).collect();
        assert_eq!(waits, [0, 50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(backoff.after(HEALTHY_AFTER), Duration::ZERO);
        assert_eq!(backoff.after(short), FIRST);
        for _ in 0..100 {
            assert!(backoff.after(short) <= MAX);
        }
    }
}
