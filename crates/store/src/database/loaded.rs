//! The view as the store's content gives it.

use std::ops::Bound;

use gantry_domain::{Key, Record, View, kind_matches};

use super::error::DatabaseError;
use crate::store::Store;
use crate::transaction::KeyValue;

pub(super) fn load(store: &Store) -> Result<View, DatabaseError> {
    let mut view = View::default();
    let mut failure = None;
    store.visit((Bound::Unbounded, Bound::Unbounded), |item| match decode(&item) {
        Ok((key, record)) => {
            view.load(key, record, item.mod_revision);
            true
        }
        Err(source) => {
            failure = Some(DatabaseError::NotARecord { key: item.key, source });
            false
        }
    })?;
    view.set_revision(store.revision());
    failure.map_or(Ok(view), Err)
}

/// The error is what the parser said, if it was asked.
fn decode(item: &KeyValue) -> Result<(Key, Record), Option<serde_json::Error>> {
    let key = Key::from_bytes(&item.key).ok_or(None)?;
    // Looked at once as a whole: the parser need not look at each text in it.
    let text = std::str::from_utf8(&item.value).map_err(|_| None)?;
    let record: Record = serde_json::from_str(text).map_err(Some)?;
    if kind_matches(&key, &record) { Ok((key, record)) } else { Err(None) }
}

/// The records that are not the same in both, or in one of them only.
pub(super) fn differing_keys(before: &View, after: &View) -> Vec<Key> {
    let changed = after.records().filter(|(key, revision, _)| {
        before.record(key).is_none_or(|(revision_before, _)| revision_before != *revision)
    });
    let deleted = before.records().filter(|(key, _, _)| after.record(key).is_none());
    changed.chain(deleted).map(|(key, _, _)| key.clone()).collect()
}
