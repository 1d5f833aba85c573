//! Removing what no name and no holder needs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::config::ConfigFile;
use crate::digest::Digest;
use crate::document::{Document, Manifest};
use crate::error::StoreError;
use crate::files::TempDir;
use crate::lock::{FileLock, Mode};
use crate::store::Store;

/// What `prune` removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    pub blobs: u64,
    /// Bytes of the blobs; unpacked layers come on top.
    pub blob_bytes: u64,
    pub layers: u64,
}

#[derive(Default)]
struct Needed {
    blobs: BTreeSet<Digest>,
    diff_ids: BTreeSet<Digest>,
}

impl Store {
    /// Removes the blobs and unpacked layers that no name and no holder needs. Waits until nobody loads, builds or
    /// unpacks; whoever wants to meanwhile waits in turn, but only while things are moved out of sight.
    pub fn prune(&self) -> Result<Pruned, StoreError> {
        let alone = FileLock::take(&self.lock_path(), Mode::Exclusive, self.limits().store_wait)?;
        let mut trash = self.left_behind()?;
        trash.extend(self.abandoned_uploads()?);
        let needed = self.needed()?;
        let temporary = TempDir::create(&self.temporary_path())?;
        let mut pruned = Pruned::default();
        for digest in self.blobs().list()? {
            if !needed.blobs.contains(&digest) {
                pruned.blob_bytes += self.blobs().size(&digest)?.unwrap_or(0);
                pruned.blobs += 1;
                move_out_of_sight(
                    &self.blobs().path(&digest),
                    &temporary,
                    &format!("blob-{}", digest.hex()),
                )?;
            }
        }
        self.prune_layers(&needed, &temporary, &mut pruned)?;
        self.prune_locks()?;
        trash.push(temporary.path().to_owned());
        drop(alone);
        self.remove_left_behind(&trash)?;
        Ok(pruned)
    }

    /// A document that cannot be read stops everything: better too much on the disk than a layer too few.
    fn needed(&self) -> Result<Needed, StoreError> {
        let mut needed = Needed { blobs: self.fresh_blobs()?, ..Needed::default() };
        let references = self.references()?;
        let named = references.0.values().map(|target| target.digest);
        let held = self.holders()?.into_iter().map(|(_, digest)| digest);
        for digest in named.chain(held) {
            match self.document(&digest)? {
                Document::Manifest(manifest) => self.need(digest, &manifest, &mut needed)?,
                Document::Index(index) => {
                    needed.blobs.insert(digest);
                    // Of an index, usually only this machine's platform is here.
                    for descriptor in &index.manifests {
                        needed.blobs.insert(descriptor.digest);
                        if !descriptor.is_manifest() || !self.has_blob(&descriptor.digest)? {
                            continue;
                        }
                        match self.document(&descriptor.digest)? {
                            Document::Manifest(manifest) => {
                                self.need(descriptor.digest, &manifest, &mut needed)?;
                            }
                            Document::Index(_) => {}
                        }
                    }
                }
            }
        }
        Ok(needed)
    }

    fn need(&self, digest: Digest, manifest: &Manifest, needed: &mut Needed) -> Result<(), StoreError> {
        needed.blobs.insert(digest);
        needed.blobs.insert(manifest.config.digest);
        needed.blobs.extend(manifest.layers.iter().map(|layer| layer.digest));
        if self.has_blob(&manifest.config.digest)? {
            let limits = self.limits();
            let content = self.blobs().read(&manifest.config.digest, limits.document_bytes_max)?;
            // An artifact of another kind has no layers that could be unpacked.
            if let Ok(config) = ConfigFile::parse(&content, limits) {
                needed.diff_ids.extend(config.rootfs.diff_ids);
            }
        }
        Ok(())
    }

    fn prune_layers(
        &self,
        needed: &Needed,
        temporary: &TempDir,
        pruned: &mut Pruned,
    ) -> Result<(), StoreError> {
        let directory = self.directory().join("layers");
        let fail = |error| StoreError::io("list", &directory, error);
        for entry in fs::read_dir(&directory).map_err(fail)? {
            let name = entry.map_err(fail)?.file_name();
            let Some(Ok(diff_id)) = name.to_str().map(Digest::from_hex) else { continue };
            if !needed.diff_ids.contains(&diff_id) {
                move_out_of_sight(&directory.join(&name), temporary, &diff_id.hex())?;
                pruned.layers += 1;
            }
        }
        Ok(())
    }

    /// Lock files of layers that are gone. Nobody can hold one of them while `prune` is alone.
    fn prune_locks(&self) -> Result<(), StoreError> {
        let directory = self.directory().join("locks");
        let fail = |error| StoreError::io("list", &directory, error);
        for entry in fs::read_dir(&directory).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let name = entry.file_name();
            let layer = name.to_str().and_then(|name| name.strip_prefix("layer-")).map(Digest::from_hex);
            if let Some(Ok(diff_id)) = layer
                && !self.layer_path(&diff_id).exists()
            {
                fs::remove_file(entry.path())
                    .map_err(|error| StoreError::io("remove", entry.path(), error))?;
            }
        }
        Ok(())
    }
}

/// At once and as a whole: nothing half-removed is ever found.
fn move_out_of_sight(path: &Path, temporary: &TempDir, name: &str) -> Result<(), StoreError> {
    fs::rename(path, temporary.path().join(name)).map_err(|error| StoreError::io("remove", path, error))
}
