//! Which units need a decision, which wait for a time, and which wait for their commit.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use gantry_domain::{Action, Change, Key};
use gantry_types::{Arn, NodeId, SubnetId, Timestamp};

use crate::event::{CommitFailure, CommitId};
use crate::limits::{CONFLICTS_AT_ONCE, RETRY_MAX, RETRY_MIN};

/// What is decided as one, with at most one commit in flight. Nodes come first: what others decide rests on them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    Node(NodeId),
    /// A cluster's container instances.
    Cluster(Key),
    /// A service with all its tasks.
    Service(Key),
    /// A task without a service.
    Task(Key),
    TargetGroup(Arn),
    LoadBalancer(Arn),
    /// What is kept for a time and then removed.
    Sweep,
}

/// A commit that was asked for and whose end is not seen yet.
#[derive(Debug, Clone)]
pub(crate) struct InFlight {
    pub(crate) unit: Unit,
    pub(crate) keys: Vec<Key>,
    /// Addresses that are reserved until the view holds them.
    pub(crate) taken: Vec<(SubnetId, Ipv4Addr)>,
    /// It puts records, so that its revision is its own. One that only checks and deletes may have changed nothing, and then has
    /// the revision of the commit before it.
    pub(crate) puts: bool,
    /// The revision at which it was made, while the view has not got there.
    pub(crate) committed: Option<u64>,
}

#[derive(Debug, Default)]
pub(crate) struct Queue {
    due: BTreeSet<Unit>,
    timers: BTreeMap<Unit, Timestamp>,
    by_time: BTreeSet<(Timestamp, Unit)>,
    busy: BTreeMap<Unit, CommitId>,
    commits: BTreeMap<CommitId, InFlight>,
    /// Units whose last commit failed wait for their time, whatever happens meanwhile.
    paused: BTreeSet<Unit>,
    failures: BTreeMap<Unit, u32>,
    /// Units that had a commit of too many bytes; their records are large, and stay so.
    small: BTreeSet<Unit>,
    last_commit: u64,
}

impl Queue {
    /// The unit needs a decision as soon as it has no commit in flight.
    pub(crate) fn mark(&mut self, unit: Unit) {
        self.due.insert(unit);
    }

    /// The unit needs a decision at this time even if nothing happens. Replaces its earlier time.
    pub(crate) fn wake(&mut self, unit: &Unit, at: Option<Timestamp>) {
        if let Some(before) = self.timers.remove(unit) {
            self.by_time.remove(&(before, unit.clone()));
        }
        if let Some(at) = at {
            self.timers.insert(unit.clone(), at);
            self.by_time.insert((at, unit.clone()));
        }
    }

    /// Marks the units whose time has come.
    pub(crate) fn advance(&mut self, now: Timestamp) {
        while let Some((at, unit)) = self.by_time.first().cloned() {
            if at > now {
                break;
            }
            self.wake(&unit, None);
            self.paused.remove(&unit);
            self.mark(unit);
        }
    }

    /// Times that were set before a clock jumped back are too far away: who waits for one decides again.
    pub(crate) fn forget_times(&mut self) {
        self.by_time.clear();
        self.paused.clear();
        self.due.extend(std::mem::take(&mut self.timers).into_keys());
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.due.iter().all(|unit| self.paused.contains(unit)) && self.commits.is_empty()
    }

    pub(crate) fn next_time(&self) -> Option<Timestamp> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes the units that can be decided now.
    pub(crate) fn take_ready(&mut self) -> Vec<Unit> {
        let free = |unit: &Unit| !self.busy.contains_key(unit) && !self.paused.contains(unit);
        let (ready, held): (BTreeSet<Unit>, BTreeSet<Unit>) =
            std::mem::take(&mut self.due).into_iter().partition(free);
        self.due = held;
        ready.into_iter().collect()
    }

    pub(crate) fn begin(
        &mut self,
        unit: Unit,
        changes: &[Change],
        taken: Vec<(SubnetId, Ipv4Addr)>,
    ) -> CommitId {
        let keys = changes.iter().map(|change| change.key.clone()).collect();
        let puts = changes.iter().any(|change| matches!(change.action, Action::Put(_)));
        self.last_commit += 1;
        let id = CommitId(self.last_commit);
        self.busy.insert(unit.clone(), id);
        self.commits.insert(id, InFlight { unit, keys, taken, puts, committed: None });
        id
    }

    pub(crate) fn committed(&mut self, id: CommitId, revision: u64) {
        if let Some(commit) = self.commits.get_mut(&id) {
            commit.committed = Some(revision);
        }
    }

    /// Ends the commits that the view holds by now, and gives them back.
    pub(crate) fn take_seen(&mut self, view_revision: u64) -> Vec<InFlight> {
        let seen = |commit: &InFlight| commit.committed.is_some_and(|revision| revision <= view_revision);
        let ids: Vec<CommitId> =
            self.commits.iter().filter(|(_, commit)| seen(commit)).map(|(id, _)| *id).collect();
        let ended: Vec<InFlight> = ids.iter().filter_map(|id| self.end(*id)).collect();
        for commit in &ended {
            self.failures.remove(&commit.unit);
            self.mark(commit.unit.clone());
        }
        ended
    }

    /// Ends a commit that was not made; its unit decides again, with a pause if that goes on.
    pub(crate) fn failed(
        &mut self,
        id: CommitId,
        failure: CommitFailure,
        now: Timestamp,
    ) -> Option<InFlight> {
        let commit = self.end(id)?;
        let failures = self.failures.entry(commit.unit.clone()).or_default();
        *failures = failures.saturating_add(1);
        let pauses = match failure {
            CommitFailure::Conflict => failures.saturating_sub(CONFLICTS_AT_ONCE),
            CommitFailure::TooLarge if self.small.insert(commit.unit.clone()) => 0,
            CommitFailure::TooLarge | CommitFailure::Unavailable => *failures,
        };
        if pauses == 0 {
            self.mark(commit.unit.clone());
        } else {
            let unit = commit.unit.clone();
            self.paused.insert(unit.clone());
            self.wake(&unit, Some(now + pause(pauses)));
        }
        Some(commit)
    }

    /// Whether the unit's commits have to be smaller than the number of operations alone would allow.
    pub(crate) fn is_small(&self, unit: &Unit) -> bool {
        self.small.contains(unit)
    }

    fn end(&mut self, id: CommitId) -> Option<InFlight> {
        let commit = self.commits.remove(&id)?;
        self.busy.remove(&commit.unit);
        Some(commit)
    }
}

fn pause(failures: u32) -> Duration {
    RETRY_MIN.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(RETRY_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::EPOCH;

    #[test]
    fn a_unit_has_one_commit_in_flight_and_decides_again_after_it() {
        let mut queue = Queue::default();
        queue.mark(Unit::Sweep);
        assert_eq!(queue.take_ready(), [Unit::Sweep]);
        let id = queue.begin(Unit::Sweep, &[], vec![]);
        queue.mark(Unit::Sweep);
        assert_eq!(queue.take_ready(), []);
        queue.committed(id, 7);
        assert_eq!(queue.take_seen(6).len(), 0);
        assert_eq!(queue.take_ready(), []);
        assert_eq!(queue.take_seen(7).len(), 1);
        assert_eq!(queue.take_ready(), [Unit::Sweep]);
    }

    #[test]
    fn failures_are_tried_again_ever_more_slowly() {
        let mut queue = Queue::default();
        let mut waits = Vec::new();
        for _ in 0..4 {
            let id = queue.begin(Unit::Sweep, &[], vec![]);
            queue.failed(id, CommitFailure::Unavailable, AT);
            queue.mark(Unit::Sweep);
            assert_eq!(queue.take_ready(), []);
            waits.push(queue.next_time().map_or(0, |at| at.millis()));
            queue.advance(AT + RETRY_MAX);
            assert_eq!(queue.take_ready(), [Unit::Sweep]);
        }
        assert_eq!(waits, [20, 40, 80, 160]);
        let id = queue.begin(Unit::Sweep, &[], vec![]);
        queue.committed(id, 1);
        queue.take_seen(1);
        let id = queue.begin(Unit::Sweep, &[], vec![]);
        queue.failed(id, CommitFailure::Conflict, AT);
        assert_eq!(queue.take_ready(), [Unit::Sweep], "a conflict is decided again at once");
    }

    #[test]
    fn a_commit_that_is_too_large_is_followed_by_smaller_ones() {
        let mut queue = Queue::default();
        let id = queue.begin(Unit::Sweep, &[], vec![]);
        queue.failed(id, CommitFailure::TooLarge, AT);
        assert!(queue.is_small(&Unit::Sweep));
        assert_eq!(queue.take_ready(), [Unit::Sweep], "it is decided again at once");
        let id = queue.begin(Unit::Sweep, &[], vec![]);
        queue.failed(id, CommitFailure::TooLarge, AT);
        assert_eq!(queue.take_ready(), [], "one record alone is too large: no haste");
    }

    #[test]
    fn a_clock_that_jumps_back_ends_every_wait() {
        let mut queue = Queue::default();
        queue.wake(&Unit::Sweep, Some(AT + RETRY_MAX));
        let id = queue.begin(Unit::Node("n".into()), &[], vec![]);
        queue.failed(id, CommitFailure::Unavailable, AT);
        queue.forget_times();
        assert_eq!((queue.take_ready().len(), queue.next_time()), (2, None));
    }

    #[test]
    fn a_unit_has_one_time_to_wake() {
        let mut queue = Queue::default();
        queue.wake(&Unit::Sweep, Some(AT + RETRY_MAX));
        queue.wake(&Unit::Sweep, Some(AT + RETRY_MIN));
        assert_eq!(queue.next_time(), Some(AT + RETRY_MIN));
        queue.advance(AT + RETRY_MIN);
        assert_eq!((queue.take_ready(), queue.next_time()), (vec![Unit::Sweep], None));
    }
}
