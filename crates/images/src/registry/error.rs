//! What a registry refuses, so that each protocol can say it in its own words.

use crate::digest::{Digest, DigestError};
use crate::error::StoreError;
use crate::reference::ReferenceError;

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("invalid repository name: {0}")]
    Name(String),
    #[error("invalid tag: {0}")]
    Tag(&'static str),
    #[error(
        "The image tag '{tag}' already exists in the '{repository}' repository and cannot be overwritten because the tag is \
         immutable."
    )]
    TagImmutable { tag: String, repository: String },
    #[error(transparent)]
    DigestMalformed(#[from] DigestError),
    #[error("the content has the digest {actual}, not {expected}")]
    DigestMismatch { expected: Digest, actual: Digest },
    #[error("invalid manifest: {0}")]
    Manifest(String),
    #[error("the manifest names the blob {0}, which is not here; push it first")]
    ManifestBlobUnknown(Digest),
    #[error("the repository has no image {0}")]
    ManifestUnknown(String),
    #[error("the manifest list {by} needs the image {digest}; delete the list first")]
    Referenced { digest: Digest, by: Digest },
    #[error("there is no blob {0}")]
    BlobUnknown(Digest),
    #[error("there is no such upload: it was finished, cancelled, or has not gone on for too long")]
    UploadUnknown,
    #[error("another request has gone on with this upload")]
    UploadTaken,
    #[error("the upload goes on at {offset}, not there")]
    Offset { offset: u64 },
    #[error("{bytes_max} bytes are the most that {what} may have")]
    TooLarge { what: &'static str, bytes_max: u64 },
    #[error("{0} uploads are under way, and more are not allowed; finish or cancel some")]
    TooManyUploads(usize),
    #[error(
        "the disk has no room for this upload; `gantry image prune` removes what nothing needs, then push again"
    )]
    NoRoom,
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for RegistryError {
    fn from(error: StoreError) -> Self {
        match error {
            error if error.is_disk_full() => Self::NoRoom,
            StoreError::DigestMismatch { expected, actual } => Self::DigestMismatch { expected, actual },
            StoreError::MissingBlob(digest) => Self::BlobUnknown(digest),
            error => Self::Store(error),
        }
    }
}

impl From<ReferenceError> for RegistryError {
    fn from(error: ReferenceError) -> Self {
        Self::Name(error.reason.to_owned())
    }
}
