//! etcd's semantics: revisions, versions, compares, ranges, watches, leases, limits.

use std::time::Duration;

use gantry_store::fault::FaultyDisk;
use gantry_store::{Condition, LeaseId, Operation, Options, Store, Transaction, TransactionError};
use gantry_types::{Ids, Timestamp};

use crate::model::{Model, transaction};
use crate::{content, open};

fn put(key: &str, value: &str) -> Transaction {
    Transaction::default().put(key, value)
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn keys(store: &Store) -> Vec<String> {
    content(store).into_iter().map(|record| String::from_utf8(record.key).expect("keys are text")).collect()
}

#[test]
fn random_transactions_do_what_the_model_does() {
    let mut random = Ids::from_seed(11);
    let disk = FaultyDisk::new(1);
    let (mut store, mut model) = (open(&disk), Model::default());
    for round in 0..600 {
        let transaction = transaction(&mut random, &model);
        let outcome = store.commit(&transaction).map_err(|error| match error {
            TransactionError::Conflict { key } => key,
            other => panic!("{other:?}"),
        });
        assert_eq!(outcome, model.commit(&transaction));
        assert_eq!(store.revision(), model.revision);
        if round % 100 == 99 {
            assert_eq!(content(&store), model.content());
            store = open_again(store, &disk);
            assert_eq!((content(&store), store.revision()), (model.content(), model.revision));
        }
    }
}

fn open_again(store: Store, disk: &FaultyDisk) -> Store {
    drop(store);
    open(disk)
}

#[test]
fn a_key_tells_its_history_in_numbers() {
    let mut store = open(&FaultyDisk::new(1));
    store.commit(&put("a", "1")).unwrap();
    store.commit(&put("b", "1")).unwrap();
    assert_eq!(store.commit(&put("a", "2")).unwrap(), 3);
    let a = store.get(b"a").unwrap().unwrap();
    assert_eq!(
        (a.create_revision, a.mod_revision, a.version, a.value.as_slice()),
        (1, 3, 2, b"2".as_slice())
    );
    store.commit(&Transaction::default().delete("a")).unwrap();
    assert_eq!(store.get(b"a").unwrap(), None);
    store.commit(&put("a", "3")).unwrap();
    let a = store.get(b"a").unwrap().unwrap();
    assert_eq!((a.create_revision, a.mod_revision, a.version), (5, 5, 1));
}

#[test]
fn what_changes_nothing_has_no_revision_of_its_own() {
    let disk = FaultyDisk::new(1);
    let mut store = open(&disk);
    store.commit(&put("a", "1")).unwrap();
    let syncs = disk.syncs();
    assert_eq!(store.commit(&Transaction::default().delete("nothing")).unwrap(), 1);
    assert_eq!(store.commit(&Transaction::default().compare("a", Condition::Exists)).unwrap(), 1);
    let conflict = store.commit(&put("a", "2").compare("a", Condition::Absent)).unwrap_err();
    assert!(matches!(conflict, TransactionError::Conflict { key } if key == b"a"));
    assert_eq!((store.revision(), disk.syncs()), (1, syncs));
}

#[test]
fn a_group_is_made_durable_by_one_sync() {
    let disk = FaultyDisk::new(1);
    let mut store = open(&disk);
    store.commit(&put("warm", "up")).unwrap();
    let before = disk.syncs();
    store.commit(&put("single", "commit")).unwrap();
    let syncs_of_one = disk.syncs() - before;
    let group: Vec<_> = (0..100).map(|number| put(&format!("key/{number}"), "value")).collect();
    let before = disk.syncs();
    let outcomes = store.commit_all(&group);
    assert_eq!(disk.syncs() - before, syncs_of_one);
    let revisions: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
    assert_eq!(revisions, (3..103).collect::<Vec<_>>());
}

#[test]
fn a_transaction_of_a_group_sees_those_before_it() {
    let mut store = open(&FaultyDisk::new(1));
    let create = |value: &str| put("a", value).compare("a", Condition::Absent);
    let outcomes = store.commit_all(&[create("first"), create("second"), put("b", "")]);
    assert!(matches!(&outcomes[..], [Ok(1), Err(TransactionError::Conflict { .. }), Ok(2)]), "{outcomes:?}");
    assert_eq!(store.get(b"a").unwrap().unwrap().value, b"first");
}

#[test]
fn ranges_and_prefixes_are_read_in_order_and_in_parts() {
    let mut store = open(&FaultyDisk::new(1));
    for key in ["a", "b", "b/1", "b/2", "c", "b\u{ff}"] {
        store.commit(&put(key, "")).unwrap();
    }
    let prefix = |prefix: &[u8], limit| {
        let page = store.prefix(prefix, limit).unwrap();
        let keys: Vec<_> = page.items.into_iter().map(|item| String::from_utf8(item.key).unwrap()).collect();
        (keys.join(" "), page.more)
    };
    assert_eq!(prefix(b"b", 10), ("b b/1 b/2 b\u{ff}".to_owned(), false));
    assert_eq!(prefix(b"b/", 1), ("b/1".to_owned(), true));
    assert_eq!(prefix(b"b/", 2), ("b/1 b/2".to_owned(), false));
    assert_eq!(prefix(b"x", 2), (String::new(), false));
    assert_eq!(prefix(&[0xff], 2), (String::new(), false));
    let empty = (std::ops::Bound::Excluded(&b"c"[..]), std::ops::Bound::Excluded(&b"a"[..]));
    assert_eq!(store.range(empty, 9).unwrap().items, []);
    assert_eq!(open(&FaultyDisk::new(2)).prefix(b"", 9).unwrap().items, []);
}

#[test]
fn a_watcher_gets_each_change_once_or_is_told_to_read_again() {
    let options = Options { history_commits_max: 3, ..Options::default() };
    let disk = FaultyDisk::new(1);
    let mut store = Store::open(disk.clone(), options).unwrap();
    for number in 1..=5 {
        store.commit(&put("a", &number.to_string())).unwrap();
    }
    store.commit(&Transaction::default().delete("a")).unwrap();
    let changes = store.changes_after(4).unwrap();
    let seen: Vec<_> =
        changes.iter().map(|commit| (commit.revision, commit.events[0].value.clone())).collect();
    assert_eq!(seen, [(5, Some(b"5".to_vec())), (6, None)]);
    let compacted = store.changes_after(2).unwrap_err();
    assert_eq!((compacted.asked, compacted.oldest), (2, 3));
    let store = open_again(store, &disk);
    store.changes_after(5).unwrap_err();
    assert_eq!(store.changes_after(6).unwrap(), []);
}

#[test]
fn the_limits_are_etcds() {
    let mut store = open(&FaultyDisk::new(1));
    let many = |count| (0..count).fold(Transaction::default(), |all, key: u32| all.put(key.to_string(), ""));
    store.commit(&many(128)).unwrap();
    let error = store.commit(&many(129)).unwrap_err();
    assert!(matches!(error, TransactionError::TooManyOperations { count: 129 }));
    let sized = |bytes: usize| Transaction::default().put("k", vec![b'x'; bytes - 1]);
    store.commit(&sized(1536 << 10)).unwrap();
    assert!(matches!(store.commit(&sized((1536 << 10) + 1)).unwrap_err(), TransactionError::TooLarge { .. }));
    assert!(matches!(store.commit(&put("", "")).unwrap_err(), TransactionError::EmptyKey));
    let error = store.commit(&put("a", "").delete("a")).unwrap_err();
    assert!(matches!(error, TransactionError::DuplicateKey { .. }));
    assert_eq!(store.revision(), 2);
}

fn leased(key: &str, lease: LeaseId) -> Transaction {
    let operation = Operation::Put { key: key.into(), value: vec![], lease: Some(lease) };
    Transaction { compares: vec![], operations: vec![operation] }
}

#[test]
fn a_lease_takes_its_keys_with_it() {
    let mut store = open(&FaultyDisk::new(1));
    let (one, two) = (LeaseId::new(1).unwrap(), LeaseId::new(2).unwrap());
    assert!(matches!(store.commit(&leased("a", one)).unwrap_err(), TransactionError::LeaseNotFound(_)));
    store.grant_lease(one, Duration::from_secs(10), at(0)).unwrap();
    store.grant_lease(two, Duration::from_secs(60), at(0)).unwrap();
    for (key, lease) in [("a", one), ("b", one), ("c", one), ("d", two)] {
        store.commit(&leased(key, lease)).unwrap();
    }
    // A put without the lease frees the key, a put with another moves it.
    store.commit(&put("b", "")).unwrap();
    store.commit(&leased("c", two)).unwrap();
    assert_eq!(store.next_lease_end(), Some(at(10)));
    store.keep_lease_alive(one, at(5)).unwrap();
    assert_eq!(store.expire_leases(at(14)).unwrap(), []);
    assert_eq!(store.expire_leases(at(15)).unwrap(), [one]);
    assert_eq!(keys(&store), ["b", "c", "d"]);
    assert!(matches!(store.keep_lease_alive(one, at(15)).unwrap_err(), TransactionError::LeaseNotFound(_)));
    store.revoke_lease(two).unwrap();
    assert_eq!(keys(&store), ["b"]);
    assert_eq!((store.next_lease_end(), store.expire_leases(at(999)).unwrap()), (None, vec![]));
}

#[test]
fn a_lease_begins_anew_when_the_store_is_opened() {
    let disk = FaultyDisk::new(1);
    let lease = LeaseId::new(1).unwrap();
    let mut store = open(&disk);
    store.grant_lease(lease, Duration::from_secs(10), at(0)).unwrap();
    store.commit(&leased("a", lease)).unwrap();
    let mut store = open_again(store, &disk);
    assert_eq!(store.expire_leases(at(100)).unwrap(), []);
    assert_eq!(store.expire_leases(at(109)).unwrap(), []);
    assert_eq!(store.expire_leases(at(110)).unwrap(), [lease]);
    assert_eq!(keys(&open_again(store, &disk)), [""; 0]);
}

#[test]
fn a_lease_with_many_keys_goes_in_commits_of_the_allowed_size() {
    let mut store = open(&FaultyDisk::new(1));
    let lease = LeaseId::new(1).unwrap();
    store.grant_lease(lease, Duration::from_secs(10), at(0)).unwrap();
    let all: Vec<_> = (0..300).map(|number| leased(&format!("key/{number}"), lease)).collect();
    store.commit_all(&all);
    store.revoke_lease(lease).unwrap();
    let sizes: Vec<_> = store.changes_after(300).unwrap().iter().map(|commit| commit.events.len()).collect();
    assert_eq!(sizes, [128, 128, 44]);
    assert_eq!(keys(&store), [""; 0]);
}
