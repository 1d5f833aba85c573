//! The numbers that AWS leaves open or that the caller may change, in one place.

use std::time::Duration;

/// How the reconciler behaves where a service does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// A task without a load balancer and without a container health check counts as healthy so long after it was RUNNING.
    pub healthy_after: Duration,
    /// A plan has at most so many changes: the store's limit, less what its caller adds.
    pub operations_max: usize,
    /// What is wrong is told again after this time.
    pub repeat_after: Duration,
}

impl Policy {
    /// AWS waits 40 s. What the wait is for is the program that ends right after its start, and that shows within a second or
    /// two; the rest of AWS's wait is paid by every rolling update.
    pub const HEALTHY_AFTER: Duration = Duration::from_secs(5);
    /// AWS's own wait.
    pub const HEALTHY_AFTER_AWS: Duration = Duration::from_secs(40);
    /// etcd's default limit on one transaction.
    pub const OPERATIONS_MAX: usize = 128;
    pub const REPEAT_AFTER: Duration = Duration::from_secs(6 * 3600);

    /// AWS's upper end of the back-off for tasks that never reached RUNNING.
    pub const BACKOFF_MAX: Duration = Duration::from_secs(27 * 60);
    /// The upper end for tasks that reached RUNNING and ended before they ever counted as healthy. AWS does not throttle these,
    /// and is slow enough not to need it; here a program that ends at once would be started a hundred times a second.
    pub const BACKOFF_STARTED_MAX: Duration = Duration::from_secs(10);
    /// So many failed starts in a row, and the service's events say so.
    pub const FAILURES_TOLD: u32 = 3;
    /// A task that could not be placed is tried again after this time at the latest.
    pub const PLACE_AGAIN_AFTER: Duration = Duration::from_secs(30);
    /// The checks of the healthy tasks and targets that a stop relies on are at most so many; in a service so large that there
    /// would be more, one that fails in the same moment is a small part.
    pub(crate) fn relied_operations_max(&self) -> usize {
        self.operations_max / 4
    }

    /// How long to wait after the `failures`-th failed start in a row: the first is repeated at once, then 1 s, doubling.
    pub fn backoff(failures: u32, max: Duration) -> Duration {
        match failures {
            0 | 1 => Duration::ZERO,
            _ => Duration::from_secs(1u64 << (failures - 2).min(20)).min(max),
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            healthy_after: Self::HEALTHY_AFTER,
            operations_max: Self::OPERATIONS_MAX,
            repeat_after: Self::REPEAT_AFTER,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backoff_doubles_up_to_27_minutes() {
        let seconds = |failures| Policy::backoff(failures, Policy::BACKOFF_MAX).as_secs();
        let all: Vec<_> = [0, 1, 2, 3, 4, 12, 13, 14, 1000].map(seconds).to_vec();
        assert_eq!(all, [0, 0, 1, 2, 4, 1024, 1620, 1620, 1620]);
        assert_eq!(Policy::backoff(9, Policy::BACKOFF_STARTED_MAX).as_secs(), 10);
    }
}
