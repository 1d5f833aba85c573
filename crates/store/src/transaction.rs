//! What is asked of the store, and what it answers: etcd's nouns, in bytes.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::lease::LeaseId;
use crate::options::{OPERATIONS_MAX, TRANSACTION_BYTES_MAX};

/// Counts the commits that changed something; the empty store has revision 0.
pub type Revision = u64;

/// Operations that are made together, or not at all when a compare fails.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    pub compares: Vec<Compare>,
    /// At most one for each key.
    pub operations: Vec<Operation>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compare {
    pub key: Vec<u8>,
    pub condition: Condition,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    Absent,
    Exists,
    ModRevision(Revision),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    Put { key: Vec<u8>, value: Vec<u8>, lease: Option<LeaseId> },
    Delete { key: Vec<u8> },
}

/// A key with its value and its history in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    /// The commit that made the key, since it was last absent.
    pub create_revision: Revision,
    /// The commit that put it last.
    pub mod_revision: Revision,
    /// Puts since it was made: 1 at first.
    pub version: u64,
    pub lease: Option<LeaseId>,
}

/// One commit as a watcher sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    pub revision: Revision,
    pub events: Vec<Event>,
}

/// A key that was put, with its value, or deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum TransactionError {
    #[error("the key {} is not as it was expected to be", key.escape_ascii())]
    Conflict { key: Vec<u8> },
    #[error("a transaction has {count} operations, and {OPERATIONS_MAX} are allowed")]
    TooManyOperations { count: usize },
    #[error("a transaction has {bytes} bytes, and {TRANSACTION_BYTES_MAX} are allowed")]
    TooLarge { bytes: usize },
    #[error("a key is empty")]
    EmptyKey,
    #[error("the key {} is changed twice in one transaction", key.escape_ascii())]
    DuplicateKey { key: Vec<u8> },
    #[error("the lease {0} does not exist")]
    LeaseNotFound(LeaseId),
    /// Nothing was changed, reads go on, and commits do as soon as there is room.
    #[error("the disk has no room to store the change")]
    StorageFull,
    /// Whether the change was made is told by reading; the store has been opened again, or will be by the next commit.
    #[error("the change could not be stored")]
    Storage(#[source] Arc<redb::Error>),
}

impl Transaction {
    pub fn compare(mut self, key: impl Into<Vec<u8>>, condition: Condition) -> Self {
        self.compares.push(Compare { key: key.into(), condition });
        self
    }

    pub fn put(mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        self.operations.push(Operation::Put { key: key.into(), value: value.into(), lease: None });
        self
    }

    pub fn delete(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.operations.push(Operation::Delete { key: key.into() });
        self
    }

    /// Keys and values, as etcd's limit counts them.
    pub(crate) fn bytes(&self) -> usize {
        let compared: usize = self.compares.iter().map(|compare| compare.key.len()).sum();
        compared + self.operations.iter().map(Operation::bytes).sum::<usize>()
    }

    /// What etcd would refuse is refused here too, so that every plan fits both.
    pub(crate) fn validate(&self) -> Result<(), TransactionError> {
        let count = self.operations.len().max(self.compares.len());
        if count > OPERATIONS_MAX {
            return Err(TransactionError::TooManyOperations { count });
        }
        let bytes = self.bytes();
        if bytes > TRANSACTION_BYTES_MAX {
            return Err(TransactionError::TooLarge { bytes });
        }
        let mut seen = BTreeSet::new();
        for key in self.operations.iter().map(Operation::key) {
            if !seen.insert(key) {
                return Err(TransactionError::DuplicateKey { key: key.to_vec() });
            }
        }
        let is_empty = seen.contains(&[][..]) || self.compares.iter().any(|compare| compare.key.is_empty());
        if is_empty { Err(TransactionError::EmptyKey) } else { Ok(()) }
    }
}

impl Operation {
    pub(crate) fn key(&self) -> &[u8] {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Put { key, value, .. } => key.len() + value.len(),
            Self::Delete { key } => key.len(),
        }
    }
}

impl Committed {
    pub(crate) fn bytes(&self) -> usize {
        let event = |event: &Event| event.key.len() + event.value.as_ref().map_or(0, Vec::len);
        self.events.iter().map(event).sum()
    }
}
