//! A pull under way, and who waits for it. Those who want the same image at the same time share one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Pulled;
use super::cancellation::Cancellation;
use super::error::PullError;
use super::progress::Tracker;

/// What came of a pull, for all who waited.
pub type PullOutcome = Result<Pulled, Arc<PullError>>;
type Waiter = Box<dyn FnOnce(PullOutcome) + Send>;

pub(super) struct Flight {
    pub(super) tracker: Tracker,
    pub(super) cancellation: Cancellation,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    waiters: Vec<(u64, Waiter)>,
    /// It landed, or nobody waited any more: nobody can join.
    is_over: bool,
}

impl Flight {
    pub(super) fn new() -> Self {
        Self { tracker: Tracker::default(), cancellation: Cancellation::default(), waiting: Mutex::default() }
    }

    /// Waits for the outcome too; gives the waiter back if it is too late.
    pub(super) fn join(&self, waiter: Waiter) -> Result<u64, Waiter> {
        let mut waiting = self.lock();
        if waiting.is_over {
            return Err(waiter);
        }
        let seat = waiting.next;
        waiting.next += 1;
        waiting.waiters.push((seat, waiter));
        Ok(seat)
    }

    /// Waits no more. What nobody waits for is stopped.
    pub(super) fn leave(&self, seat: u64) {
        let mut waiting = self.lock();
        let before = waiting.waiters.len();
        waiting.waiters.retain(|(other, _)| *other != seat);
        if waiting.waiters.is_empty() && before > 0 {
            waiting.is_over = true;
            drop(waiting);
            self.cancellation.cancel();
        }
    }

    pub(super) fn land(&self, outcome: &PullOutcome) {
        let mut waiting = self.lock();
        waiting.is_over = true;
        let waiters = std::mem::take(&mut waiting.waiters);
        drop(waiting);
        for (_, waiter) in waiters {
            waiter(outcome.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
