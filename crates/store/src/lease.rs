//! Leases: keys that go when their owner has not been heard of for a time.
//!
//! The store keeps which lease has which keys and its time to live; when it ends is known in memory alone. After a restart
//! every lease begins anew, as etcd does after a change of leader: nobody is declared dead because the store was away.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use gantry_types::Timestamp;

use crate::transaction::TransactionError;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(NonZeroU64);

impl LeaseId {
    /// `None` for zero, which stands for no lease.
    pub fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    pub fn number(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

#[derive(Debug, Clone, Copy)]
struct Lease {
    time_to_live: Duration,
    /// `None` from the store's opening to the first look at the clock.
    ends_at: Option<Timestamp>,
}

#[derive(Debug, Default)]
pub(crate) struct Leases {
    leases: BTreeMap<LeaseId, Lease>,
}

impl Leases {
    pub(crate) fn contains(&self, id: LeaseId) -> bool {
        self.leases.contains_key(&id)
    }

    pub(crate) fn insert(&mut self, id: LeaseId, time_to_live: Duration, now: Option<Timestamp>) {
        self.leases.insert(id, Lease { time_to_live, ends_at: now.map(|now| now + time_to_live) });
    }

    pub(crate) fn remove(&mut self, id: LeaseId) {
        self.leases.remove(&id);
    }

    pub(crate) fn keep_alive(&mut self, id: LeaseId, now: Timestamp) -> Result<(), TransactionError> {
        let lease = self.leases.get_mut(&id).ok_or(TransactionError::LeaseNotFound(id))?;
        lease.ends_at = Some(now + lease.time_to_live);
        Ok(())
    }

    /// The leases that have ended; those that have no end yet get one.
    pub(crate) fn ended(&mut self, now: Timestamp) -> Vec<LeaseId> {
        let has_ended = |lease: &mut Lease| *lease.ends_at.get_or_insert(now + lease.time_to_live) <= now;
        self.leases.iter_mut().filter_map(|(id, lease)| has_ended(lease).then_some(*id)).collect()
    }

    /// When the next lease ends, if none is kept alive.
    pub(crate) fn next_end(&self) -> Option<Timestamp> {
        self.leases.values().filter_map(|lease| lease.ends_at).min()
    }
}
