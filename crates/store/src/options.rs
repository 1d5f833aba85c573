//! Limits and defaults of the store.

/// etcd's default for the operations of one transaction, and as many compares.
pub const OPERATIONS_MAX: usize = 128;
/// etcd's default for the bytes of one request.
pub const TRANSACTION_BYTES_MAX: usize = 1_536 << 10;

/// How much memory the store may use beside the records themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// redb's cache of pages; its own default is 1 GiB.
    pub cache_bytes: usize,
    /// Commits that a watcher may be behind, and the bytes of their keys and values.
    pub history_commits_max: usize,
    pub history_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache_bytes: 16 << 20, history_commits_max: 4096, history_bytes_max: 4 << 20 }
    }
}
