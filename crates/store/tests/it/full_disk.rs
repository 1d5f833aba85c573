//! A disk without room: commits are refused with a reason, reads go on, and room is used as soon as it is there.

use gantry_store::fault::FaultyDisk;
use gantry_store::{Transaction, TransactionError};

use crate::{content, open};

fn put(number: u32) -> Transaction {
    Transaction::default().put(format!("key/{number}"), vec![b'x'; 40_000])
}

#[test]
fn a_full_disk_refuses_changes_and_loses_none() {
    let disk = FaultyDisk::new(1);
    let mut store = open(&disk);
    disk.set_full(true);
    let mut taken = 0;
    let error = loop {
        match store.commit(&put(taken)) {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, TransactionError::StorageFull), "{error}");
    assert!(taken > 0, "the file had room to begin with");
    for _ in 0..3 {
        assert!(matches!(store.commit(&put(taken)).unwrap_err(), TransactionError::StorageFull));
        assert_eq!((content(&store).len(), store.revision()), (taken as usize, u64::from(taken)));
    }
    let syncs = disk.syncs();
    store.commit(&put(taken)).unwrap_err();
    assert_eq!(disk.syncs(), syncs, "the store is opened again though there is no room");

    disk.set_full(false);
    store.commit(&put(taken)).unwrap();
    assert_eq!(store.revision(), u64::from(taken) + 1);
    drop(store);
    disk.crash();
    assert_eq!(content(&open(&disk)).len(), taken as usize + 1);
}

#[test]
fn a_broken_disk_is_opened_again_when_it_works() {
    let disk = FaultyDisk::new(1);
    let mut store = open(&disk);
    store.commit(&put(0)).unwrap();
    disk.set_broken(true);
    for _ in 0..3 {
        assert!(matches!(store.commit(&put(1)).unwrap_err(), TransactionError::Storage(_)));
    }
    disk.set_broken(false);
    assert_eq!(store.commit(&put(2)).unwrap(), 2);
    assert_eq!(content(&store).len(), 2);
}
