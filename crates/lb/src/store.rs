//! Listening sockets that outlive the process.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

/// Keeps descriptors by name while the process that made them is away. The supervisor is one; tests use [`Kept`].
pub trait SocketStore: Send {
    /// The descriptors under a name; empty if there are none.
    fn get(&mut self, name: &str) -> io::Result<Vec<OwnedFd>>;
    /// Keeps duplicates of the descriptors, in place of what was kept under the name.
    fn put(&mut self, name: &str, descriptors: &[BorrowedFd<'_>]) -> io::Result<()>;
    fn remove(&mut self, name: &str) -> io::Result<()>;
    /// The names that begin with `prefix`.
    fn list(&mut self, prefix: &str) -> io::Result<Vec<String>>;
}

/// Descriptors kept in this process: for as long as it lives, and for whoever has a clone.
#[derive(Debug, Clone, Default)]
pub struct Kept(Arc<Mutex<BTreeMap<String, Vec<OwnedFd>>>>);

impl Kept {
    fn map(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Vec<OwnedFd>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SocketStore for Kept {
    fn get(&mut self, name: &str) -> io::Result<Vec<OwnedFd>> {
        let map = self.map();
        map.get(name).into_iter().flatten().map(OwnedFd::try_clone).collect()
    }
    fn put(&mut self, name: &str, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let duplicates: io::Result<Vec<OwnedFd>> =
            descriptors.iter().map(|descriptor| descriptor.as_fd().try_clone_to_owned()).collect();
        self.map().insert(name.to_owned(), duplicates?);
        Ok(())
    }
    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.map().remove(name);
        Ok(())
    }
    fn list(&mut self, prefix: &str) -> io::Result<Vec<String>> {
        Ok(self.map().keys().filter(|name| name.starts_with(prefix)).cloned().collect())
    }
}
