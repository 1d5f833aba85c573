//! What can go wrong with records.

use std::sync::Arc;

use gantry_domain::Key;

use crate::store::{OpenError, ReadError};
use crate::transaction::TransactionError;

#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("cannot load the records")]
    Read(#[from] ReadError),
    #[error("the store holds something under {} that is no record of this version", key.escape_ascii())]
    NotARecord { key: Vec<u8>, source: Option<serde_json::Error> },
    #[error("cannot start the thread that writes the store")]
    Thread(#[source] std::io::Error),
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// The record is not as it was read, or made by somebody else meanwhile: read and decide again.
    #[error("{key} has changed since it was read")]
    Conflict { key: Key },
    /// The change's key is not the one that the record's fields give.
    #[error("a record of {record} cannot be put under {key}")]
    WrongKey { key: Key, record: Key },
    #[error("{key} cannot be written so that it can be read back")]
    NotWritable { key: Key, source: Option<Arc<serde_json::Error>> },
    /// Too many changes, too many bytes, or two changes of one record.
    #[error(transparent)]
    Refused(TransactionError),
    /// Nothing was changed. Reads go on, and commits do as soon as there is room.
    #[error("the disk has no room to store the change")]
    StorageFull,
    /// Whether the change was made is told by the view.
    #[error("the change could not be stored")]
    Storage(#[source] Arc<redb::Error>),
    /// The same, and the records could not be read again either.
    #[error("the records could not be read again after a failure of the disk")]
    Reload(#[source] Arc<DatabaseError>),
    #[error("the store has been closed")]
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubscriptionError {
    /// Whatever may have changed must be read from the view again; the subscription goes on behind the gap.
    #[error("{missed} commits were missed")]
    Lagged { missed: u64 },
    #[error("the store has been closed")]
    Closed,
}

impl CommitError {
    pub(crate) fn from_transaction(error: TransactionError) -> Self {
        match error {
            TransactionError::Conflict { key } => match Key::from_bytes(&key) {
                Some(key) => Self::Conflict { key },
                None => Self::Refused(TransactionError::Conflict { key }),
            },
            TransactionError::StorageFull => Self::StorageFull,
            TransactionError::Storage(source) => Self::Storage(source),
            TransactionError::TooManyOperations { .. }
            | TransactionError::TooLarge { .. }
            | TransactionError::EmptyKey
            | TransactionError::DuplicateKey { .. }
            | TransactionError::LeaseNotFound(_) => Self::Refused(error),
        }
    }
}
