//! What Gantry keeps of what happened: log events now, metrics and traces behind the same shape of interface later.
//!
//! Flow of logs: [`logs::LogStore::append`] puts a batch into the write-ahead log, one fsync for all batches that wait, and
//! into the memtable; a full memtable is sealed into a segment file, and the write-ahead log is let go. [`logs::LogStore::scan`]
//! reads segments and memtable alike; [`logs::LogStore::subscribe`] follows what is appended.
//!
//! Invariants:
//! - What `append` said is kept survives kill -9 and loss of power.
//! - A batch that is sent again is kept once: the source's sequences only grow.
//! - Disk and memory are bounded; the oldest segment goes first, and is counted.

pub mod logs;
