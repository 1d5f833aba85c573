//! Records: what is committed is in the view, told to those who asked, and there again after opening.

use std::collections::BTreeMap;
use std::time::Duration;

use gantry_domain::object::Object;
use gantry_domain::{Change, Expect, Key, View};
use gantry_store::fault::FaultyDisk;
use gantry_store::{
    CommitError, Database, DatabaseCore, DatabaseError, Options, Store, SubscriptionError, Transaction,
    TransactionError,
};
use gantry_types::{Ids, Value};

fn object(name: impl Into<String>, value: impl Into<Value>) -> Object {
    Object { class: "test".to_owned(), name: name.into(), document: value.into() }
}

fn key(name: &str) -> Key {
    Key::object("test", name)
}

fn core(disk: &FaultyDisk) -> DatabaseCore {
    DatabaseCore::open(disk.clone(), Options::default()).expect("the disk can be opened")
}

fn database(disk: &FaultyDisk) -> Database {
    Database::open(disk.clone(), Options::default()).expect("the disk can be opened")
}

/// All that a view holds, to compare views.
fn content(view: &View) -> (u64, BTreeMap<Key, (u64, String)>) {
    let records =
        view.records().map(|(key, revision, record)| (key.clone(), (revision, format!("{record:?}"))));
    (view.revision(), records.collect())
}

#[test]
fn a_commit_is_in_the_view_and_there_again_after_opening() {
    let disk = FaultyDisk::new(1);
    let mut core = core(&disk);
    assert_eq!(
        core.commit(vec![Change::create(object("a", 1)), Change::create(object("b", 1.1))]).unwrap(),
        1
    );
    assert_eq!(core.commit(vec![Change::update(object("a", 2), 1)]).unwrap(), 2);
    assert_eq!(core.commit(vec![Change::delete(key("b"), 1)]).unwrap(), 3);
    assert_eq!(core.commit(vec![Change::check(key("a"), 2)]).unwrap(), 3);
    assert_eq!(
        core.view().get::<Object>(&key("a")).map(|a| (a.revision, a.document.clone())),
        Some((2, 2.into()))
    );
    let before = content(&core.view());
    assert_eq!((before.0, before.1.len()), (3, 1));
    drop(core);
    assert_eq!(content(&crate::database::core(&disk).view()), before);
}

#[test]
fn an_expectation_that_fails_names_the_record() {
    let mut core = core(&FaultyDisk::new(1));
    core.commit(vec![Change::create(object("a", 1))]).unwrap();
    let failing = [
        vec![Change::create(object("a", 2))],
        vec![Change::create(object("new", 1)), Change::update(object("a", 2), 7)],
        vec![Change::create(object("new", 1)), Change::check_absent(key("a"))],
        vec![Change::delete(key("a"), 9)],
    ];
    for changes in failing {
        let error = core.commit(changes).unwrap_err();
        assert!(matches!(&error, CommitError::Conflict { key: found } if *found == key("a")), "{error}");
    }
    assert_eq!(core.view().len(), 1);
}

#[test]
fn what_could_not_be_read_back_is_refused() {
    let mut core = core(&FaultyDisk::new(1));
    let deep = (0..200).fold(Value::Null, |inner, _| Value::List(vec![inner]));
    for document in [Value::Float(f64::NAN), deep] {
        let error = core.commit(vec![Change::create(object("a", document))]).unwrap_err();
        assert!(matches!(error, CommitError::NotWritable { .. }), "{error}");
    }
    let wrong = Change { key: key("b"), ..Change::create(object("a", 1)) };
    assert!(matches!(core.commit(vec![wrong]).unwrap_err(), CommitError::WrongKey { .. }));
    let twice = vec![Change::put(object("a", 1)), Change::put(object("a", 2))];
    let error = core.commit(twice).unwrap_err();
    assert!(matches!(error, CommitError::Refused(TransactionError::DuplicateKey { .. })), "{error}");
    let many = (0..129).map(|number| Change::put(object(number.to_string(), 1))).collect();
    let error = core.commit(many).unwrap_err();
    assert!(matches!(error, CommitError::Refused(TransactionError::TooManyOperations { .. })), "{error}");
    assert!(core.view().is_empty());
}

#[test]
fn numbers_come_back_as_they_were() {
    let disk = FaultyDisk::new(1);
    let mut core = core(&disk);
    let mut random = Ids::from_seed(5);
    for number in 0..200 {
        let float = f64::from_bits(random.next_u64());
        if float.is_finite() {
            core.commit(vec![Change::put(object(number.to_string(), float))]).unwrap();
        }
    }
    let before = content(&core.view());
    drop(core);
    assert_eq!(content(&crate::database::core(&disk).view()), before);
}

#[test]
fn a_store_with_anything_else_in_it_is_not_opened() {
    let strangers = [("nothing", "{}"), ("object/test/a", "not json"), ("object/test/a", "{}")];
    for (key, value) in strangers {
        let disk = FaultyDisk::new(1);
        let mut store = Store::open(disk.clone(), Options::default()).unwrap();
        store.commit(&Transaction::default().put(key, value)).unwrap();
        drop(store);
        let error = DatabaseCore::open(disk, Options::default()).unwrap_err();
        assert!(
            matches!(&error, DatabaseError::NotARecord { key: found, .. } if found == key.as_bytes()),
            "{error}"
        );
    }
}

#[test]
fn a_group_is_one_sync_and_each_commit_sees_those_before_it() {
    let disk = FaultyDisk::new(1);
    let mut core = core(&disk);
    core.commit(vec![Change::put(object("warm", "up"))]).unwrap();
    let before = disk.syncs();
    core.commit(vec![Change::put(object("one", 1))]).unwrap();
    let syncs_of_one = disk.syncs() - before;
    let mut group: Vec<_> = (0..50).map(|number| vec![Change::create(object("same", number))]).collect();
    group.push(vec![Change::create(object("nan", f64::NAN))]);
    group.push(vec![Change::create(object("other", 1))]);
    let before = disk.syncs();
    let outcomes = core.commit_group(group);
    assert_eq!(disk.syncs() - before, syncs_of_one);
    let made: Vec<_> = outcomes.iter().map(|outcome| outcome.as_ref().ok().copied()).collect();
    assert_eq!((made[0], made[51]), (Some(3), Some(4)));
    assert!(made[1..51].iter().all(Option::is_none));
    assert_eq!(core.view().get::<Object>(&key("same")).map(|same| same.document.clone()), Some(0.into()));
    let told: Vec<_> = core.changes_after(2).unwrap().iter().map(|changed| changed.keys.clone()).collect();
    assert_eq!(told, [[key("same")], [key("other")]]);
}

#[test]
fn the_view_is_what_the_disk_holds_whatever_the_disk_does() {
    for operations in 0..60 {
        let disk = FaultyDisk::new(operations);
        let mut core = core(&disk);
        let mut random = Ids::from_seed(operations);
        for round in 0..20 {
            match round {
                5 => disk.break_after(operations),
                12 => disk.set_broken(false),
                _ => {}
            }
            let change = |index| {
                let name = random.below(8).to_string();
                let expect = if index == 0 { Expect::Anything } else { Expect::Absent };
                Change { expect, ..Change::put(object(name, round)) }
            };
            let group = (0..3).map(change).map(|change| vec![change]).collect();
            for outcome in core.commit_group(group) {
                match outcome {
                    Ok(_) | Err(CommitError::Conflict { .. }) => {}
                    Err(error) => assert!((5..12).contains(&round), "operation {operations}: {error}"),
                }
            }
        }
        let view = content(&core.view());
        let last = core.changes_after(0).unwrap().last().map(|changed| changed.revision);
        assert_eq!(last, Some(view.0));
        drop(core);
        assert_eq!(content(&crate::database::core(&disk).view()), view, "operation {operations}");
    }
}

fn run(body: impl Future<Output = ()>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime starts");
    let bounded = async { tokio::time::timeout(Duration::from_secs(30), body).await };
    runtime.block_on(bounded).expect("is done within its bound");
}

#[test]
fn many_committers_share_the_syncs() {
    run(async {
        let disk = FaultyDisk::new(1);
        let database = database(&disk);
        let mut subscription = database.subscribe();
        let before = disk.syncs();
        let mut committers = tokio::task::JoinSet::new();
        for number in 0..500 {
            let database = database.clone();
            committers.spawn(async move {
                let name = number.to_string();
                let revision = database.commit(vec![Change::create(object(&*name, number))]).await.unwrap();
                assert_eq!(
                    database.view().get::<Object>(&key(&name)).map(|found| found.revision),
                    Some(revision)
                );
                revision
            });
        }
        let mut revisions = committers.join_all().await;
        revisions.sort_unstable();
        assert_eq!(revisions, (1..=500).collect::<Vec<_>>());
        assert!(disk.syncs() - before < 200, "{} syncs", disk.syncs() - before);
        for revision in 1..=500 {
            let changed = subscription.next().await.unwrap();
            assert_eq!((changed.revision, changed.keys.len()), (revision, 1));
        }
        drop(database);
        assert_eq!(subscription.next().await.unwrap_err(), SubscriptionError::Closed);
        assert_eq!(core(&disk).view().len(), 500);
    });
}

#[test]
fn a_subscriber_that_falls_behind_is_told_so() {
    run(async {
        let database = database(&FaultyDisk::new(1));
        let mut subscription = database.subscribe();
        for number in 0..1500 {
            database.commit(vec![Change::put(object("a", number))]).await.unwrap();
        }
        assert_eq!(subscription.next().await.unwrap_err(), SubscriptionError::Lagged { missed: 476 });
        assert_eq!(subscription.next().await.unwrap().revision, 477);
    });
}

#[test]
fn readers_go_on_while_the_disk_is_full() {
    run(async {
        let disk = FaultyDisk::new(1);
        let database = database(&disk);
        database.commit(vec![Change::put(object("a", 1))]).await.unwrap();
        disk.set_full(true);
        let large = |number: usize| vec![Change::put(object(number.to_string(), "x".repeat(100_000)))];
        let mut taken = 0;
        let error = loop {
            match database.commit(large(taken)).await {
                Ok(_) => taken += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, CommitError::StorageFull), "{error}");
        assert_eq!(database.view().len(), taken + 1);
        disk.set_full(false);
        database.commit(large(taken)).await.unwrap();
        assert_eq!(database.view().len(), taken + 2);
    });
}
