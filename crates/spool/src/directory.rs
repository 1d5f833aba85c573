//! The files under a spool: the machine's, or the simulation's with faults.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

/// One directory of files, as the spool needs it.
pub trait Directory {
    type File: SegmentFile;

    /// Makes sure that no other writer has this directory, as long as `self` lives.
    fn lock(&self) -> io::Result<()>;
    fn names(&self) -> io::Result<Vec<String>>;
    /// Makes a file that must not exist.
    fn create(&self, name: &str) -> io::Result<Self::File>;
    /// `None` when there is no such file.
    fn open(&self, name: &str) -> io::Result<Option<Self::File>>;
    fn exists(&self, name: &str) -> io::Result<bool>;
    /// It is no error when the file is gone already.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes creations and removals durable.
    fn sync(&self) -> io::Result<()>;
    /// A number that nobody can guess.
    fn marker(&self) -> io::Result<u32>;
}

pub trait SegmentFile {
    fn length(&self) -> io::Result<u64>;
    /// Zero at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bytes`, or fails and may have written a part of them.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    fn truncate(&self, length: u64) -> io::Result<()>;
    /// Makes the content durable.
    fn sync(&self) -> io::Result<()>;
}

/// A directory of this machine, reached through its descriptor: a process that changes its root keeps it.
#[derive(Debug)]
pub struct RealDirectory {
    descriptor: OwnedFd,
}

impl RealDirectory {
    /// Makes the directory, closed to others, where it does not exist.
    pub fn open(path: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Self { descriptor })
    }

    fn open_file(&self, name: &str, more: OFlags) -> Result<File, Errno> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | more;
        rustix::fs::openat(&self.descriptor, name, flags, Mode::RUSR | Mode::WUSR).map(File::from)
    }
}

impl Directory for RealDirectory {
    type File = File;

    fn lock(&self) -> io::Result<()> {
        Ok(rustix::fs::flock(&self.descriptor, FlockOperation::NonBlockingLockExclusive)?)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.descriptor)? {
            if let Ok(name) = entry?.file_name().to_str() {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<File> {
        Ok(self.open_file(name, OFlags::CREATE | OFlags::EXCL)?)
    }

    fn open(&self, name: &str) -> io::Result<Option<File>> {
        match self.open_file(name, OFlags::empty()) {
            Ok(file) => Ok(Some(file)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn exists(&self, name: &str) -> io::Result<bool> {
        match rustix::fs::statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.descriptor, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.descriptor)?)
    }

    fn marker(&self) -> io::Result<u32> {
        getrandom::u32().map_err(|error| io::Error::other(error.to_string()))
    }
}

impl SegmentFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match FileExt::read_at(self, buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
