//! What can go wrong in the store. Layers, archives and builds have errors of their own, beside their code.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::digest::Digest;
use crate::document::DocumentError;
use crate::reference::ReferenceError;
use crate::unpack::LayerError;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the disk is full: could not {0}")]
    DiskFull(Attempt),
    #[error("could not {attempt}: {source}")]
    Io { attempt: Attempt, source: io::Error },
    #[error("{path} is in use by another process; gave up after {} s", waited.as_secs())]
    Busy { path: PathBuf, waited: Duration },
    #[error("the content does not match its digest: expected {expected}, got {actual}")]
    DigestMismatch { expected: Digest, actual: Digest },
    #[error("{digest} should have {expected} bytes, but has {actual}")]
    SizeMismatch { digest: Digest, expected: u64, actual: u64 },
    #[error("{what} has more than {bytes_max} bytes")]
    TooLarge { what: String, bytes_max: u64 },
    #[error("no image {0} here; load it with \"gantry image load\" or build it with \"gantry image build\"")]
    Missing(String),
    #[error("blob {0} is missing")]
    MissingBlob(Digest),
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    #[error("{digest}: {source}")]
    Document { digest: Digest, source: DocumentError },
    #[error("{path} is damaged: {reason}")]
    Damaged { path: PathBuf, reason: String },
    #[error("the store holds {0} references, which is its limit; remove some")]
    References(usize),
    #[error("{0:?} cannot name a holder: 1 to 200 letters, digits, hyphens, underscores and dots can")]
    Holder(String),
    #[error(transparent)]
    Layer(#[from] Box<LayerError>),
}

impl StoreError {
    /// An input or output error; a full disk becomes an error of its own, because it has a remedy of its own.
    pub(crate) fn io(verb: &'static str, path: impl AsRef<Path>, source: impl Into<io::Error>) -> Self {
        let attempt = Attempt { verb, path: path.as_ref().to_owned() };
        let source = source.into();
        if is_disk_full(&source) { Self::DiskFull(attempt) } else { Self::Io { attempt, source } }
    }
    /// Whether room on the disk would help.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::DiskFull(_) => true,
            Self::Layer(error) => error.is_disk_full(),
            _ => false,
        }
    }
}

impl From<LayerError> for StoreError {
    fn from(error: LayerError) -> Self {
        match error {
            LayerError::Store(error) => error,
            error => Self::Layer(Box::new(error)),
        }
    }
}

pub(crate) fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// What was attempted, and on which file.
#[derive(Debug)]
pub struct Attempt {
    verb: &'static str,
    path: PathBuf,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.path.display())
    }
}
