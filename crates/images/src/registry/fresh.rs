//! Blobs that no manifest names yet: `fresh/<hex>`.
//!
//! A push brings the blobs first and the manifest last, and asks before which blobs are here. `prune` keeps what a push was
//! promised for as long as the push may still take.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::time::SystemTime;

use crate::digest::Digest;
use crate::error::StoreError;
use crate::store::Store;

impl Store {
    /// Promises that a blob stays here for a while.
    pub(crate) fn keep_fresh(&self, digest: &Digest) -> Result<(), StoreError> {
        let path = self.fresh_path(digest);
        File::create(&path)
            .and_then(|file| file.set_modified(SystemTime::now()))
            .map_err(|error| StoreError::io("write", path, error))
    }

    /// From here on, names keep these blobs.
    pub(crate) fn no_longer_fresh<'a>(&self, digests: impl Iterator<Item = &'a Digest>) {
        for digest in digests {
            // What stays is removed by `prune` when it is old.
            let _ = fs::remove_file(self.fresh_path(digest));
        }
    }

    /// What was promised; promises that have run out are removed.
    pub(crate) fn fresh_blobs(&self) -> Result<BTreeSet<Digest>, StoreError> {
        let directory = self.directory().join("fresh");
        let fail = |error| StoreError::io("list", &directory, error);
        let mut fresh = BTreeSet::new();
        for entry in fs::read_dir(&directory).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let Some(Ok(digest)) = entry.file_name().to_str().map(Digest::from_hex) else { continue };
            let modified = match entry.metadata().and_then(|metadata| metadata.modified()) {
                Ok(modified) => modified,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(fail(error)),
            };
            let age = SystemTime::now().duration_since(modified).unwrap_or_default();
            if age < self.limits().unfinished_push_kept {
                fresh.insert(digest);
            } else {
                fs::remove_file(entry.path()).map_err(fail)?;
            }
        }
        Ok(fresh)
    }

    fn fresh_path(&self, digest: &Digest) -> std::path::PathBuf {
        self.directory().join("fresh").join(digest.hex())
    }
}
