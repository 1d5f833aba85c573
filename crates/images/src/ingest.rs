//! Bringing content in: blobs are written where nobody sees them, then published, then named.
//!
//! While an [`Ingest`] lives, `prune` waits, so content that has no name yet is safe. Dropped without `commit`, it
//! leaves nothing.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use gantry_types::Timestamp;

use crate::blobs::{self, BlobWriter, StagedBlob};
use crate::digest::Digest;
use crate::document::{Descriptor, Document, Platform};
use crate::error::StoreError;
use crate::files::TempDir;
use crate::lock::FileLock;
use crate::own::ecr_region;
use crate::reference::Reference;
use crate::store::Store;
use crate::unpack::LayerError;

/// Content on its way into a store.
#[derive(Debug)]
pub struct Ingest {
    store: Store,
    staged: BTreeMap<Digest, StagedBlob>,
    /// Layers that are unpacked beside the staged blobs.
    unpacked: Vec<Digest>,
    blobs_begun: usize,
    temporary: TempDir,
    _in_use: FileLock,
}

impl Ingest {
    pub(crate) fn new(store: Store, temporary: TempDir, in_use: FileLock) -> Self {
        Self {
            store,
            staged: BTreeMap::new(),
            unpacked: Vec::new(),
            blobs_begun: 0,
            temporary,
            _in_use: in_use,
        }
    }
    pub(crate) fn temporary(&self) -> &TempDir {
        &self.temporary
    }
    /// Begins a blob.
    pub fn blob(&mut self) -> Result<BlobWriter, StoreError> {
        self.blobs_begun += 1;
        BlobWriter::create(&self.temporary, self.blobs_begun, self.store.limits().blob_bytes_max)
    }
    /// Completes a blob and gives its digest and size; refused if it is not what was `expected`.
    pub fn finish(
        &mut self,
        writer: BlobWriter,
        expected: Option<&Digest>,
    ) -> Result<(Digest, u64), StoreError> {
        let staged = writer.finish(expected)?;
        let done = (staged.digest, staged.size);
        if let Some(same) = self.staged.insert(staged.digest, staged) {
            let _ = fs::remove_file(same.path);
        }
        Ok(done)
    }
    /// Adds a blob that is in memory: a manifest, an index or a configuration.
    pub fn add(&mut self, content: &[u8]) -> Result<Digest, StoreError> {
        let mut writer = self.blob()?;
        match writer.write_all(content) {
            Ok(()) => Ok(self.finish(writer, None)?.0),
            Err(error) => {
                let error = writer.failed(error);
                writer.discard();
                Err(error)
            }
        }
    }
    /// The size of a blob that is here or in the store.
    pub fn size(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        match self.find(digest) {
            Some(staged) => Ok(Some(staged.size)),
            None => self.store.blobs().size(digest),
        }
    }
    pub fn open(&self, digest: &Digest) -> Result<File, StoreError> {
        match self.find(digest) {
            Some(staged) => blobs::open_blob_at(&staged.path, digest),
            None => self.store.blobs().open_blob(digest),
        }
    }
    /// Reads a manifest, index or configuration.
    pub(crate) fn read(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let bytes_max = self.store.limits().document_bytes_max;
        match self.find(digest) {
            Some(staged) => {
                crate::files::read_bounded(&staged.path, bytes_max)?.ok_or(StoreError::MissingBlob(*digest))
            }
            None => self.store.blobs().read(digest, bytes_max),
        }
    }
    /// Drops a blob that turned out not to be needed.
    pub(crate) fn forget(&mut self, digest: &Digest) {
        if let Some(staged) = self.staged.remove(digest) {
            let _ = fs::remove_file(staged.path);
        }
    }
    /// Takes a layer that was unpacked to `directory`, which lies in [`Ingest::temporary`].
    pub(crate) fn adopt_layer(&mut self, diff_id: Digest, directory: &Path) -> Result<PathBuf, StoreError> {
        let path = self.unpacked_path(&diff_id);
        fs::rename(directory, &path).map_err(|error| StoreError::io("store", &path, error))?;
        self.unpacked.push(diff_id);
        Ok(path)
    }
    /// Where a layer is unpacked, here or in the store.
    pub(crate) fn layer_directory(&self, diff_id: &Digest) -> Option<PathBuf> {
        if self.unpacked.contains(diff_id) {
            return Some(self.unpacked_path(diff_id));
        }
        let path = self.store.layer_path(diff_id);
        path.is_dir().then_some(path)
    }
    fn unpacked_path(&self, diff_id: &Digest) -> PathBuf {
        self.temporary.path().join(format!("layer-{}", diff_id.hex()))
    }
    fn find(&self, digest: &Digest) -> Option<&StagedBlob> {
        self.staged.get(digest)
    }

    /// Puts the complete blobs into the store, where a later attempt finds them; only `prune` removes them.
    pub fn publish(&mut self) -> Result<(), StoreError> {
        self.store.blobs().publish(self.staged.values())?;
        self.staged.clear();
        for diff_id in std::mem::take(&mut self.unpacked) {
            let directory = self.unpacked_path(&diff_id);
            self.store.publish_layer(&diff_id, &directory)?;
        }
        Ok(())
    }

    /// Publishes everything and gives names to images. An image must be complete: its manifest, its configuration
    /// and its layers have to be here, with the sizes that the manifest tells.
    pub fn commit(mut self, names: &[(Reference, Digest)]) -> Result<(), StoreError> {
        let mut targets = Vec::with_capacity(names.len());
        for (reference, digest) in names {
            if let Some(expected) = reference.digest()
                && expected != digest
            {
                return Err(StoreError::DigestMismatch { expected: *expected, actual: *digest });
            }
            targets.push((self.store.canonical(reference)?, self.check_complete(digest)?));
        }
        self.publish()?;
        let now = Timestamp::now();
        self.store.change_references(&self.temporary, |references| {
            for (reference, (target, parts)) in &targets {
                references.set(reference, target, now, self.store.limits())?;
                if ecr_region(reference.domain()).is_some() {
                    parts.iter().for_each(|part| references.add_member(&reference.repository(), part, now));
                }
            }
            Ok(())
        })
    }

    /// Gives the image, and those of an index's images that are here.
    fn check_complete(&self, digest: &Digest) -> Result<(Descriptor, Vec<Descriptor>), StoreError> {
        let fail = |digest: &Digest| {
            let digest = *digest;
            move |source| StoreError::Document { digest, source }
        };
        let limits = self.store.limits();
        let content = self.read(digest)?;
        let document = Document::parse(&content, limits).map_err(fail(digest))?;
        let target = Descriptor::new(document.media_type(), *digest, content.len() as u64);
        let mut parts = Vec::new();
        let manifest = match document {
            Document::Manifest(manifest) => manifest,
            Document::Index(index) => {
                let chosen = index.choose(&Platform::host()).map_err(fail(digest))?.clone();
                self.check_blob(&chosen)?;
                for part in index.manifests.iter().filter(|part| part.is_manifest()) {
                    if self.size(&part.digest)? == Some(part.size) {
                        parts.push(part.clone());
                    }
                }
                let content = self.read(&chosen.digest)?;
                match Document::parse(&content, limits).map_err(fail(&chosen.digest))? {
                    Document::Manifest(manifest) => manifest,
                    Document::Index(_) => {
                        return Err(fail(digest)(crate::document::DocumentError::Nested(chosen.digest)));
                    }
                }
            }
        };
        self.check_blob(&manifest.config)?;
        for layer in &manifest.layers {
            self.check_blob(layer)?;
        }
        let config = self.read(&manifest.config.digest)?;
        crate::config::ConfigFile::parse(&config, limits)
            .and_then(|config| config.check(manifest.layers.len()))
            .map_err(fail(&manifest.config.digest))?;
        Ok((target, parts))
    }

    pub(crate) fn check_blob(&self, blob: &Descriptor) -> Result<(), StoreError> {
        let actual = self.size(&blob.digest)?.ok_or(StoreError::MissingBlob(blob.digest))?;
        if actual == blob.size {
            Ok(())
        } else {
            Err(StoreError::SizeMismatch { digest: blob.digest, expected: blob.size, actual })
        }
    }
}

impl From<StoreError> for LayerError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Layer(error) => *error,
            error => Self::Store(error),
        }
    }
}
