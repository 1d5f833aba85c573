//! The files of an archive or layout, staged as blobs and findable by their paths.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use super::LoadError;
use crate::blobs::BlobWriter;
use crate::digest::Digest;
use crate::error::StoreError;
use crate::ingest::Ingest;
use crate::limits::{CHUNK_BYTES, Limits, SYMLINKS_MAX};
use crate::progress::{OnProgress, Progress};
use crate::tar::{Entry, Kind, TarError, TarReader};

/// What stands at a path of the archive.
enum Item {
    Blob(Digest, u64),
    /// A path of the archive.
    Link(String),
}

/// The files by their paths, which are only ever compared, never opened.
pub(super) struct Files(BTreeMap<String, Item>);

impl Files {
    /// The blob at a path; older archives of Docker have links in place of layers that occur twice.
    pub(super) fn get(&self, path: &str) -> Option<(Digest, u64)> {
        let mut path = clean(path);
        for _ in 0..SYMLINKS_MAX {
            match self.0.get(&path)? {
                Item::Blob(digest, size) => return Some((*digest, *size)),
                Item::Link(target) => path = target.clone(),
            }
        }
        None
    }
    pub(super) fn digests(&self) -> Vec<Digest> {
        let blobs = self.0.values().filter_map(|item| match item {
            Item::Blob(digest, _) => Some(*digest),
            Item::Link(_) => None,
        });
        blobs.collect()
    }
}

/// Without `.`, empty parts and a leading slash; `..` takes a part away.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

pub(super) fn read_tar<R: Read>(
    content: R,
    ingest: &mut Ingest,
    limits: &Limits,
) -> Result<Files, LoadError> {
    let mut archive = TarReader::new(content);
    let mut files = Files(BTreeMap::new());
    let mut count = 0;
    let mut names_bytes = 0;
    while let Some(entry) = archive.next().map_err(|error| read_error(error, count))? {
        count += 1;
        if count > limits.archive_entries_max {
            return Err(LoadError::TooManyFiles(limits.archive_entries_max));
        }
        names_bytes += entry.path.len() + entry.link.len();
        if names_bytes > limits.names_bytes_max {
            return Err(LoadError::NamesTooLong(limits.names_bytes_max));
        }
        let path = clean(&String::from_utf8_lossy(&entry.path));
        if let Some(item) = read_entry(&entry, &path, &mut archive, ingest)? {
            files.0.insert(path, item);
        }
    }
    // A compressed archive tells only at its end whether it is whole.
    archive.drain().map_err(LoadError::Archive)?;
    Ok(files)
}

fn read_entry<R: Read>(
    entry: &Entry,
    path: &str,
    archive: &mut TarReader<R>,
    ingest: &mut Ingest,
) -> Result<Option<Item>, LoadError> {
    let link = || String::from_utf8_lossy(&entry.link).into_owned();
    match entry.kind {
        Kind::File if entry.pieces.is_none() => {
            let (digest, size) = stage(&mut archive.content(), path, ingest)?;
            Ok(Some(Item::Blob(digest, size)))
        }
        Kind::HardLink => Ok(Some(Item::Link(clean(&link())))),
        Kind::Symlink => {
            let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
            Ok(Some(Item::Link(clean(&format!("{directory}/{}", link())))))
        }
        // Nothing else can be part of an image.
        _ => Ok(None),
    }
}

/// Writes content to a blob. A file under `blobs/sha256` has to be what its name says.
fn stage(content: &mut impl Read, path: &str, ingest: &mut Ingest) -> Result<(Digest, u64), LoadError> {
    let mut writer = ingest.blob()?;
    match copy(content, &mut writer) {
        Ok(()) => {}
        Err(CopyError::Read(error)) => {
            writer.discard();
            return Err(LoadError::Archive(error.into()));
        }
        Err(CopyError::Write(error)) => {
            let error = writer.failed(error);
            writer.discard();
            return Err(error.into());
        }
    }
    let expected = path.strip_prefix("blobs/sha256/").and_then(|hex| Digest::from_hex(hex).ok());
    match ingest.finish(writer, expected.as_ref()) {
        Err(StoreError::DigestMismatch { actual, .. }) => {
            Err(LoadError::BlobMismatch { file: path.to_owned(), actual })
        }
        other => Ok(other?),
    }
}

enum CopyError {
    Read(io::Error),
    Write(io::Error),
}

fn copy(from: &mut impl Read, to: &mut BlobWriter) -> Result<(), CopyError> {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => to.write_all(&buffer[..read]).map_err(CopyError::Write)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(CopyError::Read(error)),
        }
    }
}

/// What fails at its very beginning is something else than an archive.
fn read_error(error: TarError, entries: usize) -> LoadError {
    match (error, entries) {
        (TarError::Checksum(_) | TarError::Truncated, 0) => LoadError::NotAnImage,
        (error, _) => LoadError::Archive(error),
    }
}

/// Stages the files of an OCI layout directory: its two documents, and its blobs.
pub(super) fn read_directory(
    directory: &Path,
    ingest: &mut Ingest,
    limits: &Limits,
    on_progress: OnProgress<'_>,
) -> Result<Files, LoadError> {
    let mut files = Files(BTreeMap::new());
    let mut paths = vec!["oci-layout".to_owned(), "index.json".to_owned(), "manifest.json".to_owned()];
    let blobs = directory.join("blobs/sha256");
    if blobs.is_dir() {
        let fail = |source| LoadError::Open { path: blobs.clone(), source };
        for entry in fs::read_dir(&blobs).map_err(fail)? {
            let name = entry.map_err(fail)?.file_name();
            if let Some(name) = name.to_str().filter(|name| Digest::from_hex(name).is_ok()) {
                paths.push(format!("blobs/sha256/{name}"));
            }
            if paths.len() > limits.archive_entries_max {
                return Err(LoadError::TooManyFiles(limits.archive_entries_max));
            }
        }
    }
    let mut bytes = 0;
    for path in paths {
        let full = directory.join(&path);
        let open = |source| LoadError::Open { path: full.clone(), source };
        let mut file = match File::open(&full) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(open(error)),
        };
        if !file.metadata().map_err(open)?.is_file() {
            continue;
        }
        let (digest, size) = stage(&mut file, &path, ingest)?;
        bytes += size;
        on_progress(Progress::Reading { bytes, total: None });
        files.0.insert(path, Item::Blob(digest, size));
    }
    Ok(files)
}
