//! The store as its callers see it, on disks that fail and on the machine's own.

mod crash;
mod database;
mod full_disk;
mod model;
mod real_files;
mod semantics;

use gantry_store::fault::FaultyDisk;
use gantry_store::{Options, Store};

fn open(disk: &FaultyDisk) -> Store {
    Store::open(disk.clone(), Options::default()).expect("the disk can be opened")
}

/// All that the store holds.
fn content(store: &Store) -> Vec<gantry_store::KeyValue> {
    store.prefix(b"", usize::MAX).expect("the store can be read").items
}
