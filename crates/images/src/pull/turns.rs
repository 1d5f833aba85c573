//! Taking turns at one thing: the same layer is downloaded once, and not too many images at a time.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::cancellation::Cancellation;

/// Who waits looks at its cancellation so often.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Keys that are taken, at most so many at once.
pub(super) struct Turns<K> {
    taken: Mutex<BTreeSet<K>>,
    changed: Condvar,
    at_once: usize,
}

/// Given back when dropped.
pub(super) struct Turn<'a, K: Ord + Clone> {
    turns: &'a Turns<K>,
    key: K,
}

impl<K: Ord + Clone> Turns<K> {
    pub(super) fn new(at_once: usize) -> Self {
        Self { taken: Mutex::default(), changed: Condvar::new(), at_once: at_once.max(1) }
    }

    /// Waits until nobody has the key and there is room; `None` if it was cancelled first.
    pub(super) fn take(&self, key: &K, cancellation: &Cancellation) -> Option<Turn<'_, K>> {
        let mut taken = self.lock();
        while taken.contains(key) || taken.len() >= self.at_once {
            if cancellation.is_cancelled() {
                return None;
            }
            taken = self.changed.wait_timeout(taken, LOOK_INTERVAL).unwrap_or_else(PoisonError::into_inner).0;
        }
        taken.insert(key.clone());
        Some(Turn { turns: self, key: key.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<K>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Ord + Clone> Drop for Turn<'_, K> {
    fn drop(&mut self) {
        self.turns.lock().remove(&self.key);
        self.turns.changed.notify_all();
    }
}
