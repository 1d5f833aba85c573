//! How much the store may hold. All defaults stand here.

/// Bounds of memory and disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The memtable is sealed when it holds so many bytes.
    pub memtable_bytes: usize,
    /// All segments together; beyond it the oldest goes.
    pub segments_bytes: u64,
    /// Events of one block of a segment: what one read unpacks at the least.
    pub block_bytes: usize,
    /// Batches that may wait for the writer.
    pub waiting_batches: usize,
    /// Events that a subscriber may lag behind before it loses some.
    pub subscriber_batches: usize,
    pub write_ahead_log: gantry_spool::Limits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memtable_bytes: 8 << 20,
            segments_bytes: 4 << 30,
            block_bytes: 256 << 10,
            waiting_batches: 1024,
            subscriber_batches: 1024,
            write_ahead_log: gantry_spool::Limits::WRITE_AHEAD_LOG,
        }
    }
}
