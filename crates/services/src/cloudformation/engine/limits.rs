//! Limits of the engine.

use std::time::Duration;

pub(super) const STACKS_AT_ONCE_MAX: usize = 64;
/// Resources of one stack, and of all, that are worked on at the same time.
pub(super) const RESOURCES_OF_STACK_AT_ONCE_MAX: usize = 16;
pub(super) const RESOURCES_AT_ONCE_MAX: usize = 64;
/// How long a thing may take to become what it shall be; AWS gives up on ECS services after about as long.
pub(super) const STABLE_WAIT_MAX: Duration = Duration::from_secs(3 * 60 * 60);
/// Between two looks at a thing: at least, because commits come in crowds, and at most, for what no record tells.
pub(super) const LOOK_INTERVAL_MIN: Duration = Duration::from_millis(20);
pub(super) const LOOK_INTERVAL_MAX: Duration = Duration::from_secs(2);
/// How long a deletion that something else still rests on is tried again: what a service leaves behind goes a little later.
pub(super) const CONFLICT_WAIT_MAX: Duration = Duration::from_secs(60);
/// After a failure of the store.
pub(super) const FAILURE_PAUSE: Duration = Duration::from_secs(1);
/// Failures of the store in a row before the task ends; the engine starts it again with the next change.
pub(super) const FAILURES_MAX: u32 = 600;
