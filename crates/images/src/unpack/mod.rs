//! Unpacking a layer to a directory that overlayfs can use as a lower directory.
//!
//! Flow: blob -> decompress -> hash -> tar entries -> files in a temporary directory -> the hash must be the layer's
//! diff ID -> the directory gets its name. Of a layer that is refused at any point, nothing remains.
//!
//! A layer never writes outside its directory. Every path is resolved by the kernel beneath the directory's
//! descriptor (`openat2` with `RESOLVE_BENEATH`), never by name; relative links inside the layer work, links that
//! leave it do not. The last part of a path is never followed.

mod attributes;
mod entry_path;
mod layer;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc;

use crate::compression::{Bounded, decompress};
use crate::digest::{Digest, HashingReader};
use crate::error::{StoreError, is_disk_full};
use crate::files::TempDir;
use crate::limits::{CHUNK_BYTES, Limits};
use crate::progress::{OnProgress, Progress};
use crate::store::{Layer, Store};
use crate::tar::{TarError, TarReader};
use layer::LayerWriter;

pub(crate) use attributes::is_portable;
pub(crate) use entry_path::EntryPath;
pub use entry_path::Refusal;

/// Why a layer was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    #[error("layer {layer} is refused: entry {entry:?} {refusal}")]
    Refused { layer: Digest, entry: String, refusal: Refusal },
    #[error("layer {layer} cannot be unpacked: {source}")]
    Archive { layer: Digest, source: TarError },
    #[error("layer {layer} does not match its diff ID: expected {expected}, got {actual}")]
    DiffId { layer: Digest, expected: Digest, actual: Digest },
    #[error("layer {layer}: the disk is full: could not write entry {entry:?}")]
    DiskFull { layer: Digest, entry: String },
    #[error("layer {layer}: could not {verb} entry {entry:?}: {source}")]
    Entry { layer: Digest, entry: String, verb: &'static str, source: io::Error },
    #[error(transparent)]
    Store(StoreError),
}

impl LayerError {
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::DiskFull { .. } => true,
            Self::Store(error) => error.is_disk_full(),
            _ => false,
        }
    }
}

/// Unpacks a layer to its place in the store. Whoever comes second waits for the first and finds it done.
pub(crate) fn unpack_into_store(
    store: &Store,
    layer: &Layer,
    on_progress: OnProgress<'_>,
) -> Result<(), StoreError> {
    let path = store.layer_path(&layer.diff_id);
    if path.is_dir() {
        return Ok(());
    }
    let _lock = store.lock_layer(&layer.diff_id)?;
    if path.is_dir() {
        return Ok(());
    }
    let temporary = TempDir::create(&store.temporary_path())?;
    let directory = temporary.path().join("layer");
    unpack(store.open_blob(&layer.digest)?, layer, &directory, store.limits(), on_progress)?;
    fs::rename(&directory, &path).map_err(|error| StoreError::io("store", &path, error))?;
    crate::files::sync_directory(&store.directory().join("layers"))
}

/// Unpacks a layer to `directory`, which must not exist yet. On an error the caller removes what is there.
pub(crate) fn unpack(
    blob: File,
    layer: &Layer,
    directory: &Path,
    limits: &Limits,
    on_progress: OnProgress<'_>,
) -> Result<(), LayerError> {
    let damaged = |source| LayerError::Archive { layer: layer.digest, source };
    let mut writer = LayerWriter::create(layer.digest, directory, limits)?;
    let counted = Counted { inner: blob, layer, bytes: 0, on_progress };
    let diff_id = ahead(counted, limits.layer_bytes_max, |content| {
        let mut hashed = HashingReader::new(content);
        let mut archive = TarReader::new(&mut hashed);
        while let Some(entry) = archive.next().map_err(damaged)? {
            writer.entry(&entry, &mut archive)?;
        }
        archive.drain().map_err(damaged)?;
        Ok(hashed.finish())
    })
    .map_err(|error| match error {
        AheadError::Archive(source) => damaged(source),
        AheadError::Layer(error) => error,
    })?;
    if diff_id != layer.diff_id {
        return Err(LayerError::DiffId { layer: layer.digest, expected: layer.diff_id, actual: diff_id });
    }
    writer.finish()?;
    on_progress(Progress::Unpacked { layer: &layer.digest });
    Ok(())
}

enum AheadError {
    Archive(TarError),
    Layer(LayerError),
}

impl From<LayerError> for AheadError {
    fn from(error: LayerError) -> Self {
        Self::Layer(error)
    }
}

/// Decompresses on a thread of its own, a few chunks ahead of `consume`.
fn ahead<R: Read + Send, T>(
    blob: R,
    bytes_max: u64,
    consume: impl FnOnce(Chunks) -> Result<T, LayerError>,
) -> Result<T, AheadError> {
    const CHUNKS_AHEAD: usize = 8;
    let (filled_sender, filled) = mpsc::sync_channel::<io::Result<Vec<u8>>>(CHUNKS_AHEAD);
    let (emptied, emptied_receiver) = mpsc::sync_channel::<Vec<u8>>(CHUNKS_AHEAD + 2);
    let (_, content) = decompress(blob).map_err(AheadError::Archive)?;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut content = Bounded::new(content, bytes_max);
            loop {
                let mut chunk = emptied_receiver.try_recv().unwrap_or_default();
                chunk.clear();
                let read = (&mut content).take(CHUNK_BYTES as u64).read_to_end(&mut chunk);
                let more = matches!(read, Ok(read) if read > 0);
                // The other side is gone when it has met an error of its own.
                if filled_sender.send(read.map(|_| chunk)).is_err() || !more {
                    return;
                }
            }
        });
        Ok(consume(Chunks { filled, emptied, current: Vec::new(), at: 0 })?)
    })
}

/// The reading end of [`ahead`].
struct Chunks {
    filled: mpsc::Receiver<io::Result<Vec<u8>>>,
    emptied: mpsc::SyncSender<Vec<u8>>,
    current: Vec<u8>,
    at: usize,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.current.len() {
            let next = match self.filled.recv() {
                Ok(next) => next?,
                // The thread ended, after the empty chunk or an error that was given already.
                Err(mpsc::RecvError) => return Ok(0),
            };
            let _ = self.emptied.try_send(std::mem::replace(&mut self.current, next));
            self.at = 0;
        }
        let read = (self.current.len() - self.at).min(buffer.len());
        buffer[..read].copy_from_slice(&self.current[self.at..self.at + read]);
        self.at += read;
        Ok(read)
    }
}

/// Reports how much of a stored blob was read.
struct Counted<'a, R> {
    inner: R,
    layer: &'a Layer,
    bytes: u64,
    on_progress: OnProgress<'a>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes += read as u64;
        let (layer, total) = (&self.layer.digest, self.layer.size);
        (self.on_progress)(Progress::Unpacking { layer, bytes: self.bytes, total });
        Ok(read)
    }
}

/// An error of the file system while an entry is written.
fn entry_error(layer: Digest, path: &[u8], verb: &'static str, source: io::Error) -> LayerError {
    let entry = show(path);
    if is_disk_full(&source) {
        LayerError::DiskFull { layer, entry }
    } else {
        LayerError::Entry { layer, entry, verb, source }
    }
}

/// A name for messages, short and printable.
fn show(path: &[u8]) -> String {
    const CHARACTERS_MAX: usize = 300;
    let text = String::from_utf8_lossy(path);
    if text.chars().count() <= CHARACTERS_MAX {
        return text.into_owned();
    }
    text.chars().take(CHARACTERS_MAX).chain("...".chars()).collect()
}
