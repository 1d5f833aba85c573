//! One target group, as all shards see it: whose turn it is, and who waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use gantry_types::Arn;
use tokio::sync::Notify;

use crate::counters::{GroupCounters, Sharded};
use crate::limits::Limits;

#[derive(Debug)]
pub(crate) struct GroupRuntime {
    pub(crate) arn: Arn,
    pub(crate) counters: Sharded<GroupCounters>,
    /// Wakes every held request: the group's targets have changed.
    pub(crate) changed: Notify,
    turn: AtomicU64,
    held_requests: AtomicUsize,
    held_bytes: AtomicUsize,
}

impl GroupRuntime {
    pub(crate) fn new(arn: Arn, shards: usize) -> Self {
        Self {
            arn,
            counters: Sharded::new(shards),
            changed: Notify::new(),
            turn: AtomicU64::new(0),
            held_requests: AtomicUsize::new(0),
            held_bytes: AtomicUsize::new(0),
        }
    }

    /// One more with each request.
    pub(crate) fn next_turn(&self) -> u64 {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    /// A place in the waiting room for a request of `bytes`; `None` if there is no room.
    pub(crate) fn hold(self: &Arc<Self>, bytes: usize, limits: &Limits) -> Option<Held> {
        let requests = self.held_requests.fetch_add(1, Ordering::Relaxed) + 1;
        let total = self.held_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let held = Held { group: Arc::clone(self), bytes };
        (requests <= limits.hold_requests_max && total <= limits.hold_bytes_max).then_some(held)
    }

    /// Requests that wait now.
    pub(crate) fn held_now(&self) -> usize {
        self.held_requests.load(Ordering::Relaxed)
    }
}

/// A request that waits; dropping it gives its place back.
#[derive(Debug)]
pub(crate) struct Held {
    group: Arc<GroupRuntime>,
    bytes: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.group.held_requests.fetch_sub(1, Ordering::Relaxed);
        self.group.held_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_waiting_room_is_bounded_by_requests_and_bytes() {
        let arn = gantry_types::arn("elasticloadbalancing", "us-east-1", "targetgroup/g/1");
        let group = Arc::new(GroupRuntime::new(arn, 1));
        let limits = Limits { hold_requests_max: 2, hold_bytes_max: 100, ..Limits::default() };
        let first = group.hold(60, &limits).unwrap();
        assert!(group.hold(41, &limits).is_none(), "too many bytes");
        let second = group.hold(40, &limits).unwrap();
        assert!(group.hold(0, &limits).is_none(), "too many requests");
        drop((first, second));
        assert!(group.hold(100, &limits).is_some());
        assert_eq!(group.held_now(), 0);
    }
}
