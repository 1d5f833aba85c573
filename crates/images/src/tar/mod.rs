//! Tar archives, read with bounded memory from hostile input and written so that equal input gives equal bytes.
//!
//! The reader is our own because a layer's digest and the container's files depend on every detail: pax values may
//! hold newlines (capabilities do), sparse files come in four forms, and each header has to have a limit. It takes
//! what Go's archive/tar takes, since Docker's view of an archive is Go's.

mod header;
mod pax;
mod reader;
mod sparse;
mod writer;

pub(crate) use reader::TarReader;
pub(crate) use writer::TarWriter;

use std::io;

pub(crate) const BLOCK: usize = 512;

/// What is wrong with an archive as such.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    #[error("it is not a tar archive, or it is damaged: the header at byte {0} does not match its checksum")]
    Checksum(u64),
    #[error("it ends in the middle of an entry")]
    Truncated,
    #[error("the header at byte {at} is malformed: {reason}")]
    Malformed { at: u64, reason: &'static str },
    #[error("entry type {kind:?} at byte {at} is not supported")]
    Kind { at: u64, kind: char },
    #[error("it is larger than {0} bytes")]
    TooLarge(u64),
    #[error("it is compressed with {0}, which is not supported; use gzip or zstd")]
    Compression(&'static str),
    #[error("could not read it: {0}")]
    Io(#[source] io::Error),
}

impl From<io::Error> for TarError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated,
            // A reader with a limit says so in this way.
            io::ErrorKind::FileTooLarge => Self::TooLarge(error.to_string().parse().unwrap_or(0)),
            _ => Self::Io(error),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    HardLink,
    Symlink,
    CharDevice,
    BlockDevice,
    Directory,
    Fifo,
}

/// Names and values of extended attributes.
pub(crate) type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// Everything that precedes the content of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// As the archive has it: not checked in any way, but free of NUL.
    pub(crate) path: Vec<u8>,
    /// Target of a link.
    pub(crate) link: Vec<u8>,
    pub(crate) kind: Kind,
    /// The twelve permission bits.
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) mtime_seconds: i64,
    pub(crate) mtime_nanoseconds: u32,
    /// Of the file as it is to be written; the archive may hold less if the file is sparse.
    pub(crate) size: u64,
    pub(crate) device: (u32, u32),
    pub(crate) xattrs: Xattrs,
    /// The pieces of a sparse file that hold data: offset and length, ascending.
    pub(crate) pieces: Option<Vec<(u64, u64)>>,
}

impl Entry {
    /// An entry of root's, mode 0755, without content.
    pub(crate) fn new(path: &[u8], kind: Kind) -> Self {
        Self {
            path: path.to_vec(),
            link: Vec::new(),
            kind,
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime_seconds: 0,
            mtime_nanoseconds: 0,
            size: 0,
            device: (0, 0),
            xattrs: Vec::new(),
            pieces: None,
        }
    }
}

#[cfg(test)]
mod tests;
