//! What will happen, and when: the world's only clock.

use std::collections::BTreeMap;

/// Milliseconds since the world began.
pub(crate) type At = u64;

/// Happenings by time; those of the same millisecond in the order in which they were put down.
#[derive(Debug)]
pub(crate) struct Agenda<T> {
    now: At,
    next: u64,
    entries: BTreeMap<(At, u64), T>,
}

impl<T> Agenda<T> {
    pub(crate) fn new() -> Self {
        Self { now: 0, next: 0, entries: BTreeMap::new() }
    }
    pub(crate) fn now(&self) -> At {
        self.now
    }
    /// What is past happens now.
    pub(crate) fn at(&mut self, at: At, happening: T) {
        self.next += 1;
        self.entries.insert((at.max(self.now), self.next), happening);
    }
    pub(crate) fn after(&mut self, delay: u64, happening: T) {
        self.at(self.now + delay, happening);
    }
    /// Goes to the next happening.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let ((at, _), happening) = self.entries.pop_first()?;
        self.now = at;
        Some(happening)
    }
}
