//! One registration of a target, as all shards see it.
//!
//! **Draining.** `Drained` may be said only when no request is in flight on the target and none can come. Both are one
//! number: the requests in flight, with [`CLOSED`] as its highest bit. A shard enters by adding one, and sees in the value
//! before whether the bit was set; then it leaves again and picks another target. The core closes by setting the bit, and sees in
//! the value before whether a request was in flight. All these are changes of one atomic, so they have one order: a shard that
//! entered before the bit is in the count that the core sees, a shard that came after it sees the bit. Whoever leaves last
//! sees the bit and a count of one, and tells the core. A late visitor that only looks in raises the count for a moment, but
//! never sends anything, so an earlier `Drained` stays true.

use std::net::SocketAddrV4;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gantry_types::{Arn, RegistrationId};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::core::Event;
use crate::counters::{Sharded, TargetCounters};

const CLOSED: u64 = 1 << 63;

#[derive(Debug)]
pub(crate) struct TargetRuntime {
    pub(crate) group: Arn,
    pub(crate) registration: RegistrationId,
    pub(crate) address: SocketAddrV4,
    pub(crate) counters: Sharded<TargetCounters>,
    occupancy: AtomicU64,
    refused: AtomicBool,
    cut: AtomicBool,
    /// Idle connections, by shard: a connection stays with the runtime that made it.
    pools: Box<[Mutex<Vec<Idle>>]>,
    core: mpsc::Sender<Event>,
}

#[derive(Debug)]
struct Idle {
    stream: TcpStream,
    since: Instant,
}

impl TargetRuntime {
    pub(crate) fn new(
        group: Arn,
        registration: RegistrationId,
        address: SocketAddrV4,
        shards: usize,
        core: mpsc::Sender<Event>,
    ) -> Self {
        Self {
            group,
            registration,
            address,
            counters: Sharded::new(shards),
            occupancy: AtomicU64::new(0),
            refused: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            pools: (0..shards.max(1)).map(|_| Mutex::default()).collect(),
            core,
        }
    }

    /// Takes a place for a request; `None` once the target is closed.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<InFlight> {
        let before = self.occupancy.fetch_add(1, Ordering::AcqRel);
        let place = InFlight { target: Arc::clone(self) };
        // Dropping the place takes the count back.
        (before & CLOSED == 0).then_some(place)
    }

    /// No request enters from here on, and idle connections are closed. Whether none is in flight now.
    pub(crate) fn close(&self) -> bool {
        let before = self.occupancy.fetch_or(CLOSED, Ordering::AcqRel);
        for pool in &self.pools {
            lock(pool).clear();
        }
        before & !CLOSED == 0
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.occupancy.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Requests in flight.
    pub(crate) fn outstanding(&self) -> usize {
        usize::try_from(self.occupancy.load(Ordering::Acquire) & !CLOSED).unwrap_or(usize::MAX)
    }

    /// A connection failed: the target is out of choice at once, in every shard, and the core is told.
    pub(crate) fn refuse(&self) {
        if !self.refused.swap(true, Ordering::AcqRel) {
            self.tell_refused();
        }
    }

    pub(crate) fn tell_refused(&self) {
        self.tell(Event::ConnectionFailed {
            target_group: self.group.clone(),
            registration: self.registration.clone(),
        });
    }

    /// A probe succeeded.
    pub(crate) fn accept_again(&self) {
        self.refused.store(false, Ordering::Release);
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Acquire)
    }

    /// The deregistration delay is over: what still runs ends.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    /// An event that does not fit is found again by the core's regular look.
    fn tell(&self, event: Event) {
        let _ = self.core.try_send(event);
    }

    /// The youngest idle connection of a shard that is not known to be closed.
    pub(crate) fn take_idle(&self, shard: usize, age_max: Duration, check: Check) -> Option<TcpStream> {
        let mut pool = lock(&self.pools[shard % self.pools.len()]);
        while let Some(idle) = pool.pop() {
            if idle.since.elapsed() < age_max && check.passes(&idle.stream) {
                return Some(idle.stream);
            }
        }
        None
    }

    /// Keeps a connection for the next request, unless the target is closed or has enough.
    pub(crate) fn keep_idle(&self, shard: usize, stream: TcpStream, connections_max: usize) {
        let mut pool = lock(&self.pools[shard % self.pools.len()]);
        // Under the lock: `close` sets its bit before it takes the lock to empty the pool.
        if !self.is_closed() && pool.len() < connections_max {
            pool.push(Idle { stream, since: Instant::now() });
        }
    }

    /// Closes a shard's idle connections that are too old or were closed by the target.
    pub(crate) fn sweep(&self, shard: usize, age_max: Duration) {
        let mut pool = lock(&self.pools[shard % self.pools.len()]);
        pool.retain(|idle| idle.since.elapsed() < age_max && Check::Readiness.passes(&idle.stream));
    }
}

/// How an idle connection is looked at before a request is given to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// What the runtime has heard: enough for a request that can be sent again.
    Readiness,
    /// What the kernel knows this moment.
    Kernel,
}

impl Check {
    /// Whether the target has neither closed the connection nor said anything on it.
    fn passes(self, stream: &TcpStream) -> bool {
        let mut byte = [std::mem::MaybeUninit::<u8>::uninit(); 1];
        let outcome = match self {
            Self::Readiness => stream.try_read(&mut [0]),
            Self::Kernel => socket2::SockRef::from(stream).peek(&mut byte),
        };
        matches!(outcome, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    }
}

/// A request in flight on a target; dropping it leaves the target.
#[derive(Debug)]
pub(crate) struct InFlight {
    target: Arc<TargetRuntime>,
}

impl InFlight {
    pub(crate) fn target(&self) -> &Arc<TargetRuntime> {
        &self.target
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let before = self.target.occupancy.fetch_sub(1, Ordering::AcqRel);
        if before == CLOSED | 1 {
            self.target.tell(Event::Emptied {
                target_group: self.target.group.clone(),
                registration: self.target.registration.clone(),
            });
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing panics while it holds one of these locks half way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> (Arc<TargetRuntime>, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(64);
        let group = gantry_types::arn("elasticloadbalancing", "us-east-1", "targetgroup/g/1");
        let address = SocketAddrV4::new([127, 0, 0, 1].into(), 1);
        (Arc::new(TargetRuntime::new(group, "r-1".into(), address, 2, sender)), receiver)
    }

    #[test]
    fn the_last_request_on_a_closed_target_tells_the_core() {
        let (target, mut events) = target();
        let (first, second) = (target.enter().unwrap(), target.enter().unwrap());
        drop(first);
        assert!(!target.close(), "one is in flight");
        assert!(target.enter().is_none(), "no request enters a closed target");
        assert_eq!(target.outstanding(), 1);
        assert!(events.try_recv().is_err(), "it is not empty yet");
        drop(second);
        assert!(matches!(events.try_recv(), Ok(Event::Emptied { .. })));
        assert!(target.close());
    }

    #[test]
    fn no_request_is_in_flight_once_the_target_was_seen_empty() {
        for _ in 0..200 {
            let (target, mut events) = target();
            let sent_after_drained = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4)
                    .map(|_| {
                        scope.spawn(|| {
                            let mut entered = 0;
                            while let Some(place) = target.enter() {
                                entered += 1;
                                drop(place);
                            }
                            entered
                        })
                    })
                    .collect();
                let empty = target.close()
                    || std::iter::repeat_with(|| events.try_recv()).take(1 << 20).any(|e| e.is_ok());
                assert!(empty, "the target never emptied");
                let after = target.enter().is_some();
                for thread in threads {
                    thread.join().unwrap();
                }
                after
            });
            assert!(!sent_after_drained);
            assert_eq!(target.outstanding(), 0);
        }
    }

    #[test]
    fn a_refusal_is_told_once() {
        let (target, mut events) = target();
        target.refuse();
        target.refuse();
        assert!(target.is_refused());
        assert!(matches!(events.try_recv(), Ok(Event::ConnectionFailed { .. })));
        assert!(events.try_recv().is_err());
    }
}
