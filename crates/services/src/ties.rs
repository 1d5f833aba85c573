//! Ties between records that may be made by many calls at once and cut by one.
//!
//! A task rests on its cluster, so a call that makes one checks the cluster, and a deletion of the cluster makes it conflict. The
//! other way round the deletion has looked through tasks, and one that was made meanwhile changes nothing that the deletion has
//! read. Writing the cluster again for every task would close that gap and make all callers meet at one record. Instead they
//! leave a mark beside it, whatever was there, so that they never meet each other; the deletion expects the mark as it was when
//! it looked.

use gantry_domain::object::Object;
use gantry_domain::{Change, Key, Stored, Versioned, View};
use gantry_types::Value;

/// Writes a record again as it is: two commits that rest on it, or one that rests on it and one that deletes it, then conflict.
/// For what is made seldom; see [`tie`] for what is made in crowds.
pub(crate) fn touch<T: Stored + Clone>(found: &Versioned<'_, T>) -> Change {
    Change::update(found.value().clone(), found.revision)
}

fn class(kind: &str) -> String {
    format!("tie/{kind}")
}

/// Leaves the mark: part of every commit that makes something rest on the named record.
pub(crate) fn tie(kind: &str, name: &str) -> Change {
    Change::put(Object { class: class(kind), name: name.to_owned(), document: Value::Null })
}

/// Part of the commit that deletes the named record: it conflicts if something was tied to it since `view`.
pub(crate) fn untied(view: &View, kind: &str, name: &str) -> Change {
    let key = Key::object(&class(kind), name);
    match view.record(&key) {
        Some((revision, _)) => Change::delete(key, revision),
        None => Change::check_absent(key),
    }
}
