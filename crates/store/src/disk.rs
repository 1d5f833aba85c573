//! Where the store's file is: on this machine, or in the simulation's memory.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::{Builder, DatabaseError, StorageBackend};
use rustix::fs::FallocateFlags;
use rustix::io::Errno;

/// A place that the store can open, again and again: redb refuses all work after an input or output error until then.
pub trait Disk: fmt::Debug + Send + Sync + 'static {
    fn open(&self, builder: &Builder) -> Result<redb::Database, DatabaseError>;
    /// Whether the file could now grow as it could not before.
    fn has_room(&self) -> io::Result<bool>;
}

/// A file of this machine.
#[derive(Debug, Clone)]
pub struct FileDisk {
    path: PathBuf,
    /// The growth that was refused last. redb doubles a small file, so it may be much.
    refused_bytes: Arc<AtomicU64>,
}

impl FileDisk {
    /// The file is made where it does not exist, readable for its owner alone; its directory must exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), refused_bytes: Arc::default() }
    }

    fn directory(&self) -> &Path {
        match self.path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            Some(_) | None => Path::new("."),
        }
    }
}

impl Disk for FileDisk {
    fn open(&self, builder: &Builder) -> Result<redb::Database, DatabaseError> {
        let is_new = !self.path.exists();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DatabaseError::DatabaseAlreadyOpen),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let refused_bytes = Arc::clone(&self.refused_bytes);
        let database = builder.create_with_backend(AllocatedFile { file, refused_bytes })?;
        if is_new {
            // Else a crash of the machine could take the whole file, with all commits in it.
            File::open(self.directory())?.sync_all()?;
        }
        Ok(database)
    }

    fn has_room(&self) -> io::Result<bool> {
        let disk = rustix::fs::statvfs(self.directory())?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize) > self.refused_bytes.load(Ordering::Relaxed))
    }
}

/// A file whose every byte has its place on the disk. So a full disk is met when the file grows, before a commit writes
/// anything, and never in the middle of one.
#[derive(Debug)]
struct AllocatedFile {
    file: File,
    refused_bytes: Arc<AtomicU64>,
}

impl AllocatedFile {
    fn grow(&self, from: u64, to: u64) -> io::Result<()> {
        loop {
            match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), from, to - from) {
                Ok(()) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => return self.file.set_len(to),
                Err(error) => {
                    self.refused_bytes.store(to - from, Ordering::Relaxed);
                    // A part may have been added, which redb would not expect.
                    self.file.set_len(from)?;
                    return Err(error.into());
                }
            }
        }
    }
}

impl StorageBackend for AllocatedFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let present = self.len()?;
        if len > present { self.grow(present, len) } else { self.file.set_len(len) }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }

    fn close(&self) -> io::Result<()> {
        self.file.unlock()
    }
}
