//! One write transaction of redb, and what the store's transactions do in it.

use redb::{ReadableTable, Table, TableDefinition, WriteTransaction};

use crate::lease::{LeaseId, Leases};
use crate::options::OPERATIONS_MAX;
use crate::stored::{self, Header};
use crate::transaction::{
    Committed, Compare, Condition, Event, Operation, Revision, Transaction, TransactionError,
};

pub(crate) const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");
pub(crate) const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
/// A lease's number and its time to live in milliseconds.
pub(crate) const LEASES: TableDefinition<'_, u64, u64> = TableDefinition::new("leases");
const LEASE_KEYS: TableDefinition<'_, (u64, &[u8]), ()> = TableDefinition::new("lease-keys");

pub(crate) const REVISION: &str = "revision";

pub(crate) struct Tables<'txn> {
    transaction: &'txn WriteTransaction,
    records: Table<'txn, &'static [u8], &'static [u8]>,
    numbers: Table<'txn, &'static str, u64>,
    // Opened by the first use: each open table costs every commit, and few commits concern leases.
    leases: Option<Table<'txn, u64, u64>>,
    lease_keys: Option<Table<'txn, (u64, &'static [u8]), ()>>,
    revision: Revision,
    pub(crate) committed: Vec<Committed>,
    /// Something was written, so there is something to commit.
    pub(crate) changed: bool,
}

impl<'txn> Tables<'txn> {
    pub(crate) fn open(transaction: &'txn WriteTransaction, revision: Revision) -> Result<Self, redb::Error> {
        Ok(Self {
            transaction,
            records: transaction.open_table(RECORDS)?,
            numbers: transaction.open_table(NUMBERS)?,
            leases: None,
            lease_keys: None,
            revision,
            committed: Vec::new(),
            changed: false,
        })
    }

    /// Writes down how far the store has come; returns the commits that were made.
    pub(crate) fn finish(mut self) -> Result<Vec<Committed>, redb::Error> {
        self.numbers.insert(REVISION, self.revision)?;
        Ok(self.committed)
    }

    /// Makes one transaction, unless a compare fails. The outer error is the disk's, the inner one the caller's.
    pub(crate) fn apply(
        &mut self,
        transaction: &Transaction,
        leases: &Leases,
    ) -> Result<Result<Revision, TransactionError>, redb::Error> {
        for compare in &transaction.compares {
            if !self.holds(compare)? {
                return Ok(Err(TransactionError::Conflict { key: compare.key.clone() }));
            }
        }
        for operation in &transaction.operations {
            match operation {
                Operation::Put { lease: Some(lease), .. } if !leases.contains(*lease) => {
                    return Ok(Err(TransactionError::LeaseNotFound(*lease)));
                }
                Operation::Put { .. } | Operation::Delete { .. } => {}
            }
        }
        let revision = self.revision + 1;
        let mut events = Vec::with_capacity(transaction.operations.len());
        for operation in &transaction.operations {
            match operation {
                Operation::Put { key, value, lease } => {
                    self.put(key, value, *lease, revision)?;
                    events.push(Event { key: key.clone(), value: Some(value.clone()) });
                }
                Operation::Delete { key } => {
                    if self.delete(key)? {
                        events.push(Event { key: key.clone(), value: None });
                    }
                }
            }
        }
        Ok(Ok(self.count(revision, events)))
    }

    pub(crate) fn grant(&mut self, id: LeaseId, time_to_live_ms: u64) -> Result<(), redb::Error> {
        self.leases()?.insert(id.number(), time_to_live_ms)?;
        self.changed = true;
        Ok(())
    }

    /// Deletes a lease and its keys, as many a commit as a transaction may change.
    pub(crate) fn revoke(&mut self, id: LeaseId) -> Result<(), redb::Error> {
        loop {
            let from = (id.number(), &[][..]);
            let mut keys = Vec::new();
            for entry in self.lease_keys()?.range(from..)?.take(OPERATIONS_MAX) {
                let (entry, _) = entry?;
                let (lease, key) = entry.value();
                if lease != id.number() {
                    break;
                }
                keys.push(key.to_vec());
            }
            if keys.is_empty() {
                break;
            }
            let mut events = Vec::with_capacity(keys.len());
            for key in keys {
                self.delete(&key)?;
                events.push(Event { key, value: None });
            }
            self.count(self.revision + 1, events);
        }
        self.leases()?.remove(id.number())?;
        self.changed = true;
        Ok(())
    }

    fn leases(&mut self) -> Result<&mut Table<'txn, u64, u64>, redb::Error> {
        match &mut self.leases {
            Some(table) => Ok(table),
            none => Ok(none.insert(self.transaction.open_table(LEASES)?)),
        }
    }

    fn lease_keys(&mut self) -> Result<&mut Table<'txn, (u64, &'static [u8]), ()>, redb::Error> {
        match &mut self.lease_keys {
            Some(table) => Ok(table),
            none => Ok(none.insert(self.transaction.open_table(LEASE_KEYS)?)),
        }
    }

    /// A commit that changed nothing has no revision of its own.
    fn count(&mut self, revision: Revision, events: Vec<Event>) -> Revision {
        if !events.is_empty() {
            self.revision = revision;
            self.committed.push(Committed { revision, events });
            self.changed = true;
        }
        self.revision
    }

    fn holds(&self, compare: &Compare) -> Result<bool, redb::Error> {
        let found = self.header(&compare.key)?;
        Ok(match compare.condition {
            Condition::Absent => found.is_none(),
            Condition::Exists => found.is_some(),
            Condition::ModRevision(revision) => found.is_some_and(|header| header.mod_revision == revision),
        })
    }

    fn header(&self, key: &[u8]) -> Result<Option<Header>, redb::Error> {
        match self.records.get(key)? {
            Some(bytes) => Ok(Some(decode_header(key, bytes.value())?)),
            None => Ok(None),
        }
    }

    fn put(
        &mut self,
        key: &[u8],
        value: &[u8],
        lease: Option<LeaseId>,
        revision: Revision,
    ) -> Result<(), redb::Error> {
        let before = self.header(key)?;
        let header = Header {
            create_revision: before.map_or(revision, |before| before.create_revision),
            mod_revision: revision,
            version: before.map_or(1, |before| before.version + 1),
            lease,
        };
        self.records.insert(key, stored::encode(header, value).as_slice())?;
        let lease_before = before.and_then(|before| before.lease);
        if lease_before != lease {
            if let Some(before) = lease_before {
                self.lease_keys()?.remove((before.number(), key))?;
            }
            if let Some(lease) = lease {
                self.lease_keys()?.insert((lease.number(), key), ())?;
            }
        }
        Ok(())
    }

    /// False when there was no such key.
    fn delete(&mut self, key: &[u8]) -> Result<bool, redb::Error> {
        let removed = match self.records.remove(key)? {
            Some(bytes) => decode_header(key, bytes.value())?,
            None => return Ok(false),
        };
        if let Some(lease) = removed.lease {
            self.lease_keys()?.remove((lease.number(), key))?;
        }
        Ok(true)
    }
}

pub(crate) fn decode_header(key: &[u8], bytes: &[u8]) -> Result<Header, redb::Error> {
    match stored::decode(bytes) {
        Ok((header, _)) => Ok(header),
        Err(stored::NotARecord) => Err(not_a_record(key)),
    }
}

pub(crate) fn not_a_record(key: &[u8]) -> redb::Error {
    redb::Error::Corrupted(format!("the value of {} is not a record", key.escape_ascii()))
}
