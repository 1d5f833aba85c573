//! One descriptor that says which of many spools have grown.
//!
//! The kernel tells it (inotify), so the writer does nothing for it and may be another process, or dead. One instance
//! serves all spools of a process, because a user may have few instances (128 by default) and many watches.

use std::collections::BTreeSet;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

/// Room for several hundred events a system call.
const EVENT_BYTES: usize = 16 << 10;
/// System calls before the caller gets a turn; what is left keeps the descriptor readable.
const READS_MAX: usize = 16;

/// Readable whenever a spool has grown since the last [`Watch::changed`]. The order that misses nothing: add the spool,
/// read it to its end, then wait.
#[derive(Debug)]
pub struct Watch {
    descriptor: OwnedFd,
    watched: BTreeSet<WatchId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchId(i32);

impl Watch {
    pub fn new() -> io::Result<Self> {
        let descriptor = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Self { descriptor, watched: BTreeSet::new() })
    }

    /// Watches the spool in this directory. The same directory gets the same id.
    pub fn add(&mut self, directory: &Path) -> io::Result<WatchId> {
        let flags = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::ONLYDIR;
        let id = WatchId(inotify::add_watch(&self.descriptor, directory, flags)?);
        self.watched.insert(id);
        Ok(id)
    }

    /// It is no error when the directory is gone already.
    pub fn remove(&mut self, id: WatchId) -> io::Result<()> {
        self.watched.remove(&id);
        match inotify::remove_watch(&self.descriptor, id.0) {
            Ok(()) | Err(Errno::INVAL) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The spools that may have grown since the last call; empty when none has. Never waits.
    pub fn changed(&mut self) -> io::Result<BTreeSet<WatchId>> {
        let mut changed = BTreeSet::new();
        let mut buffer = [MaybeUninit::uninit(); EVENT_BYTES];
        let mut events = inotify::Reader::new(&self.descriptor, &mut buffer);
        let mut reads = 0;
        loop {
            reads += usize::from(events.is_buffer_empty());
            if reads > READS_MAX {
                return Ok(changed);
            }
            match events.next() {
                Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => {
                    changed.clone_from(&self.watched);
                }
                Ok(event) => {
                    let id = WatchId(event.wd());
                    if event.events().contains(ReadFlags::IGNORED) {
                        self.watched.remove(&id);
                    } else if self.watched.contains(&id) {
                        changed.insert(id);
                    }
                }
                Err(Errno::AGAIN) => return Ok(changed),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl AsRawFd for Watch {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }
}
