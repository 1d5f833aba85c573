//! Holds: which images are in use although no name may lead to them any more.
//!
//! A container outlives the process that started it, so a hold is a file, not a lock: `holds/<holder>` with the
//! digest of an image. `prune` keeps what is held. Holds are not synced to the disk, because a crash of the machine
//! ends the containers too.

use std::fs;
use std::io;
use std::path::PathBuf;

use crate::digest::Digest;
use crate::error::StoreError;
use crate::files;
use crate::lock::{FileLock, Mode};
use crate::store::Store;

const HOLD_BYTES_MAX: u64 = 100;
const HOLDER_BYTES_MAX: usize = 200;

impl Store {
    /// Keeps an image and its unpacked layers until `release`, under the name of whoever uses it, a task or
    /// container ID. A holder has one image; a second call replaces it. Take the hold before `prepare`.
    pub fn hold(&self, holder: &str, digest: &Digest) -> Result<(), StoreError> {
        let path = self.hold_path(holder)?;
        let _in_use = FileLock::take(&self.lock_path(), Mode::Shared, self.limits().store_wait)?;
        // `prune` could not follow a hold of anything but an image.
        self.document(digest)?;
        let draft = files::TempDir::create(&self.temporary_path())?;
        let draft_path = draft.path().join("hold");
        fs::write(&draft_path, digest.to_string())
            .and_then(|()| fs::rename(&draft_path, &path))
            .map_err(|error| StoreError::io("write", path, error))
    }

    /// Gives a hold back; nothing happens if there is none.
    pub fn release(&self, holder: &str) -> Result<(), StoreError> {
        let path = self.hold_path(holder)?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::io("remove", path, error))
            }
            _ => Ok(()),
        }
    }

    /// All holds, so that a node that was restarted can give back those whose containers are gone.
    pub fn holders(&self) -> Result<Vec<(String, Digest)>, StoreError> {
        let directory = self.directory().join("holds");
        let fail = |error| StoreError::io("list", &directory, error);
        let mut holders = Vec::new();
        for entry in fs::read_dir(&directory).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            // Given back meanwhile, or emptied by a crash of the machine: no hold.
            let Some(content) = files::read_bounded(&entry.path(), HOLD_BYTES_MAX)? else { continue };
            if let Some(digest) = std::str::from_utf8(&content).ok().and_then(|text| text.parse().ok()) {
                holders.push((name, digest));
            }
        }
        holders.sort();
        Ok(holders)
    }

    fn hold_path(&self, holder: &str) -> Result<PathBuf, StoreError> {
        let fine = !holder.is_empty()
            && holder.len() <= HOLDER_BYTES_MAX
            && !holder.starts_with('.')
            && holder.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if !fine {
            return Err(StoreError::Holder(holder.chars().take(HOLDER_BYTES_MAX).collect()));
        }
        Ok(self.directory().join("holds").join(holder))
    }
}
