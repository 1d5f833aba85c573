//! What the store was said to have, kept beside it.

use std::collections::BTreeSet;

use gantry_domain::{Action, Change, Key, View};

/// The acknowledged commits, in order, and what may be there although nobody was told.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) view: View,
    /// The last revision that somebody was told of.
    acknowledged: u64,
    /// Records of commits that failed or were not answered: each may be as before or as after.
    doubtful: BTreeSet<Key>,
}

impl Ledger {
    pub(crate) fn acknowledge(&mut self, changes: Vec<Change>, revision: u64) -> Result<(), String> {
        let expected = self.view.revision() + u64::from(self.changes_something(&changes));
        if revision != expected {
            return Err(format!("a commit was acknowledged as revision {revision}, it is {expected}"));
        }
        self.view.apply(changes, revision);
        self.acknowledged = revision;
        // What is synced now has all before it.
        self.doubtful.clear();
        Ok(())
    }

    /// A commit that failed is in the view all the same.
    pub(crate) fn apply(&mut self, changes: Vec<Change>) -> Result<(), String> {
        if self.changes_something(&changes) {
            let revision = self.view.revision() + 1;
            self.view.apply(changes, revision);
        }
        Ok(())
    }

    pub(crate) fn doubt(&mut self, changes: &[Change]) {
        self.doubtful.extend(changes.iter().map(|change| change.key.clone()));
    }

    /// Compares what a store has that was opened again, and goes on from there.
    pub(crate) fn recover(&mut self, recovered: &View) -> Result<(), String> {
        if recovered.revision() < self.acknowledged {
            return Err(format!(
                "revision {} was acknowledged, the store is at {}",
                self.acknowledged,
                recovered.revision()
            ));
        }
        for (key, revision, record) in self.view.records() {
            let same =
                recovered.record(key).is_some_and(|(other, found)| other == revision && found == record);
            if !same && !self.doubtful.contains(key) {
                return Err(format!("{key} is not as it was at revision {revision}"));
            }
        }
        for (key, revision, _) in recovered.records() {
            if self.view.record(key).is_none() && !self.doubtful.contains(key) {
                return Err(format!("{key} of revision {revision} was never committed"));
            }
        }
        self.view = recovered.clone();
        self.doubtful.clear();
        Ok(())
    }

    fn changes_something(&self, changes: &[Change]) -> bool {
        changes.iter().any(|change| match &change.action {
            Action::Put(_) => true,
            Action::Delete => self.view.record(&change.key).is_some(),
            Action::Check => false,
        })
    }
}
