//! The store in twenty lines, to compare with; and the random transactions that both are given.

use std::collections::BTreeMap;

use gantry_store::{Condition, KeyValue, Operation, Revision, Transaction};
use gantry_types::Ids;

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Model {
    pub(crate) revision: Revision,
    pub(crate) records: BTreeMap<Vec<u8>, KeyValue>,
}

impl Model {
    /// The revision, or the key whose compare failed.
    pub(crate) fn commit(&mut self, transaction: &Transaction) -> Result<Revision, Vec<u8>> {
        for compare in &transaction.compares {
            let found = self.records.get(&compare.key);
            let holds = match compare.condition {
                Condition::Absent => found.is_none(),
                Condition::Exists => found.is_some(),
                Condition::ModRevision(revision) => found.is_some_and(|found| found.mod_revision == revision),
            };
            if !holds {
                return Err(compare.key.clone());
            }
        }
        let (revision, mut changed) = (self.revision + 1, false);
        for operation in &transaction.operations {
            match operation {
                Operation::Put { key, value, lease } => {
                    let before = self.records.get(key);
                    let record = KeyValue {
                        key: key.clone(),
                        value: value.clone(),
                        create_revision: before.map_or(revision, |before| before.create_revision),
                        mod_revision: revision,
                        version: before.map_or(1, |before| before.version + 1),
                        lease: *lease,
                    };
                    self.records.insert(key.clone(), record);
                    changed = true;
                }
                Operation::Delete { key } => changed |= self.records.remove(key).is_some(),
            }
        }
        if changed {
            self.revision = revision;
        }
        Ok(self.revision)
    }

    pub(crate) fn content(&self) -> Vec<KeyValue> {
        self.records.values().cloned().collect()
    }
}

fn key(random: &mut Ids) -> Vec<u8> {
    format!("key/{}", random.below(40)).into_bytes()
}

/// A transaction whose compares mostly hold.
pub(crate) fn transaction(random: &mut Ids, model: &Model) -> Transaction {
    let mut transaction = Transaction::default();
    for _ in 0..random.below(3) {
        let key = key(random);
        let condition = match (random.below(6), model.records.get(&key)) {
            (0, _) => Condition::ModRevision(random.below(model.revision + 1)),
            (1, _) => Condition::Exists,
            (_, Some(found)) => Condition::ModRevision(found.mod_revision),
            (_, None) => Condition::Absent,
        };
        transaction = transaction.compare(key, condition);
    }
    let mut keys = std::collections::BTreeSet::new();
    for _ in 0..=random.below(6) {
        let key = key(random);
        if !keys.insert(key.clone()) {
            continue;
        }
        transaction = if random.below(4) == 0 {
            transaction.delete(key)
        } else {
            // Now and then a value of several pages.
            let bytes = if random.below(20) == 0 { random.below(30_000) } else { random.below(300) };
            transaction.put(key, vec![random.next_u64() as u8; bytes as usize])
        };
    }
    transaction
}
