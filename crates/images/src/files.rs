//! Files that appear whole or not at all, and trees that vanish.

use std::ffi::CString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir};
use rustix::io::Errno;

use crate::error::StoreError;

/// A directory of an operation's own under the store's `tmp`, removed with all that is in it.
#[derive(Debug)]
pub(crate) struct TempDir {
    path: PathBuf,
}

impl TempDir {
    pub(crate) fn create(parent: &Path) -> Result<Self, StoreError> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        const ATTEMPTS_MAX: usize = 10_000;
        for _ in 0..ATTEMPTS_MAX {
            let name = format!("{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
            let path = parent.join(name);
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self { path }),
                // Another process of the same number, in another process namespace or before a crash.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(StoreError::io("create the directory", path, error)),
            }
        }
        Err(StoreError::Damaged { path: parent.to_owned(), reason: "no free temporary name in it".into() })
    }
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next `open` or `prune`.
        let _ = remove_tree(&self.path);
    }
}

pub(crate) fn create_private_directory(path: &Path) -> Result<(), StoreError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| StoreError::io("create the directory", path, error))
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> Result<(), StoreError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| StoreError::io("sync the directory", path, error))
}

/// Replaces a file at once: readers see the old or the new content, also after a crash.
pub(crate) fn replace_file(temporary: &TempDir, path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let fail = |error| StoreError::io("write", path, error);
    let draft = temporary.path().join("draft");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft).map_err(fail)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(fail)?;
    fs::rename(&draft, path).map_err(fail)?;
    match path.parent() {
        Some(parent) => sync_directory(parent),
        None => Ok(()),
    }
}

/// Reads a file that must not have more than `bytes_max` bytes; `None` if there is none.
pub(crate) fn read_bounded(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let fail = |error| StoreError::io("read", path, error);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(error)),
    };
    let mut content = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut content).map_err(fail)?;
    if content.len() as u64 > bytes_max {
        return Err(StoreError::TooLarge { what: path.display().to_string(), bytes_max });
    }
    Ok(Some(content))
}

/// Removes a directory and all that is in it, however deep: a hostile layer may nest directories deeper than
/// descriptors or the stack reach, so each directory is moved up to the top before it is emptied.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    let top = match rustix::fs::open(path, DIRECTORY, Mode::empty()) {
        Ok(top) => top,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut moved = 0_u64;
    while let Some(name) = remove_files(&top, None, &mut moved)? {
        let directory = open_directory(&top, &name)?;
        remove_files(&directory, Some(&top), &mut moved)?;
        drop(directory);
        rustix::fs::unlinkat(&top, &name, AtFlags::REMOVEDIR)?;
    }
    fs::remove_dir(path)
}

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn open_directory(parent: &OwnedFd, name: &CString) -> io::Result<OwnedFd> {
    match rustix::fs::openat(parent, name, DIRECTORY, Mode::empty()) {
        // Without root, a layer's own mode can stand in the way.
        Err(Errno::ACCESS) => {
            rustix::fs::chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
            Ok(rustix::fs::openat(parent, name, DIRECTORY, Mode::empty())?)
        }
        other => Ok(other?),
    }
}

/// Removes the files of a directory. Directories in it are moved to `up`, or the first one is returned.
fn remove_files(directory: &OwnedFd, up: Option<&OwnedFd>, moved: &mut u64) -> io::Result<Option<CString>> {
    loop {
        // Entries that are removed while a directory is read may be skipped by some file systems: read again until
        // nothing is left.
        let mut removed_any = false;
        let own = rustix::fs::openat(directory, ".", DIRECTORY, Mode::empty())?;
        let mut buffer = Vec::with_capacity(32 * 1024);
        let mut entries = RawDir::new(own.as_fd(), buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_bytes() == b"." || name.to_bytes() == b".." {
                continue;
            }
            let is_directory = match entry.file_type() {
                FileType::Directory => true,
                FileType::Unknown => {
                    let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
                    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
                }
                _ => false,
            };
            match (is_directory, up) {
                (false, _) => rustix::fs::unlinkat(directory, name, AtFlags::empty())?,
                (true, None) => return Ok(Some(name.to_owned())),
                (true, Some(up)) => move_up(directory, name, up, moved)?,
            }
            removed_any = true;
        }
        if !removed_any {
            return Ok(None);
        }
    }
}

fn move_up(from: &OwnedFd, name: &std::ffi::CStr, up: &OwnedFd, moved: &mut u64) -> io::Result<()> {
    loop {
        *moved += 1;
        match rustix::fs::renameat(from, name, up, format!(".moved-{moved}")) {
            Ok(()) => return Ok(()),
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
            // The directory itself must be writable to change its "..".
            Err(Errno::ACCESS) => rustix::fs::chmodat(from, name, Mode::RWXU, AtFlags::empty())?,
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_deeper_than_any_path_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let top = parent.path().join("top");
        fs::create_dir(&top).unwrap();
        let mut directory = rustix::fs::open(&top, DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..5_000 {
            rustix::fs::mkdirat(&directory, "deeper", Mode::RWXU).unwrap();
            let file = OFlags::CREATE | OFlags::WRONLY;
            rustix::fs::openat(&directory, "file", file, Mode::RWXU).unwrap();
            directory = rustix::fs::openat(&directory, "deeper", DIRECTORY, Mode::empty()).unwrap();
        }
        std::os::unix::fs::symlink("/", top.join("link-to-root")).unwrap();
        fs::write(top.join(".moved-1"), "a name in the way").unwrap();
        fs::create_dir(top.join(".moved-2")).unwrap();
        remove_tree(&top).unwrap();
        assert!(!top.exists());
        remove_tree(&top).unwrap();
    }

    #[test]
    fn a_file_above_its_limit_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read_bounded(&path, 5).unwrap().unwrap(), b"12345");
        assert!(matches!(read_bounded(&path, 4), Err(StoreError::TooLarge { .. })));
        assert!(read_bounded(&directory.path().join("none"), 4).unwrap().is_none());
    }
}
