//! The registry over a store: what the OCI distribution protocol and ECR's API ask of it, without sockets.
//!
//! Flow: blobs come in pieces through an [`Upload`], which lives on disk under its id until its digest is proven; a manifest
//! whose blobs are all here is put under a tag or its digest; `images`, `manifest` and `Store::open_blob` give them back.
//!
//! Invariants:
//! - What the index of the store names is all there is: an image in a repository is a name `<repository>@<digest>`, a tag a
//!   name `<repository>:<tag>`. An image whose tags moved on stays until it is deleted.
//! - Of an interrupted upload everything that arrived is kept, also by `kill -9`, and its size is its offset. Blobs are only
//!   published when their digest is right.
//! - Blobs belong to the store, not to a repository: what one push brought, no other has to bring again.

mod error;
mod fresh;
mod images;
mod put;
mod repository;
mod upload;

pub use error::RegistryError;
pub use images::{Deleted, ImageName, ManifestContent, Referrer, RegistryImage, Selected};
pub use put::{Overwrite, PutManifest, PutOutcome};
pub use repository::{RepositoryName, check_tag};
pub use upload::Upload;

use std::fs::File;
use std::sync::Arc;

use crate::digest::Digest;
use crate::store::Store;
use upload::Uploads;

/// The registry of one store. One process serves it at a time, the one that has the uploads. Everything here blocks.
#[derive(Clone, Debug)]
pub struct Registry {
    store: Store,
    uploads: Arc<Uploads>,
}

impl Registry {
    pub fn open(store: Store) -> Result<Self, RegistryError> {
        let uploads = Arc::new(Uploads::open(&store)?);
        Ok(Self { store, uploads })
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The size of a blob that a push counts on: it stays here until the manifest has had time to come.
    pub fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, RegistryError> {
        let size = self.store.blobs().size(digest)?;
        if size.is_some() {
            self.store.keep_fresh(digest)?;
        }
        Ok(size)
    }

    /// Opens a blob to read it, with its size.
    pub fn open_blob(&self, digest: &Digest) -> Result<(File, u64), RegistryError> {
        let size = self.store.blobs().size(digest)?.ok_or(RegistryError::BlobUnknown(*digest))?;
        Ok((self.store.open_blob(digest)?, size))
    }

    /// Removes what pushes that will not go on have left.
    pub fn expire(&self) -> Result<usize, RegistryError> {
        self.uploads.expire(&self.store)
    }
}

#[cfg(test)]
mod tests;
