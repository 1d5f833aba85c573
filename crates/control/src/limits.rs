//! The loop's numbers, in one place.

use std::time::Duration;

use gantry_deploy::Policy;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// See [`Policy::HEALTHY_AFTER`].
    pub healthy_after: Duration,
    /// Everything is decided anew so often, whatever the triggers said.
    pub full_pass_every: Duration,
    /// A node whose link is down is lost after this, if another node can take its tasks.
    pub node_lost_after: Duration,
    /// The same when it is the only one: its containers live on and serve, and nobody could take them over, so there is no hurry.
    pub node_lost_after_alone: Duration,
    /// After a start of `control` nodes have this long to connect before they count as away.
    pub reconnect_within: Duration,
    /// Stopped tasks stay describable, as on AWS.
    pub stopped_task_kept: Duration,
    /// So many stopped tasks of one service or group of standalone tasks are kept at most.
    pub stopped_tasks_max: usize,
    /// Deleted services stay describable as INACTIVE.
    pub inactive_service_kept: Duration,
    /// What is kept for a time is looked through so often.
    pub sweep_every: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            healthy_after: Policy::HEALTHY_AFTER,
            full_pass_every: Duration::from_secs(30),
            node_lost_after: Duration::from_secs(30),
            node_lost_after_alone: Duration::from_secs(300),
            reconnect_within: Duration::from_secs(5),
            stopped_task_kept: Duration::from_secs(3600),
            stopped_tasks_max: 500,
            inactive_service_kept: Duration::from_secs(3600),
            sweep_every: Duration::from_secs(60),
        }
    }
}

/// Changes in one commit: the store's limit on a transaction's operations.
pub(crate) const OPERATIONS_MAX: usize = Policy::OPERATIONS_MAX;
/// What taking over reports may use of it; the rest is the reconciler's.
pub(crate) const REPORT_OPERATIONS_MAX: usize = 48;
/// The same two for a service whose records turned out to be so large that the store's limit on bytes counts first.
pub(crate) const OPERATIONS_SMALL_MAX: usize = 96;
pub(crate) const REPORT_OPERATIONS_SMALL_MAX: usize = 12;
/// One pass over a target group, or one sweep, changes at most so many records.
pub(crate) const SWEEP_OPERATIONS_MAX: usize = 100;
/// A node that reports more tasks than this is not one of ours.
pub(crate) const TASKS_PER_NODE_MAX: usize = 10_000;
/// A load balancer that speaks of more targets than this is not one of ours.
pub(crate) const TARGETS_PER_BALANCER_MAX: usize = 100_000;
/// Conflicts in a row that are decided again at once; after that with a pause.
pub(crate) const CONFLICTS_AT_ONCE: u32 = 8;
/// The pause after the n-th failure in a row grows from the first to the second.
pub(crate) const RETRY_MIN: Duration = Duration::from_millis(20);
pub(crate) const RETRY_MAX: Duration = Duration::from_secs(5);
