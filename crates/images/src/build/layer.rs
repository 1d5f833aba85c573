//! Writes one layer of an image that is built.
//!
//! The same input gives the same bytes: entries are sorted, owners are numbers, times are whole seconds, nothing is
//! compressed (a compressor's next version may write other bytes, and a local layer gains nothing from it).
//!
//! A layer has every directory on the way to its files, with the attributes that the directory has in the image so
//! far. Without them, unpacking would have to invent some, and they would hide the real ones.

use std::collections::BTreeSet;
use std::io::{self, Read};

use rustix::fs::FileType;

use super::error::BuildError;
use super::tree::{Tree, TreeError, join, parts, show};
use crate::blobs::BlobWriter;
use crate::error::StoreError;
use crate::limits::{CHUNK_BYTES, Limits};
use crate::tar::{Entry, Kind, TarWriter};

pub(super) type Owner = (u32, u32);

pub(super) struct LayerBuilder<'a> {
    archive: TarWriter<BlobWriter>,
    /// The image so far.
    image: &'a Tree,
    limits: &'a Limits,
    source_date_epoch: Option<i64>,
    /// Directories that this layer has.
    directories: BTreeSet<Vec<u8>>,
    /// Symbolic links that this layer has.
    links: BTreeSet<Vec<u8>>,
    entries: u64,
    newest: Option<i64>,
    buffer: Vec<u8>,
}

/// Why nothing more can be written.
pub(super) enum LayerTrouble {
    /// A sentence about the instruction.
    Input(String),
    Store(StoreError),
}

impl From<TreeError> for LayerTrouble {
    fn from(error: TreeError) -> Self {
        Self::Input(error.to_string())
    }
}

impl LayerTrouble {
    pub(super) fn at(self, line: usize) -> BuildError {
        match self {
            Self::Input(message) => super::error::at_line(line, message),
            Self::Store(error) => BuildError::Store(error),
        }
    }
}

impl<'a> LayerBuilder<'a> {
    pub(super) fn new(
        blob: BlobWriter,
        image: &'a Tree,
        limits: &'a Limits,
        source_date_epoch: Option<i64>,
    ) -> Self {
        Self {
            archive: TarWriter::new(blob),
            image,
            limits,
            source_date_epoch,
            directories: BTreeSet::new(),
            links: BTreeSet::new(),
            entries: 0,
            newest: None,
            buffer: vec![0; CHUNK_BYTES],
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries == 0
    }
    /// The latest time of a file that came in.
    pub(super) fn newest(&self) -> Option<i64> {
        self.newest
    }
    /// Whether this layer made the directory.
    pub(super) fn has_directory(&self, path: &[u8]) -> bool {
        self.directories.contains(path)
    }

    /// The time that a file gets: its own, but none after `SOURCE_DATE_EPOCH`.
    pub(super) fn clamp(&self, mtime_seconds: i64) -> i64 {
        self.source_date_epoch.map_or(mtime_seconds, |epoch| mtime_seconds.min(epoch))
    }

    /// The directories above `path`: as they are in the image, or new ones of `owner`.
    pub(super) fn parents(&mut self, path: &[u8], owner: Owner) -> Result<(), LayerTrouble> {
        let above: Vec<Vec<u8>> = parts(path).map(<[u8]>::to_vec).collect();
        let mut directory = Vec::new();
        for part in above.iter().take(above.len().saturating_sub(1)) {
            directory = join(&directory, part);
            // An extracted archive may go through a link of its own. Unpacking follows it, or refuses it if it leaves
            // the layer; a directory here would replace it.
            if self.links.contains(&directory) {
                return Ok(());
            }
            self.directory(&directory, owner)?;
        }
        Ok(())
    }

    /// A directory: as it is in the image, or a new one of `owner`. Those above it must be there.
    pub(super) fn directory(&mut self, path: &[u8], owner: Owner) -> Result<(), LayerTrouble> {
        if path.is_empty() || self.directories.contains(path) {
            return Ok(());
        }
        let mut entry = Entry::new(path, Kind::Directory);
        match self.image.look(path)? {
            Some(node) if node.kind == FileType::Directory => {
                entry.mode = node.mode;
                (entry.uid, entry.gid) = (node.uid.into(), node.gid.into());
                entry.mtime_seconds = node.mtime_seconds;
                entry.xattrs = self.image.xattrs(&node)?;
                self.append_as_is(&entry)
            }
            Some(_) => Err(LayerTrouble::Input(format!("{} is not a directory", show(path)))),
            None => {
                (entry.uid, entry.gid) = (owner.0.into(), owner.1.into());
                entry.mtime_seconds = self.source_date_epoch.unwrap_or(0);
                self.append_as_is(&entry)
            }
        }
    }

    /// An entry without content. Those above it must be there.
    pub(super) fn append(&mut self, entry: &Entry) -> Result<(), LayerTrouble> {
        self.newest = self.newest.max(Some(entry.mtime_seconds));
        let mut entry = entry.clone();
        entry.mtime_seconds = self.clamp(entry.mtime_seconds);
        entry.mtime_nanoseconds = 0;
        self.append_as_is(&entry)
    }

    /// A file with its content, of which there must be as much as `entry` says.
    pub(super) fn file(&mut self, entry: &Entry, content: &mut impl Read) -> Result<(), LayerTrouble> {
        self.append(entry)?;
        self.copy(entry, entry.size, content)
    }

    /// The next `length` bytes of a file's content.
    pub(super) fn copy(
        &mut self,
        entry: &Entry,
        length: u64,
        content: &mut impl Read,
    ) -> Result<(), LayerTrouble> {
        let mut left = length;
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            let read = match content.read(&mut self.buffer[..wanted]) {
                Ok(0) => Err(io::Error::other("its size changed while it was read")),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other,
            };
            let read = read.map_err(|error| {
                LayerTrouble::Input(format!("could not read {}: {error}", show(&entry.path)))
            })?;
            let written = self.archive.content(&self.buffer[..read]);
            written.map_err(|error| self.failed(error))?;
            left -= read as u64;
        }
        Ok(())
    }

    /// The finished archive.
    pub(super) fn finish(self) -> Result<BlobWriter, LayerTrouble> {
        self.archive
            .finish()
            .map_err(|error| LayerTrouble::Store(StoreError::io("write", "the layer", error)))
    }

    pub(super) fn discard(self) {
        self.archive.into_inner().discard();
    }

    fn append_as_is(&mut self, entry: &Entry) -> Result<(), LayerTrouble> {
        self.entries += 1;
        if self.entries > self.limits.entries_max {
            return Err(LayerTrouble::Input(format!("more than {} files", self.limits.entries_max)));
        }
        let hides = parts(&entry.path).any(|part| part.starts_with(b".wh."));
        if hides {
            return Err(LayerTrouble::Input(format!(
                "{} cannot be in an image: in layers, names that begin with .wh. mean that a file is removed",
                show(&entry.path)
            )));
        }
        self.directories.remove(&entry.path);
        self.links.remove(&entry.path);
        match entry.kind {
            Kind::Directory => drop(self.directories.insert(entry.path.clone())),
            Kind::Symlink => drop(self.links.insert(entry.path.clone())),
            _ => {}
        }
        self.archive.append(entry).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> LayerTrouble {
        LayerTrouble::Store(self.archive.get_ref().failed(error))
    }
}
