//! What a decision proposes.

use crate::{Key, Record, Stored};

/// What must hold of a record for a commit to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// No such record exists.
    Absent,
    /// The record is as it was read: its revision is this one.
    Revision(u64),
    /// Whatever there is.
    Anything,
}

/// What a commit does to a record.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly every action is a put")]
pub enum Action {
    Put(Record),
    Delete,
    /// Changes nothing; the expectation alone matters, because the decision rests on this record.
    Check,
}

/// One record's part of a commit. The changes of one commit are made together or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub key: Key,
    pub expect: Expect,
    pub action: Action,
}

impl Change {
    /// Makes a record that must not exist.
    pub fn create(record: impl Stored) -> Self {
        Self { key: record.key(), expect: Expect::Absent, action: Action::Put(record.into_record()) }
    }
    /// Replaces a record that was read at `revision`.
    pub fn update(record: impl Stored, revision: u64) -> Self {
        Self {
            key: record.key(),
            expect: Expect::Revision(revision),
            action: Action::Put(record.into_record()),
        }
    }
    /// Puts a record whatever was there: for what only one writer makes.
    pub fn put(record: impl Stored) -> Self {
        Self { key: record.key(), expect: Expect::Anything, action: Action::Put(record.into_record()) }
    }
    /// Deletes a record that was read at `revision`.
    pub fn delete(key: Key, revision: u64) -> Self {
        Self { key, expect: Expect::Revision(revision), action: Action::Delete }
    }
    /// Makes the commit conflict if a record that the decision only read has changed since.
    pub fn check(key: Key, revision: u64) -> Self {
        Self { key, expect: Expect::Revision(revision), action: Action::Check }
    }
    /// Makes the commit conflict if a record exists by now.
    pub fn check_absent(key: Key) -> Self {
        Self { key, expect: Expect::Absent, action: Action::Check }
    }
}
