//! The changes of one commit while it is being made.

use std::collections::BTreeMap;

use crate::{Action, Change, Expect, Key, Stored, Versioned, View};

/// At most one change a record, in the order of the keys.
///
/// Several decisions may add to one batch, the later ones reading what the earlier ones proposed. The expectation that came
/// first stays, because it names what the store holds; the action that came last wins.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch {
    changes: BTreeMap<Key, Change>,
}

impl Batch {
    pub fn len(&self) -> usize {
        self.changes.len()
    }
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
    pub fn contains(&self, key: &Key) -> bool {
        self.changes.contains_key(key)
    }

    /// Adds a change. A check adds nothing to a record that the batch changes already.
    pub fn add(&mut self, change: Change) {
        match self.changes.get_mut(&change.key) {
            Some(_) if change.action == Action::Check => {}
            Some(earlier) => {
                earlier.action = change.action;
                if earlier.expect == Expect::Anything {
                    earlier.expect = change.expect;
                }
            }
            None => {
                self.changes.insert(change.key.clone(), change);
            }
        }
    }

    /// Puts a record on top of what the view holds.
    pub fn put(&mut self, view: &View, record: impl Stored) {
        match view.record(&record.key()) {
            Some((revision, _)) => self.add(Change::update(record, revision)),
            None => self.add(Change::create(record)),
        }
    }

    /// Deletes a record that the view holds; one that only the batch holds is forgotten.
    pub fn delete(&mut self, view: &View, key: Key) {
        match view.record(&key) {
            Some((revision, _)) => self.add(Change::delete(key, revision)),
            None => {
                self.changes.remove(&key);
            }
        }
    }

    /// A record as it will be after the commit. The revision is the one that the store holds, 0 if it holds none.
    pub fn read<'a, T: Stored>(&'a self, view: &'a View, key: &Key) -> Option<Versioned<'a, T>> {
        match self.changes.get(key).map(|change| &change.action) {
            Some(Action::Put(record)) => {
                let revision = view.record(key).map_or(0, |(revision, _)| revision);
                T::from_record(record).map(|value| Versioned::new(revision, value))
            }
            Some(Action::Delete) => None,
            Some(Action::Check) | None => view.get(key),
        }
    }

    /// A record of the view as it will be after the commit.
    pub fn read_again<'a, T: Stored>(&'a self, found: Versioned<'a, T>) -> Option<Versioned<'a, T>> {
        if self.changes.is_empty() {
            return Some(found);
        }
        match self.changes.get(&found.key()).map(|change| &change.action) {
            Some(Action::Put(record)) => {
                T::from_record(record).map(|value| Versioned::new(found.revision, value))
            }
            Some(Action::Delete) => None,
            Some(Action::Check) | None => Some(found),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Change> {
        self.changes.values()
    }
    pub fn into_changes(self) -> Vec<Change> {
        self.changes.into_values().collect()
    }
}

impl Extend<Change> for Batch {
    fn extend<I: IntoIterator<Item = Change>>(&mut self, changes: I) {
        for change in changes {
            self.add(change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Object;
    use gantry_types::Value;

    fn object(name: &str, number: i64) -> Object {
        Object { class: "test".to_owned(), name: name.to_owned(), document: Value::Int(number) }
    }

    #[test]
    fn a_later_decision_reads_what_an_earlier_one_proposed() {
        let mut view = View::default();
        view.apply(vec![Change::create(object("a", 1))], 7);
        let key = Key::object("test", "a");
        let mut batch = Batch::default();
        batch.put(&view, object("a", 2));
        batch.add(Change::check(key.clone(), 7));
        let read = batch.read::<Object>(&view, &key).map(|o| (o.revision, o.document.clone()));
        assert_eq!(read, Some((7, Value::Int(2))));
        let again = |batch: &Batch| {
            let found = view.get::<Object>(&key).expect("the view has it");
            batch.read_again(found).map(|o| (o.revision, o.document.clone()))
        };
        assert_eq!(again(&Batch::default()), Some((7, Value::Int(1))));
        assert_eq!(again(&batch), read);
        batch.put(&view, object("a", 3));
        assert_eq!(batch.clone().into_changes(), [Change::update(object("a", 3), 7)]);
        batch.delete(&view, key.clone());
        assert_eq!(batch.read::<Object>(&view, &key).map(|o| o.revision), None);
        assert_eq!(again(&batch), None);
        assert_eq!(batch.into_changes(), [Change::delete(key, 7)]);
    }

    #[test]
    fn what_only_the_batch_holds_can_be_taken_back() {
        let (view, mut batch) = (View::default(), Batch::default());
        batch.put(&view, object("a", 1));
        batch.delete(&view, Key::object("test", "a"));
        assert!(batch.is_empty());
    }
}
