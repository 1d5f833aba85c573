//! Limits and defaults of the store.

/// etcd's default for the operations of one transaction, and as many compares.
pub const OPERATIONS_MAX: usize = 128;
/// etcd's default for the bytes of one request.
pub const TRANSACTION_BYTES_MAX: usize = 1_536 << 10;

/// Commits whose keys the database remembers, for the simulation and for the thread that tells subscribers.
pub(crate) const CHANGED_MAX: usize = 1024;
/// Commits that share one sync of the disk.
pub(crate) const GROUP_COMMITS_MAX: usize = 256;
/// Commits that wait to be written, and their bytes; who comes later waits before it is queued.
pub(crate) const QUEUE_COMMITS_MAX: usize = 1024;
pub(crate) const QUEUE_BYTES_MAX: usize = 16 << 20;
/// Commits that a subscriber may be behind before it is told that it missed some.
pub(crate) const SUBSCRIPTION_COMMITS_MAX: usize = 1024;

/// How much memory the store may use beside the records themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// redb's cache of pages. Reads are served by the view, so it need only hold what commits touch; redb's own default is
    /// 1 GiB.
    pub cache_bytes: usize,
    /// Commits that a watcher may be behind, and the bytes of their keys and values.
    pub history_commits_max: usize,
    pub history_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache_bytes: 8 << 20, history_commits_max: 4096, history_bytes_max: 4 << 20 }
    }
}
