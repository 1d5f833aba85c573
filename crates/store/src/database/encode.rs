//! Changes of records as a transaction in bytes.

use std::sync::Arc;

use gantry_domain::{Action, Change, Expect, Key, Record};

use super::error::CommitError;
use crate::transaction::{Compare, Condition, Operation, Transaction};

/// Changes with the bytes that stand for them, so that the thread that writes need not encode.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) changes: Vec<Change>,
    pub(super) transaction: Transaction,
}

pub(super) fn prepare(changes: Vec<Change>) -> Result<Prepared, CommitError> {
    let mut transaction = Transaction::default();
    for change in &changes {
        let key = change.key.to_bytes();
        let condition = match change.expect {
            Expect::Absent => Some(Condition::Absent),
            Expect::Revision(revision) => Some(Condition::ModRevision(revision)),
            Expect::Anything => None,
        };
        transaction.compares.extend(condition.map(|condition| Compare { key: key.clone(), condition }));
        match &change.action {
            Action::Put(record) => {
                let value = encode(&change.key, record)?;
                transaction.operations.push(Operation::Put { key, value, lease: None });
            }
            Action::Delete => transaction.operations.push(Operation::Delete { key }),
            Action::Check => {}
        }
    }
    transaction.validate().map_err(CommitError::from_transaction)?;
    Ok(Prepared { changes, transaction })
}

/// A record that could not be read back would keep the store from opening, so it is refused while its maker can be told.
fn encode(key: &Key, record: &Record) -> Result<Vec<u8>, CommitError> {
    let of_record = record.key();
    if of_record != *key {
        return Err(CommitError::WrongKey { key: key.clone(), record: of_record });
    }
    let not_writable = |source| CommitError::NotWritable { key: key.clone(), source };
    let text = serde_json::to_string(record).map_err(|error| not_writable(Some(Arc::new(error))))?;
    match serde_json::from_str::<Record>(&text) {
        Ok(read_back) if read_back == *record => Ok(text.into_bytes()),
        Ok(_) => Err(not_writable(None)),
        Err(error) => Err(not_writable(Some(Arc::new(error)))),
    }
}
