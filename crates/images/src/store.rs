//! The store of one machine, shared by all processes that open its directory.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::blobs::Blobs;
use crate::config::{ConfigFile, ImageConfig};
use crate::digest::Digest;
use crate::document::{Document, DocumentError, Manifest, Platform};
use crate::error::StoreError;
use crate::files::{self, TempDir};
use crate::ingest::Ingest;
use crate::limits::Limits;
use crate::lock::{FileLock, Mode};
use crate::own;
use crate::progress::{OnProgress, silent};
use crate::reference::Reference;
use crate::references::{self, References};
use crate::unpack;

/// A store of images in a directory. Cheap to clone; every method may be called from any thread and blocks.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    directory: PathBuf,
    blobs: Blobs,
    limits: Limits,
    index: references::Cache,
}

/// An image for this machine's platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// What the name leads to: the index if there is one. This is what a registry answers for the name.
    pub digest: Digest,
    /// The manifest that was chosen; the same as `digest` if there is no index.
    pub manifest_digest: Digest,
    /// The digest of the configuration, Docker's image ID.
    pub config_digest: Digest,
    pub config: ImageConfig,
    /// The lowest first.
    pub layers: Vec<Layer>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The blob as it is stored.
    pub digest: Digest,
    pub media_type: String,
    pub size: u64,
    /// The digest of the archive without compression, under which the layer is unpacked.
    pub diff_id: Digest,
}

/// One name of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The name as it was given.
    pub name: String,
    pub reference: Reference,
    pub digest: Digest,
}

impl Store {
    /// Opens the store in `directory` and creates what is missing. What killed processes left half-done is removed
    /// if nobody works in the store at the moment.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with(directory, Limits::default())
    }

    pub fn open_with(directory: impl AsRef<Path>, limits: Limits) -> Result<Self, StoreError> {
        let directory = std::path::absolute(directory.as_ref())
            .map_err(|error| StoreError::io("find", directory.as_ref(), error))?;
        files::create_private_directory(&directory)?;
        for name in ["layers", "tmp", "locks", "holds", "uploads", "fresh", EMPTY_LAYER] {
            files::create_private_directory(&directory.join(name))?;
        }
        let blobs = Blobs::open(&directory)?;
        let store =
            Self { inner: Arc::new(Inner { directory, blobs, limits, index: references::Cache::default() }) };
        let left = match FileLock::try_take(&store.lock_path(), Mode::Exclusive)? {
            Some(_alone) => store.left_behind()?,
            None => Vec::new(),
        };
        store.remove_left_behind(&left)?;
        store.write_layout_file()?;
        Ok(store)
    }

    pub fn directory(&self) -> &Path {
        &self.inner.directory
    }

    /// What a name leads to: `None` if the store does not have it. The digest goes to [`Store::image`] and
    /// [`Store::prepare`]. `sha256:...` alone means the image of this digest.
    pub fn resolve(&self, name: &str) -> Result<Option<Digest>, StoreError> {
        let references = self.references()?;
        if let Ok(digest) = name.parse::<Digest>() {
            return Ok(references.0.values().any(|target| target.digest == digest).then_some(digest));
        }
        let reference = self.canonical(&Reference::parse(name)?)?;
        Ok(references.find(&reference).map(|target| target.digest))
    }

    /// The image of a digest that [`Store::resolve`] gave.
    pub fn image(&self, digest: &Digest) -> Result<Image, StoreError> {
        let (manifest_digest, manifest) = self.manifest(digest)?;
        let limits = self.limits();
        let content = self.blobs().read(&manifest.config.digest, limits.document_bytes_max)?;
        let config = ConfigFile::parse(&content, limits)
            .and_then(|config| config.check(manifest.layers.len()))
            .map_err(|source| StoreError::Document { digest: manifest.config.digest, source })?;
        let layers = manifest.layers.into_iter().zip(&config.diff_ids).map(|(layer, diff_id)| Layer {
            digest: layer.digest,
            media_type: layer.media_type,
            size: layer.size,
            diff_id: *diff_id,
        });
        Ok(Image {
            digest: *digest,
            manifest_digest,
            config_digest: manifest.config.digest,
            layers: layers.collect(),
            config,
        })
    }

    /// The directories of an image's layers, ready to be the lower directories of an overlay, the topmost first.
    /// Layers that are not unpacked yet are unpacked.
    pub fn prepare(&self, digest: &Digest) -> Result<Vec<PathBuf>, StoreError> {
        self.prepare_with(digest, &silent)
    }

    pub fn prepare_with(
        &self,
        digest: &Digest,
        on_progress: OnProgress<'_>,
    ) -> Result<Vec<PathBuf>, StoreError> {
        let _in_use = self.in_use()?;
        let image = self.image(digest)?;
        for layer in &image.layers {
            unpack::unpack_into_store(self, layer, on_progress)?;
        }
        let mut directories = Vec::with_capacity(image.layers.len());
        for layer in image.layers.iter().rev() {
            // overlayfs refuses a directory that stands there twice. All that the lower one would add or hide, the
            // upper one adds and hides again.
            let path = self.layer_path(&layer.diff_id);
            if !directories.contains(&path) {
                directories.push(path);
            }
        }
        if directories.is_empty() {
            // An overlay needs at least one lower directory.
            directories.push(self.directory().join(EMPTY_LAYER));
        }
        Ok(directories)
    }

    /// All names, in the order of their complete forms. An image of the own registry stands there by its digest only if
    /// it has no tag.
    pub fn list(&self) -> Result<Vec<Listed>, StoreError> {
        let references = self.references()?;
        let mut listed = Vec::with_capacity(references.0.len());
        let mut tagged = BTreeSet::new();
        for (name, target) in &references.0 {
            let reference = Reference::parse(name)?;
            if reference.digest().is_none() {
                tagged.insert((reference.repository(), target.digest));
            }
            listed.push(Listed { name: target.given.clone(), reference, digest: target.digest });
        }
        listed.retain(|image| {
            image.reference.digest().is_none()
                || own::ecr_region(image.reference.domain()).is_none()
                || !tagged.contains(&(image.reference.repository(), image.digest))
        });
        Ok(listed)
    }

    /// Gives the image `source` a further name.
    pub fn tag(&self, source: &str, name: &str) -> Result<Digest, StoreError> {
        let reference = Reference::parse(name)?;
        let digest = self.resolve(source)?.ok_or_else(|| StoreError::Missing(source.to_owned()))?;
        let ingest = self.ingest()?;
        ingest.commit(&[(reference, digest)])?;
        Ok(digest)
    }

    /// Removes a name; false if there was none. The content stays until `prune`. In the own registry an image goes with
    /// its last tag, and all its tags go with it.
    pub fn remove(&self, name: &str) -> Result<bool, StoreError> {
        let reference = self.canonical(&Reference::parse(name)?)?;
        let ingest = self.ingest()?;
        if own::ecr_region(reference.domain()).is_some() {
            let repository = reference.repository();
            return self.change_references(ingest.temporary(), |references| {
                Ok(match (reference.tag(), reference.digest()) {
                    (Some(tag), _) => references.remove_tag(&repository, tag).is_some(),
                    (None, Some(digest)) => references.remove_image(&repository, digest).is_some(),
                    (None, None) => false,
                })
            });
        }
        self.change_references(ingest.temporary(), |references| {
            Ok(references.0.remove(&reference.to_string()).is_some())
        })
    }

    /// Begins to bring content in.
    pub fn ingest(&self) -> Result<Ingest, StoreError> {
        let in_use = self.in_use()?;
        let temporary = TempDir::create(&self.temporary_path())?;
        Ok(Ingest::new(self.clone(), temporary, in_use))
    }

    /// Whether a blob is here, whole.
    pub fn has_blob(&self, digest: &Digest) -> Result<bool, StoreError> {
        Ok(self.blobs().size(digest)?.is_some())
    }

    /// Opens a blob, to push it.
    pub fn open_blob(&self, digest: &Digest) -> Result<File, StoreError> {
        self.blobs().open_blob(digest)
    }

    /// The manifest for this machine's platform.
    pub(crate) fn manifest(&self, digest: &Digest) -> Result<(Digest, Manifest), StoreError> {
        let fail = |digest: Digest| move |source| StoreError::Document { digest, source };
        match self.document(digest)? {
            Document::Manifest(manifest) => Ok((*digest, manifest)),
            Document::Index(index) => {
                let chosen = index.choose(&Platform::host()).map_err(fail(*digest))?.digest;
                match self.document(&chosen)? {
                    Document::Manifest(manifest) => Ok((chosen, manifest)),
                    Document::Index(_) => Err(fail(*digest)(DocumentError::Nested(chosen))),
                }
            }
        }
    }

    pub(crate) fn document(&self, digest: &Digest) -> Result<Document, StoreError> {
        let content = self.blobs().read(digest, self.limits().document_bytes_max)?;
        Document::parse(&content, self.limits())
            .map_err(|source| StoreError::Document { digest: *digest, source })
    }

    pub(crate) fn references(&self) -> Result<Arc<References>, StoreError> {
        self.inner.index.read(self.directory(), self.limits())
    }

    /// Changes the references under their lock, and makes the change durable.
    pub(crate) fn change_references<T>(
        &self,
        temporary: &TempDir,
        change: impl FnOnce(&mut References) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let lock = self.directory().join("locks/index");
        let _lock = FileLock::take(&lock, Mode::Exclusive, self.limits().index_wait)?;
        let mut references = References::clone(&*self.references()?);
        let result = change(&mut references)?;
        files::replace_file(temporary, &self.directory().join(references::FILE), &references.to_json())?;
        Ok(result)
    }

    /// Moves an unpacked layer to its name, unless somebody else was faster.
    pub(crate) fn publish_layer(&self, diff_id: &Digest, unpacked: &Path) -> Result<(), StoreError> {
        let path = self.layer_path(diff_id);
        let _lock = self.lock_layer(diff_id)?;
        if path.is_dir() {
            return Ok(());
        }
        fs::rename(unpacked, &path).map_err(|error| StoreError::io("store", &path, error))?;
        files::sync_directory(&self.directory().join("layers"))
    }

    pub(crate) fn lock_layer(&self, diff_id: &Digest) -> Result<FileLock, StoreError> {
        let path = self.directory().join("locks").join(format!("layer-{}", diff_id.hex()));
        FileLock::take(&path, Mode::Exclusive, self.limits().store_wait)
    }

    /// Keeps `prune` away as long as the result lives.
    pub(crate) fn in_use(&self) -> Result<FileLock, StoreError> {
        FileLock::take(&self.lock_path(), Mode::Shared, self.limits().store_wait)
    }

    /// What killed processes left in `tmp`; only who is alone in the store can tell.
    pub(crate) fn left_behind(&self) -> Result<Vec<PathBuf>, StoreError> {
        let directory = self.temporary_path();
        let fail = |error| StoreError::io("list", &directory, error);
        fs::read_dir(&directory).map_err(fail)?.map(|entry| Ok(entry.map_err(fail)?.path())).collect()
    }

    /// Removing many files can take long, so others work meanwhile. Two may remove the same.
    pub(crate) fn remove_left_behind(&self, left: &[PathBuf]) -> Result<(), StoreError> {
        if left.is_empty() {
            return Ok(());
        }
        let _in_use = self.in_use()?;
        for path in left {
            files::remove_tree(path).map_err(|error| StoreError::io("remove", path, error))?;
        }
        Ok(())
    }

    fn write_layout_file(&self) -> Result<(), StoreError> {
        let path = self.directory().join("oci-layout");
        if path.exists() {
            return Ok(());
        }
        let _in_use = self.in_use()?;
        let temporary = TempDir::create(&self.temporary_path())?;
        files::replace_file(&temporary, &path, br#"{"imageLayoutVersion":"1.0.0"}"#)
    }

    pub(crate) fn blobs(&self) -> &Blobs {
        &self.inner.blobs
    }
    pub(crate) fn limits(&self) -> &Limits {
        &self.inner.limits
    }
    pub(crate) fn layer_path(&self, diff_id: &Digest) -> PathBuf {
        self.directory().join("layers").join(diff_id.hex())
    }
    pub(crate) fn temporary_path(&self) -> PathBuf {
        self.directory().join("tmp")
    }
    pub(crate) fn lock_path(&self) -> PathBuf {
        self.directory().join("locks/store")
    }
}

const EMPTY_LAYER: &str = "empty";
