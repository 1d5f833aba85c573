//! The synchronous core: store, view and history of one database.

use std::collections::VecDeque;
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use gantry_domain::{Action, Change, Key, View};

use super::encode::{Prepared, prepare};
use super::error::{CommitError, DatabaseError};
use super::loaded::{differing_keys, load};
use crate::disk::Disk;
use crate::history::Compacted;
use crate::options::{CHANGED_MAX, Options};
use crate::store::Store;
use crate::transaction::Revision;

/// One commit as a subscriber sees it: which records to look at in the view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    pub revision: Revision,
    pub keys: Vec<Key>,
}

#[derive(Debug)]
pub struct DatabaseCore {
    store: Store,
    view: Arc<RwLock<View>>,
    /// The most recent commits, oldest first.
    changed: VecDeque<Arc<Changed>>,
    /// The last revision that is not among them any more.
    compacted: Revision,
}

impl DatabaseCore {
    pub fn open(disk: impl Disk, options: Options) -> Result<Self, DatabaseError> {
        // The store's own history holds values, which nobody here asks for.
        let options = Options { history_commits_max: 0, history_bytes_max: 0, ..options };
        let store = Store::open(disk, options)?;
        let view = load(&store)?;
        let compacted = view.revision();
        Ok(Self { store, view: Arc::new(RwLock::new(view)), changed: VecDeque::new(), compacted })
    }

    /// All records as of the last commit. No commit is applied while the guard is held.
    pub fn view(&self) -> RwLockReadGuard<'_, View> {
        read(&self.view)
    }

    pub(super) fn shared_view(&self) -> Arc<RwLock<View>> {
        Arc::clone(&self.view)
    }

    /// Makes all changes, if every expectation holds, and returns the revision that the view has then.
    pub fn commit(&mut self, changes: Vec<Change>) -> Result<Revision, CommitError> {
        self.commit_group(vec![changes]).pop().expect("one commit has one outcome")
    }

    /// Makes several commits, each on what those before it left, with one sync of the disk.
    pub fn commit_group(&mut self, group: Vec<Vec<Change>>) -> Vec<Result<Revision, CommitError>> {
        let mut prepared = Vec::with_capacity(group.len());
        let mut outcomes: Vec<Option<_>> = Vec::with_capacity(group.len());
        for changes in group {
            match prepare(changes) {
                Ok(ready) => {
                    prepared.push(ready);
                    outcomes.push(None);
                }
                Err(error) => outcomes.push(Some(Err(error))),
            }
        }
        let mut committed = self.commit_prepared(prepared).into_iter();
        let mut next = || committed.next().expect("each prepared commit has one outcome");
        outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(&mut next)).collect()
    }

    /// The commits after a revision, oldest first.
    pub fn changes_after(&self, revision: Revision) -> Result<Vec<Arc<Changed>>, Compacted> {
        if revision < self.compacted {
            return Err(Compacted { asked: revision, oldest: self.compacted });
        }
        let known = self.changed.partition_point(|changed| changed.revision <= revision);
        Ok(self.changed.iter().skip(known).cloned().collect())
    }

    pub(super) fn commit_prepared(&mut self, prepared: Vec<Prepared>) -> Vec<Result<Revision, CommitError>> {
        if let Err(error) = self.agree() {
            return prepared.iter().map(|_| Err(error.clone())).collect();
        }
        let (changes, transactions): (Vec<_>, Vec<_>) =
            prepared.into_iter().map(|prepared| (prepared.changes, prepared.transaction)).unzip();
        let outcomes = self.store.commit_all(&transactions);
        let view = Arc::clone(&self.view);
        let mut view = write(&view);
        let mut answers = Vec::with_capacity(outcomes.len());
        let mut has_failed = false;
        for (outcome, changes) in outcomes.into_iter().zip(changes) {
            answers.push(outcome.map_err(CommitError::from_transaction));
            match answers.last() {
                // A commit that changes nothing has the revision of the one before it.
                Some(Ok(revision)) if *revision > view.revision() => {
                    let is_change = |change: &&Change| change.action != Action::Check;
                    let keys = changes.iter().filter(is_change).map(|change| change.key.clone()).collect();
                    view.apply(changes, *revision);
                    self.remember(Changed { revision: *revision, keys });
                }
                Some(Err(CommitError::Storage(_))) => has_failed = true,
                _ => {}
            }
        }
        drop(view);
        if has_failed {
            // Those who failed learn from the view whether the disk had taken their change; if it cannot be told now, the
            // next commit begins with it.
            let _ = self.agree();
        }
        answers
    }

    /// Makes the view what the store holds, if a failure of the disk left it open whether a commit was made.
    fn agree(&mut self) -> Result<(), CommitError> {
        self.store.recover().map_err(CommitError::from_transaction)?;
        if self.store.revision() == self.view().revision() {
            return Ok(());
        }
        let loaded = load(&self.store).map_err(|error| CommitError::Reload(Arc::new(error)))?;
        let keys = differing_keys(&self.view(), &loaded);
        let revision = loaded.revision();
        *write(&self.view) = loaded;
        self.remember(Changed { revision, keys });
        Ok(())
    }

    fn remember(&mut self, changed: Changed) {
        self.changed.push_back(Arc::new(changed));
        if self.changed.len() > CHANGED_MAX
            && let Some(oldest) = self.changed.pop_front()
        {
            self.compacted = oldest.revision;
        }
    }
}

pub(super) fn read(view: &RwLock<View>) -> RwLockReadGuard<'_, View> {
    view.read().expect("a view that was left half changed must not be read")
}

fn write(view: &RwLock<View>) -> RwLockWriteGuard<'_, View> {
    view.write().expect("a view that was left half changed must not be read")
}
