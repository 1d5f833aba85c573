//! Blobs by digest: `blobs/sha256/<hex>`. A blob is there whole, with the content that its name says, or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::digest::{Digest, Hasher};
use crate::error::StoreError;
use crate::files::{self, TempDir};

/// The directory of all blobs.
#[derive(Clone, Debug)]
pub(crate) struct Blobs {
    directory: PathBuf,
}

impl Blobs {
    pub(crate) fn open(store: &Path) -> Result<Self, StoreError> {
        let directory = store.join("blobs/sha256");
        files::create_private_directory(&directory)?;
        Ok(Self { directory })
    }
    pub(crate) fn path(&self, digest: &Digest) -> PathBuf {
        self.directory.join(digest.hex())
    }
    /// The size of a blob, `None` if it is not here.
    pub(crate) fn size(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        let path = self.path(digest);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("look at", path, error)),
        }
    }
    pub(crate) fn open_blob(&self, digest: &Digest) -> Result<File, StoreError> {
        open_blob_at(&self.path(digest), digest)
    }
    /// Reads a manifest or configuration whole and checks it: what is parsed must be what its name says.
    pub(crate) fn read(&self, digest: &Digest, bytes_max: u64) -> Result<Vec<u8>, StoreError> {
        let path = self.path(digest);
        let content = files::read_bounded(&path, bytes_max)?.ok_or(StoreError::MissingBlob(*digest))?;
        let actual = Digest::of(&content);
        if actual == *digest {
            Ok(content)
        } else {
            Err(StoreError::DigestMismatch { expected: *digest, actual })
        }
    }
    /// Makes complete blobs durable and moves them to their names.
    pub(crate) fn publish<'a>(
        &self,
        staged: impl Iterator<Item = &'a StagedBlob> + Clone,
    ) -> Result<(), StoreError> {
        for blob in staged.clone() {
            File::open(&blob.path)
                .and_then(|file| file.sync_all())
                .map_err(|error| StoreError::io("write", &blob.path, error))?;
        }
        let mut any = false;
        for blob in staged {
            any = true;
            let path = self.path(&blob.digest);
            fs::rename(&blob.path, &path).map_err(|error| StoreError::io("store", path, error))?;
        }
        if any { files::sync_directory(&self.directory) } else { Ok(()) }
    }
    /// Moves a file that is complete, durable and proven to its name.
    pub(crate) fn adopt(&self, file: &Path, digest: &Digest) -> Result<(), StoreError> {
        let path = self.path(digest);
        fs::rename(file, &path).map_err(|error| StoreError::io("store", path, error))?;
        files::sync_directory(&self.directory)
    }
    /// The digests of all blobs. Names that are no digests are not ours and are left alone.
    pub(crate) fn list(&self) -> Result<Vec<Digest>, StoreError> {
        let fail = |error| StoreError::io("list", &self.directory, error);
        let mut digests = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(fail)? {
            let name = entry.map_err(fail)?.file_name();
            if let Some(Ok(digest)) = name.to_str().map(Digest::from_hex) {
                digests.push(digest);
            }
        }
        Ok(digests)
    }
}

pub(crate) fn open_blob_at(path: &Path, digest: &Digest) -> Result<File, StoreError> {
    File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => StoreError::MissingBlob(*digest),
        _ => StoreError::io("open", path, error),
    })
}

/// A complete blob that nobody sees yet.
#[derive(Debug, Clone)]
pub(crate) struct StagedBlob {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) path: PathBuf,
}

/// Writes one blob to a temporary file and hashes it on the way.
///
/// Errors of `write` carry the cause alone; [`BlobWriter::finish`] says what was attempted.
#[derive(Debug)]
pub struct BlobWriter {
    file: File,
    path: PathBuf,
    hasher: Hashing,
    size: u64,
    bytes_max: u64,
}

struct Hashing(Hasher);

impl std::fmt::Debug for Hashing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hashing")
    }
}

impl BlobWriter {
    pub(crate) fn create(temporary: &TempDir, number: usize, bytes_max: u64) -> Result<Self, StoreError> {
        let path = temporary.path().join(format!("blob-{number}"));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| StoreError::io("create", &path, error))?;
        Ok(Self { file, path, hasher: Hashing(Hasher::default()), size: 0, bytes_max })
    }
    /// Bytes written so far.
    pub fn size(&self) -> u64 {
        self.size
    }
    /// Wraps an error of writing to this blob.
    pub(crate) fn failed(&self, error: io::Error) -> StoreError {
        if error.kind() == io::ErrorKind::FileTooLarge {
            return StoreError::TooLarge { what: "the blob".into(), bytes_max: self.bytes_max };
        }
        StoreError::io("write", &self.path, error)
    }
    /// Tells the digest. A blob that is not what was `expected` is dropped.
    pub(crate) fn finish(self, expected: Option<&Digest>) -> Result<StagedBlob, StoreError> {
        let Self { path, hasher, size, .. } = self;
        let digest = hasher.0.finish();
        match expected {
            Some(expected) if *expected != digest => {
                let _ = fs::remove_file(&path);
                Err(StoreError::DigestMismatch { expected: *expected, actual: digest })
            }
            _ => Ok(StagedBlob { digest, size, path }),
        }
    }
    /// Drops what was written.
    pub(crate) fn discard(self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.size + bytes.len() as u64 > self.bytes_max {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        let written = self.file.write(bytes)?;
        self.hasher.0.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
