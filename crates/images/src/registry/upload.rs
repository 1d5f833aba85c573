//! Uploads: `uploads/<id>/data` grows piece by piece, `uploads/<id>/repository` says where it goes.
//!
//! The file's length is the offset, so nothing else has to be kept to go on after a crash; the digest so far is in memory
//! and computed again from the file when it is not. The request that came last has the upload: one whose client is gone
//! without our knowing cannot hold up the one with which the client goes on.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::{Registry, RegistryError, RepositoryName};
use crate::digest::{Digest, Hasher};
use crate::error::StoreError;
use crate::files;
use crate::limits::{CHUNK_BYTES, Limits};
use crate::store::Store;

const DATA: &str = "data";
const REPOSITORY: &str = "repository";
const REPOSITORY_BYTES_MAX: u64 = 1024;
/// A UUID.
const ID_BYTES: usize = 36;

/// Every upload that was begun and not finished.
#[derive(Debug)]
pub(super) struct Uploads {
    states: Mutex<BTreeMap<String, Arc<Mutex<State>>>>,
}

struct State {
    directory: PathBuf,
    repository: String,
    size: u64,
    /// Open while a request goes on with it.
    file: Option<File>,
    /// The digest so far; absent after a restart.
    hasher: Option<Hasher>,
    /// Counts the requests that went on with it.
    turn: u64,
    /// Nobody may go on: it was finished, cancelled or has expired.
    is_over: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("directory", &self.directory).field("size", &self.size).finish()
    }
}

/// One request's turn with an upload.
#[derive(Debug)]
pub struct Upload {
    registry: Registry,
    id: String,
    state: Arc<Mutex<State>>,
    turn: u64,
}

impl Registry {
    /// Begins an upload under an id that nobody can guess, a UUID.
    pub fn begin_upload(&self, repository: &RepositoryName, id: &str) -> Result<Upload, RegistryError> {
        check_id(id)?;
        let directory = self.store.upload_path(id);
        let limits = self.store.limits();
        check_room(&self.store.uploads_path(), limits)?;
        let mut states = self.uploads.lock();
        if states.len() >= limits.uploads_max {
            return Err(RegistryError::TooManyUploads(limits.uploads_max));
        }
        let name = format!("{}/{}", repository.region(), repository.name());
        files::create_private_directory(&directory)?;
        fs::write(directory.join(REPOSITORY), &name)
            .map_err(|error| StoreError::io("write", &directory, error))?;
        let path = directory.join(DATA);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(|error| StoreError::io("create", path, error))?;
        let state = State {
            directory,
            repository: name,
            size: 0,
            file: Some(file),
            hasher: Some(Hasher::default()),
            turn: 0,
            is_over: false,
        };
        let state = Arc::new(Mutex::new(state));
        states.insert(id.to_owned(), state.clone());
        Ok(Upload { registry: self.clone(), id: id.to_owned(), state, turn: 0 })
    }

    /// How much of an upload has arrived. Does not disturb who goes on with it.
    pub fn upload_size(&self, repository: &RepositoryName, id: &str) -> Result<u64, RegistryError> {
        let state = self.find_upload(repository, id)?;
        let state = lock(&state);
        if state.is_over { Err(RegistryError::UploadUnknown) } else { Ok(state.size) }
    }

    /// Goes on with an upload; whoever did before is told that it was taken.
    pub fn resume_upload(&self, repository: &RepositoryName, id: &str) -> Result<Upload, RegistryError> {
        let state = self.find_upload(repository, id)?;
        let turn = {
            let mut state = lock(&state);
            if state.is_over {
                return Err(RegistryError::UploadUnknown);
            }
            state.turn += 1;
            state.turn
        };
        Ok(Upload { registry: self.clone(), id: id.to_owned(), state, turn })
    }

    fn find_upload(&self, repository: &RepositoryName, id: &str) -> Result<Arc<Mutex<State>>, RegistryError> {
        let state = self.uploads.lock().get(id).cloned().ok_or(RegistryError::UploadUnknown)?;
        let is_of_it = lock(&state).repository == format!("{}/{}", repository.region(), repository.name());
        if is_of_it { Ok(state) } else { Err(RegistryError::UploadUnknown) }
    }
}

impl Upload {
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Bytes that have arrived.
    pub fn size(&self) -> Result<u64, RegistryError> {
        Ok(self.turn()?.size)
    }

    /// Appends a piece and gives the new size. What was written before an error is kept, unless the disk is full: then
    /// the upload gives its room back.
    pub fn append<'a>(&self, pieces: impl Iterator<Item = &'a [u8]>) -> Result<u64, RegistryError> {
        let limits = self.registry.store.limits();
        let mut state = self.turn()?;
        let appended = (|| {
            let state = &mut *state;
            state.reopen()?;
            let (Some(file), Some(hasher)) = (&mut state.file, &mut state.hasher) else {
                return Err(RegistryError::UploadUnknown);
            };
            check_room_of(file, limits)?;
            for piece in pieces {
                if state.size + piece.len() as u64 > limits.blob_bytes_max {
                    return Err(RegistryError::TooLarge { what: "a blob", bytes_max: limits.blob_bytes_max });
                }
                write(file, hasher, &mut state.size, piece)
                    .map_err(|error| StoreError::io("write", &state.directory, error))?;
            }
            Ok(state.size)
        })();
        if matches!(appended, Err(RegistryError::NoRoom)) {
            state.is_over = true;
            state.remove();
            drop(state);
            self.registry.uploads.lock().remove(&self.id);
        }
        appended
    }

    /// Publishes the blob if it is what was `expected`; one that is not is dropped.
    pub fn finish(&self, expected: &Digest) -> Result<u64, RegistryError> {
        let store = &self.registry.store;
        let mut state = self.turn()?;
        state.reopen()?;
        let (Some(file), Some(hasher)) = (state.file.take(), state.hasher.take()) else {
            return Err(RegistryError::UploadUnknown);
        };
        let actual = hasher.finish();
        if actual != *expected {
            state.is_over = true;
            state.remove();
            drop(state);
            self.registry.uploads.lock().remove(&self.id);
            return Err(RegistryError::DigestMismatch { expected: *expected, actual });
        }
        // From here on `prune` waits, so that nothing is taken away between the blob and its promise.
        let _in_use = store.in_use()?;
        store.keep_fresh(expected)?;
        if store.blobs().size(expected)? != Some(state.size) {
            file.sync_all().map_err(|error| StoreError::io("write", &state.directory, error))?;
            store.blobs().adopt(&state.directory.join(DATA), expected)?;
        }
        state.is_over = true;
        state.remove();
        let size = state.size;
        drop(state);
        self.registry.uploads.lock().remove(&self.id);
        Ok(size)
    }

    /// Drops what has arrived.
    pub fn cancel(&self) -> Result<(), RegistryError> {
        let mut state = self.turn()?;
        state.is_over = true;
        state.remove();
        drop(state);
        self.registry.uploads.lock().remove(&self.id);
        Ok(())
    }

    fn turn(&self) -> Result<MutexGuard<'_, State>, RegistryError> {
        let state = lock(&self.state);
        match (state.is_over, state.turn == self.turn) {
            (true, _) => Err(RegistryError::UploadUnknown),
            (false, false) => Err(RegistryError::UploadTaken),
            (false, true) => Ok(state),
        }
    }
}

/// Descriptors are few: an upload that nobody goes on with has none.
impl Drop for Upload {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        if state.turn == self.turn {
            state.file = None;
        }
    }
}

impl State {
    /// Opens the file behind its last byte, with the digest of what is in it.
    fn reopen(&mut self) -> Result<(), RegistryError> {
        if self.file.is_some() && self.hasher.is_some() {
            return Ok(());
        }
        let path = self.directory.join(DATA);
        let fail = |error| StoreError::io("read", &path, error);
        let mut file = OpenOptions::new().read(true).write(true).open(&path).map_err(fail)?;
        if self.hasher.is_some() && file.seek(SeekFrom::End(0)).map_err(fail)? == self.size {
            self.file = Some(file);
            return Ok(());
        }
        file.rewind().map_err(fail)?;
        let mut hasher = Hasher::default();
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut size = 0;
        loop {
            let read = file.read(&mut buffer).map_err(fail)?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
            size += read as u64;
        }
        self.size = size;
        (self.file, self.hasher) = (Some(file), Some(hasher));
        Ok(())
    }

    fn remove(&mut self) {
        (self.file, self.hasher) = (None, None);
        // What cannot be removed now expires.
        let _ = files::remove_tree(&self.directory);
    }
}

/// Writes all of a piece. After an error the file, its size and its digest still say the same.
fn write(file: &mut File, hasher: &mut Hasher, size: &mut u64, mut piece: &[u8]) -> io::Result<()> {
    while !piece.is_empty() {
        let written = match file.write(piece) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&piece[..written]);
        *size += written as u64;
        piece = &piece[written..];
    }
    Ok(())
}

impl Uploads {
    /// Finds what an earlier process has left.
    pub(super) fn open(store: &Store) -> Result<Self, RegistryError> {
        let mut states = BTreeMap::new();
        for (id, directory) in list(&store.uploads_path())? {
            let repository = files::read_bounded(&directory.join(REPOSITORY), REPOSITORY_BYTES_MAX)?;
            let repository = repository.and_then(|name| String::from_utf8(name).ok());
            let size = fs::metadata(directory.join(DATA)).map(|metadata| metadata.len());
            let (Some(repository), Ok(size)) = (repository, size) else {
                // A crash came between the two files.
                let _ = files::remove_tree(&directory);
                continue;
            };
            let state =
                State { directory, repository, size, file: None, hasher: None, turn: 0, is_over: false };
            states.insert(id, Arc::new(Mutex::new(state)));
        }
        Ok(Self { states: Mutex::new(states) })
    }

    /// Removes uploads that have not gone on for too long, and forgets those that `prune` removed.
    pub(super) fn expire(&self, store: &Store) -> Result<usize, RegistryError> {
        let abandoned = store.abandoned_uploads()?;
        let mut states = self.lock();
        let before = states.len();
        states.retain(|_, state| {
            let mut state = lock(state);
            if state.directory.is_dir() && !abandoned.contains(&state.directory) {
                return true;
            }
            state.is_over = true;
            state.remove();
            false
        });
        Ok(before - states.len())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Mutex<State>>>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    fn uploads_path(&self) -> PathBuf {
        self.directory().join("uploads")
    }
    fn upload_path(&self, id: &str) -> PathBuf {
        self.uploads_path().join(id)
    }
    /// Uploads that have not gone on for too long.
    pub(crate) fn abandoned_uploads(&self) -> Result<Vec<PathBuf>, StoreError> {
        let now = SystemTime::now();
        let is_abandoned = |directory: &Path| {
            let modified = fs::metadata(directory.join(DATA)).and_then(|metadata| metadata.modified());
            let modified = modified.or_else(|_| fs::metadata(directory).and_then(|all| all.modified()));
            modified.is_ok_and(|modified| {
                now.duration_since(modified).unwrap_or(Duration::ZERO) > self.limits().unfinished_push_kept
            })
        };
        let all = list(&self.uploads_path())?.into_iter().map(|(_, directory)| directory);
        Ok(all.filter(|directory| is_abandoned(directory)).collect())
    }
}

fn list(uploads: &Path) -> Result<Vec<(String, PathBuf)>, StoreError> {
    let fail = |error| StoreError::io("list", uploads, error);
    let mut found = Vec::new();
    for entry in fs::read_dir(uploads).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        if let Some(id) = entry.file_name().to_str().filter(|id| check_id(id).is_ok()) {
            found.push((id.to_owned(), entry.path()));
        }
    }
    Ok(found)
}

/// Ids come in requests and become names of directories.
fn check_id(id: &str) -> Result<(), RegistryError> {
    let fine = id.len() == ID_BYTES && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if fine { Ok(()) } else { Err(RegistryError::UploadUnknown) }
}

fn check_room(directory: &Path, limits: &Limits) -> Result<(), RegistryError> {
    let file = File::open(directory).map_err(|error| StoreError::io("open", directory, error))?;
    check_room_of(&file, limits)
}

/// Others have to write too, so uploads never take the last room.
fn check_room_of(file: &File, limits: &Limits) -> Result<(), RegistryError> {
    let Ok(room) = rustix::fs::fstatvfs(file) else { return Ok(()) };
    let bytes = |blocks: u64| blocks.saturating_mul(room.f_frsize);
    let reserve = limits.disk_reserve_bytes.min(bytes(room.f_blocks) / 20);
    if bytes(room.f_bavail) < reserve { Err(RegistryError::NoRoom) } else { Ok(()) }
}
