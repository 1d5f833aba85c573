//! The core: synchronous, one caller at a time, one sync of the disk for any number of transactions.

use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use gantry_types::Timestamp;
use redb::{ReadTransaction, ReadableDatabase, ReadableTable, TableError};

use crate::disk::Disk;
use crate::history::{Compacted, History};
use crate::lease::{LeaseId, Leases};
use crate::options::Options;
use crate::stored;
use crate::tables::{LEASES, NUMBERS, RECORDS, REVISION, Tables, not_a_record};
use crate::transaction::{Committed, KeyValue, Revision, Transaction, TransactionError};

#[derive(Debug)]
pub struct Store {
    disk: Box<dyn Disk>,
    options: Options,
    /// `None` after a failure, until the disk lets it be opened again.
    database: Option<redb::Database>,
    /// The last commit met a full disk: look for room before trying again, because each failure costs an opening.
    is_full: bool,
    revision: Revision,
    history: History,
    leases: Leases,
}

#[derive(Debug, thiserror::Error)]
#[error("cannot open the store")]
pub struct OpenError(#[source] Box<redb::Error>);

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the store is closed since its disk failed; the next commit opens it again")]
    Closed,
    #[error("cannot read the store")]
    Storage(#[source] Box<redb::Error>),
}

/// What a range read found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The state that was read.
    pub revision: Revision,
    pub items: Vec<KeyValue>,
    /// The limit was reached, and there are more.
    pub more: bool,
}

impl Store {
    pub fn open(disk: impl Disk, options: Options) -> Result<Self, OpenError> {
        let mut store = Self {
            disk: Box::new(disk),
            options,
            database: None,
            is_full: false,
            revision: 0,
            history: History::new(&options, 0),
            leases: Leases::default(),
        };
        store.reopen().map_err(|error| OpenError(Box::new(error)))?;
        Ok(store)
    }

    /// The revision of the last commit.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Makes one transaction durable and returns its revision.
    pub fn commit(&mut self, transaction: &Transaction) -> Result<Revision, TransactionError> {
        self.commit_all(std::slice::from_ref(transaction)).pop().expect("one transaction has one outcome")
    }

    /// Makes transactions in their order, each on what those before it left, and makes them durable together. A failed
    /// compare fails its own transaction; a failure of the disk fails them all.
    pub fn commit_all(&mut self, transactions: &[Transaction]) -> Vec<Result<Revision, TransactionError>> {
        let outcome = self.write(|tables, leases| {
            let apply = |transaction: &Transaction| match transaction.validate() {
                Ok(()) => tables.apply(transaction, leases),
                Err(error) => Ok(Err(error)),
            };
            transactions.iter().map(apply).collect::<Result<Vec<_>, redb::Error>>()
        });
        match outcome {
            Ok(outcomes) => outcomes,
            Err(error) => {
                let fail =
                    |transaction: &Transaction| Err(transaction.validate().err().unwrap_or(error.clone()));
                transactions.iter().map(fail).collect()
            }
        }
    }

    pub fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, ReadError> {
        let page = self.range((Bound::Included(key), Bound::Included(key)), 1)?;
        Ok(page.items.into_iter().next())
    }

    /// The keys that begin with `prefix`, at most `limit`.
    pub fn prefix(&self, prefix: &[u8], limit: usize) -> Result<Page, ReadError> {
        let end = prefix_end(prefix);
        let to = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        self.range((Bound::Included(prefix), to), limit)
    }

    /// The keys of a range in their order, at most `limit`.
    pub fn range(&self, range: (Bound<&[u8]>, Bound<&[u8]>), limit: usize) -> Result<Page, ReadError> {
        let mut page = Page { revision: self.revision, items: Vec::new(), more: false };
        self.visit(range, |item| {
            page.more = page.items.len() == limit;
            if !page.more {
                page.items.push(item);
            }
            !page.more
        })?;
        Ok(page)
    }

    /// Gives each key of a range to `take`, as long as it returns true.
    pub fn visit(
        &self,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        mut take: impl FnMut(KeyValue) -> bool,
    ) -> Result<(), ReadError> {
        let Some(database) = &self.database else { return Err(ReadError::Closed) };
        let mut visit = || -> Result<(), redb::Error> {
            if is_empty(range) {
                return Ok(());
            }
            let read = database.begin_read()?;
            let table = match read.open_table(RECORDS) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(()),
                table => table?,
            };
            for entry in table.range::<&[u8]>(range)? {
                let (key, bytes) = entry?;
                let (key, bytes) = (key.value(), bytes.value());
                let (header, value) =
                    stored::decode(bytes).map_err(|stored::NotARecord| not_a_record(key))?;
                if !take(stored::key_value(key, header, value)) {
                    break;
                }
            }
            Ok(())
        };
        visit().map_err(|error| ReadError::Storage(Box::new(error)))
    }

    /// The commits after a revision, oldest first.
    pub fn changes_after(&self, revision: Revision) -> Result<Vec<Arc<Committed>>, Compacted> {
        self.history.after(revision)
    }

    /// Makes a lease; a lease of the same name gets the new time to live.
    pub fn grant_lease(
        &mut self,
        id: LeaseId,
        time_to_live: Duration,
        now: Timestamp,
    ) -> Result<(), TransactionError> {
        let time_to_live_ms = u64::try_from(time_to_live.as_millis()).unwrap_or(u64::MAX);
        self.write(|tables, _| tables.grant(id, time_to_live_ms))?;
        self.leases.insert(id, time_to_live, Some(now));
        Ok(())
    }

    pub fn keep_lease_alive(&mut self, id: LeaseId, now: Timestamp) -> Result<(), TransactionError> {
        self.leases.keep_alive(id, now)
    }

    /// Deletes a lease and its keys.
    pub fn revoke_lease(&mut self, id: LeaseId) -> Result<(), TransactionError> {
        if !self.leases.contains(id) {
            return Err(TransactionError::LeaseNotFound(id));
        }
        self.revoke(&[id])
    }

    /// Deletes the leases that have ended, with their keys, and returns them.
    pub fn expire_leases(&mut self, now: Timestamp) -> Result<Vec<LeaseId>, TransactionError> {
        let ended = self.leases.ended(now);
        if !ended.is_empty() {
            self.revoke(&ended)?;
        }
        Ok(ended)
    }

    /// When [`Self::expire_leases`] is due.
    pub fn next_lease_end(&self) -> Option<Timestamp> {
        self.leases.next_end()
    }

    /// Opens the store again where a failure has closed it. Every commit does so too.
    pub fn recover(&mut self) -> Result<(), TransactionError> {
        if self.database.is_none() {
            self.reopen().map_err(|error| self.describe(error))?;
        }
        Ok(())
    }

    fn revoke(&mut self, ids: &[LeaseId]) -> Result<(), TransactionError> {
        self.write(|tables, _| ids.iter().try_for_each(|id| tables.revoke(*id)))?;
        for id in ids {
            self.leases.remove(*id);
        }
        Ok(())
    }

    /// Runs `body` in one write transaction of redb and makes it durable, if it changed anything.
    fn write<T>(
        &mut self,
        body: impl FnOnce(&mut Tables<'_>, &Leases) -> Result<T, redb::Error>,
    ) -> Result<T, TransactionError> {
        self.recover()?;
        self.require_room()?;
        let database = self.database.as_ref().expect("recover opened the store or failed");
        match try_write(database, self.revision, &self.leases, body) {
            Ok((outcome, committed)) => {
                self.is_full = false;
                for commit in committed {
                    self.revision = commit.revision;
                    self.history.push(commit);
                }
                Ok(outcome)
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    fn require_room(&mut self) -> Result<(), TransactionError> {
        // Where the room cannot be told, trying tells it.
        let has_room = !self.is_full || self.disk.has_room().unwrap_or(true);
        if has_room { Ok(()) } else { Err(TransactionError::StorageFull) }
    }

    /// Opens the store again, so that reads go on and the next commit can succeed.
    fn fail(&mut self, error: redb::Error) -> TransactionError {
        let before = self.revision;
        let error = self.describe(error);
        self.database = None;
        match (error, self.reopen()) {
            // The disk took the commit and failed afterwards.
            (TransactionError::StorageFull, Ok(())) if self.revision != before => {
                TransactionError::Storage(Arc::new(redb::Error::Io(io::ErrorKind::StorageFull.into())))
            }
            (error, Ok(()) | Err(_)) => error,
        }
    }

    fn describe(&mut self, error: redb::Error) -> TransactionError {
        match &error {
            redb::Error::Io(io)
                if matches!(io.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
            {
                self.is_full = true;
                TransactionError::StorageFull
            }
            _ => TransactionError::Storage(Arc::new(error)),
        }
    }

    fn reopen(&mut self) -> Result<(), redb::Error> {
        let mut builder = redb::Builder::new();
        builder.set_cache_size(self.options.cache_bytes);
        let database = self.disk.open(&builder)?;
        let (revision, leases) = load(&database.begin_read()?)?;
        if revision != self.revision {
            self.history = History::new(&self.options, revision);
            self.revision = revision;
        }
        for (id, time_to_live) in leases {
            if !self.leases.contains(id) {
                self.leases.insert(id, time_to_live, None);
            }
        }
        self.database = Some(database);
        Ok(())
    }
}

fn try_write<T>(
    database: &redb::Database,
    revision: Revision,
    leases: &Leases,
    body: impl FnOnce(&mut Tables<'_>, &Leases) -> Result<T, redb::Error>,
) -> Result<(T, Vec<Committed>), redb::Error> {
    let transaction = database.begin_write()?;
    let mut tables = Tables::open(&transaction, revision)?;
    let outcome = body(&mut tables, leases)?;
    if !tables.changed {
        drop(tables);
        transaction.abort()?;
        return Ok((outcome, Vec::new()));
    }
    let committed = tables.finish()?;
    transaction.commit()?;
    Ok((outcome, committed))
}

fn load(read: &ReadTransaction) -> Result<(Revision, Vec<(LeaseId, Duration)>), redb::Error> {
    let revision = match read.open_table(NUMBERS) {
        Err(TableError::TableDoesNotExist(_)) => 0,
        table => table?.get(REVISION)?.map_or(0, |revision| revision.value()),
    };
    let mut leases = Vec::new();
    match read.open_table(LEASES) {
        Err(TableError::TableDoesNotExist(_)) => {}
        table => {
            for entry in table?.iter()? {
                let (id, time_to_live_ms) = entry?;
                let id = LeaseId::new(id.value());
                leases.extend(id.map(|id| (id, Duration::from_millis(time_to_live_ms.value()))));
            }
        }
    }
    Ok((revision, leases))
}

/// redb takes a range that ends before it begins for a mistake.
fn is_empty(range: (Bound<&[u8]>, Bound<&[u8]>)) -> bool {
    match range {
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to))
        | (Bound::Excluded(from), Bound::Included(to)) => from >= to,
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
    }
}

/// The first key behind all that begin with `prefix`; `None` when nothing is.
fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}
