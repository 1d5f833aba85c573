//! Loading images from archives: what `docker save`, `podman save`, `skopeo` and `buildah` write.
//!
//! Flow: stream -> (decompress) -> each file becomes a staged blob, hashed on the way -> `index.json` or
//! `manifest.json` tells which of them are images -> everything else is dropped -> blobs are published, names are
//! given. The order of files in the archive does not matter, and memory does not grow with its size.

mod archive;
mod docker;
mod oci;

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::compression::{Bounded, decompress};
use crate::digest::Digest;
use crate::document::DocumentError;
use crate::error::StoreError;
use crate::ingest::Ingest;
use crate::progress::{OnProgress, Progress};
use crate::reference::{Reference, ReferenceError};
use crate::store::Store;
use crate::tar::TarError;
use archive::Files;

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("could not open {path}: {source}")]
    Open { path: PathBuf, source: io::Error },
    #[error("the archive cannot be read: {0}")]
    Archive(#[source] TarError),
    #[error("this is not an image archive: it has neither a manifest.json nor an index.json")]
    NotAnImage,
    #[error("{file} in the archive cannot be used: {source}")]
    Document { file: String, source: DocumentError },
    #[error("{file} names {missing:?}, which the archive does not have")]
    MissingFile { file: &'static str, missing: String },
    #[error("the archive is damaged: the content of {file} does not match its name, it is {actual}")]
    BlobMismatch { file: String, actual: Digest },
    #[error("layer {file} does not match the image's configuration: expected {expected}, got {actual}")]
    LayerMismatch { file: String, expected: Digest, actual: Digest },
    #[error("the archive has more than {0} files")]
    TooManyFiles(usize),
    #[error("the names of the files in the archive have more than {0} bytes")]
    NamesTooLong(usize),
    #[error("the archive has more than {0} images")]
    TooManyImages(usize),
    #[error("the archive holds {0} images, so one name cannot stand for all; load it without a name")]
    SeveralImages(usize),
    #[error("the archive does not name its image; give it a name with --name")]
    Unnamed,
    #[error(transparent)]
    Name(#[from] ReferenceError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LoadError {
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_disk_full())
    }
}

/// One image that was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The names under which it is found now.
    pub references: Vec<Reference>,
    pub digest: Digest,
}

/// An image of the archive, staged.
struct Found {
    digest: Digest,
    /// As the archive has them.
    names: Vec<String>,
    /// Everything that the image consists of.
    blobs: Vec<Digest>,
}

impl Store {
    /// Loads the images of an archive or of an OCI layout directory. With `name`, the archive's only image gets this
    /// name, and those in the archive do not count.
    pub fn load_path(
        &self,
        path: &Path,
        name: Option<&str>,
        on_progress: OnProgress<'_>,
    ) -> Result<Vec<Loaded>, LoadError> {
        let open = |source| LoadError::Open { path: path.to_owned(), source };
        if path.is_dir() {
            let mut ingest = self.ingest()?;
            let files = archive::read_directory(path, &mut ingest, self.limits(), on_progress)?;
            return self.load_files(ingest, &files, name);
        }
        let file = std::fs::File::open(path).map_err(open)?;
        let total = file.metadata().map_err(open)?;
        self.load_with_size(file, Some(total.len()).filter(|_| total.is_file()), name, on_progress)
    }

    /// Loads the images of an archive that is streamed, compressed with gzip or zstd or not at all.
    pub fn load(
        &self,
        reader: impl Read + Send,
        name: Option<&str>,
        on_progress: OnProgress<'_>,
    ) -> Result<Vec<Loaded>, LoadError> {
        self.load_with_size(reader, None, name, on_progress)
    }

    fn load_with_size(
        &self,
        reader: impl Read + Send,
        total: Option<u64>,
        name: Option<&str>,
        on_progress: OnProgress<'_>,
    ) -> Result<Vec<Loaded>, LoadError> {
        let mut ingest = self.ingest()?;
        let counted = Counted { inner: reader, bytes: 0, total, on_progress };
        let (_, content) = decompress(counted).map_err(LoadError::Archive)?;
        let bounded = Bounded::new(content, self.limits().blob_bytes_max.saturating_mul(4));
        let files = archive::read_tar(bounded, &mut ingest, self.limits())?;
        self.load_files(ingest, &files, name)
    }

    fn load_files(
        &self,
        mut ingest: Ingest,
        files: &Files,
        name: Option<&str>,
    ) -> Result<Vec<Loaded>, LoadError> {
        // Docker writes both forms into one archive; the OCI form keeps the digests of manifests, the other the names.
        let found = match oci::find(&mut ingest, files, self.limits())? {
            Some(found) => found,
            None => docker::find(&mut ingest, files, self.limits())?.ok_or(LoadError::NotAnImage)?,
        };
        let needed: BTreeSet<_> = found.iter().flat_map(|image| &image.blobs).copied().collect();
        for blob in files.digests().iter().filter(|blob| !needed.contains(blob)) {
            ingest.forget(blob);
        }
        let loaded = name_images(found, name)?;
        let names: Vec<_> = loaded
            .iter()
            .flat_map(|image| image.references.iter().map(|reference| (reference.clone(), image.digest)))
            .collect();
        ingest.commit(&names)?;
        Ok(loaded)
    }
}

fn name_images(found: Vec<Found>, name: Option<&str>) -> Result<Vec<Loaded>, LoadError> {
    if found.is_empty() {
        return Err(LoadError::NotAnImage);
    }
    if name.is_some() && found.len() > 1 {
        return Err(LoadError::SeveralImages(found.len()));
    }
    found
        .into_iter()
        .map(|image| {
            let names = match name {
                Some(name) => vec![name.to_owned()],
                None => image.names,
            };
            if names.is_empty() {
                return Err(LoadError::Unnamed);
            }
            let references =
                names.iter().map(|name| Reference::parse(name)).collect::<Result<Vec<_>, _>>()?;
            Ok(Loaded { references, digest: image.digest })
        })
        .collect()
}

struct Counted<'a, R> {
    inner: R,
    bytes: u64,
    total: Option<u64>,
    on_progress: OnProgress<'a>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes += read as u64;
        (self.on_progress)(Progress::Reading { bytes: self.bytes, total: self.total });
        Ok(read)
    }
}
