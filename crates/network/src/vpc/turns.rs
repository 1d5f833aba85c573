//! One thread at a time for each interface, however many for different ones.

use std::collections::HashSet;
use std::sync::{Condvar, Mutex, PoisonError};

use gantry_types::NetworkInterfaceId;

#[derive(Default)]
pub(super) struct Turns {
    taken: Mutex<HashSet<NetworkInterfaceId>>,
    given_back: Condvar,
}

/// The turn of one interface, given back when it is dropped.
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    id: NetworkInterfaceId,
}

impl Turns {
    /// Waits for the turn. The wait is bounded by the work of the thread that has it, which itself is.
    pub(super) fn take(&self, id: &NetworkInterfaceId) -> Turn<'_> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = self
            .given_back
            .wait_while(taken, |taken| taken.contains(id))
            .unwrap_or_else(PoisonError::into_inner);
        taken.insert(id.clone());
        Turn { turns: self, id: id.clone() }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
        self.turns.given_back.notify_all();
    }
}
