//! A directory in memory that loses what a machine may lose: for the simulation and for tests.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use gantry_types::Ids;

use crate::directory::{Directory, SegmentFile};

/// Clones are handles on the same directory, as two processes have them.
#[derive(Debug, Clone)]
pub struct MemoryDirectory {
    disk: Arc<Mutex<Disk>>,
}

#[derive(Debug)]
pub struct MemoryFile {
    disk: Arc<Mutex<Disk>>,
    inode: usize,
}

#[derive(Debug)]
struct Disk {
    random: Ids,
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Bytes that may still be written before the disk is full.
    room_bytes: Option<u64>,
    fail_truncate: bool,
    fail_sync: bool,
}

#[derive(Debug, Default)]
struct Inode {
    content: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate { length: usize },
}

impl MemoryDirectory {
    pub fn new(seed: u64) -> Self {
        let disk = Disk {
            random: Ids::from_seed(seed),
            inodes: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            room_bytes: None,
            fail_truncate: false,
            fail_sync: false,
        };
        Self { disk: Arc::new(Mutex::new(disk)) }
    }

    /// After this many more bytes the disk is full: a write stops in its middle.
    pub fn fail_after_bytes(&self, bytes: u64) {
        self.lock_disk().room_bytes = Some(bytes);
    }

    pub fn fail_truncate(&self) {
        self.lock_disk().fail_truncate = true;
    }

    pub fn fail_sync(&self) {
        self.lock_disk().fail_sync = true;
    }

    /// Ends all the failures above.
    pub fn heal(&self) {
        let mut disk = self.lock_disk();
        disk.room_bytes = None;
        disk.fail_truncate = false;
        disk.fail_sync = false;
    }

    /// The machine loses power: of what was not synced, each change is kept, lost or torn, in any combination.
    pub fn crash(&self) {
        let disk = &mut *self.lock_disk();
        for inode in &mut disk.inodes {
            inode.crash(&mut disk.random);
        }
        let mut names = disk.durable_names.clone();
        let created = disk.names.iter().filter(|(name, _)| !disk.durable_names.contains_key(*name));
        for (name, inode) in created {
            if disk.random.below(2) == 0 {
                names.insert(name.clone(), *inode);
            }
        }
        for name in disk.durable_names.keys().filter(|name| !disk.names.contains_key(*name)) {
            if disk.random.below(2) == 0 {
                names.remove(name);
            }
        }
        disk.names.clone_from(&names);
        disk.durable_names = names;
    }

    /// The names and sizes of all files.
    pub fn files(&self) -> Vec<(String, usize)> {
        let disk = self.lock_disk();
        disk.names.iter().map(|(name, inode)| (name.clone(), disk.inodes[*inode].content.len())).collect()
    }

    /// Damages a file: flips the bits of `mask` in one byte.
    pub fn flip(&self, name: &str, offset: usize, mask: u8) {
        let mut disk = self.lock_disk();
        let inode = disk.names[name];
        disk.inodes[inode].content[offset] ^= mask;
    }

    fn lock_disk(&self) -> MutexGuard<'_, Disk> {
        lock(&self.disk)
    }
}

fn lock(disk: &Mutex<Disk>) -> MutexGuard<'_, Disk> {
    disk.lock().expect("no holder of the disk panics")
}

impl Inode {
    fn apply(content: &mut Vec<u8>, change: &Change) {
        match change {
            Change::Write { offset, bytes } => {
                let end = offset + bytes.len();
                content.resize(content.len().max(end), 0);
                content[*offset..end].copy_from_slice(bytes);
            }
            Change::Truncate { length } => content.truncate(*length),
        }
    }

    fn crash(&mut self, random: &mut Ids) {
        for mut change in std::mem::take(&mut self.unsynced) {
            match (random.below(4), &mut change) {
                (0, _) => continue,
                (1, Change::Write { bytes, .. }) => {
                    let kept = random.below(bytes.len() as u64 + 1) as usize;
                    bytes.truncate(kept);
                }
                // The file has grown, its blocks have not been written.
                (2, Change::Write { bytes, .. }) if random.below(4) == 0 => bytes.fill(0),
                _ => {}
            }
            Self::apply(&mut self.durable, &change);
        }
        self.content.clone_from(&self.durable);
    }
}

impl Directory for MemoryDirectory {
    type File = MemoryFile;

    fn lock(&self) -> io::Result<()> {
        Ok(())
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.lock_disk().names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<MemoryFile> {
        let mut disk = self.lock_disk();
        if disk.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if disk.room_bytes == Some(0) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let inode = disk.inodes.len();
        disk.inodes.push(Inode::default());
        disk.names.insert(name.to_owned(), inode);
        Ok(MemoryFile { disk: Arc::clone(&self.disk), inode })
    }

    fn open(&self, name: &str) -> io::Result<Option<MemoryFile>> {
        let inode = self.lock_disk().names.get(name).copied();
        Ok(inode.map(|inode| MemoryFile { disk: Arc::clone(&self.disk), inode }))
    }

    fn exists(&self, name: &str) -> io::Result<bool> {
        Ok(self.lock_disk().names.contains_key(name))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.lock_disk().names.remove(name);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let disk = &mut *self.lock_disk();
        if disk.fail_sync {
            return Err(io::Error::other("the disk fails"));
        }
        disk.durable_names.clone_from(&disk.names);
        Ok(())
    }

    fn marker(&self) -> io::Result<u32> {
        Ok(self.lock_disk().random.next_u64() as u32)
    }
}

impl SegmentFile for MemoryFile {
    fn length(&self) -> io::Result<u64> {
        Ok(lock(&self.disk).inodes[self.inode].content.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let disk = lock(&self.disk);
        let content = &disk.inodes[self.inode].content;
        let rest = usize::try_from(offset).ok().and_then(|offset| content.get(offset..)).unwrap_or(&[]);
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let disk = &mut *lock(&self.disk);
        let written = match &mut disk.room_bytes {
            None => bytes.len(),
            Some(room) => {
                let written = bytes.len().min(*room as usize);
                *room -= written as u64;
                written
            }
        };
        let inode = &mut disk.inodes[self.inode];
        let change = Change::Write { offset: offset as usize, bytes: bytes[..written].to_vec() };
        Inode::apply(&mut inode.content, &change);
        inode.unsynced.push(change);
        if written < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let disk = &mut *lock(&self.disk);
        if disk.fail_truncate {
            return Err(io::Error::other("the disk fails"));
        }
        let inode = &mut disk.inodes[self.inode];
        let change = Change::Truncate { length: length as usize };
        Inode::apply(&mut inode.content, &change);
        inode.unsynced.push(change);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let disk = &mut *lock(&self.disk);
        let inode = &mut disk.inodes[self.inode];
        if disk.fail_sync {
            return Err(io::Error::other("the disk fails"));
        }
        for change in std::mem::take(&mut inode.unsynced) {
            Inode::apply(&mut inode.durable, &change);
        }
        Ok(())
    }
}
