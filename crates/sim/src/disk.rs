//! The store's disk: the faulty one, under what the world adds.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gantry_store::Disk;
use gantry_store::fault::FaultyDisk;
use redb::{Builder, Database, DatabaseError, StorageBackend};

/// Clones are the same disk.
#[derive(Debug, Clone)]
pub(crate) struct WorldDisk {
    pub(crate) faulty: FaultyDisk,
    /// A planted bug: syncs are said to be done and are not.
    pub(crate) forgets_syncs: Arc<AtomicBool>,
}

impl WorldDisk {
    pub(crate) fn new(seed: u64) -> Self {
        Self { faulty: FaultyDisk::new(seed), forgets_syncs: Arc::default() }
    }
}

impl Disk for WorldDisk {
    fn open(&self, builder: &Builder) -> Result<Database, DatabaseError> {
        builder.create_with_backend(self.clone())
    }
    fn has_room(&self) -> io::Result<bool> {
        self.faulty.has_room()
    }
}

impl StorageBackend for WorldDisk {
    fn len(&self) -> io::Result<u64> {
        self.faulty.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.faulty.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.faulty.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        if self.forgets_syncs.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.faulty.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.faulty.write(offset, data)
    }
}
