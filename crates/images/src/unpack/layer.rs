//! Writes the entries of one layer below one directory.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, Timestamps, chmodat, chownat, fchmod, futimens, linkat,
    makedev, mkdirat, mknodat, openat, openat2, statat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

use super::attributes::{Trouble, io, is_whiteout, owner, set_attributes, set_opaque, times};
use super::entry_path::{EntryPath, Refusal};
use super::{LayerError, entry_error, show};
use crate::digest::Digest;
use crate::error::StoreError;
use crate::files::remove_tree;
use crate::limits::{CHUNK_BYTES, Limits};
use crate::tar::{Entry, Kind, TarReader};

const WHITEOUT_PREFIX: &[u8] = b".wh.";
const OPAQUE_WHITEOUT: &[u8] = b".wh..wh..opq";
/// Other names of this form are notes that AUFS left for itself.
const AUFS_PREFIX: &[u8] = b".wh..wh.";

const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const NO_FOLLOW: AtFlags = AtFlags::SYMLINK_NOFOLLOW;

pub(super) struct LayerWriter<'a> {
    layer: Digest,
    path: &'a Path,
    root: OwnedFd,
    limits: &'a Limits,
    entries: u64,
    bytes: u64,
    /// Times of directories, set when nothing more is made in them.
    directory_times: Vec<(Vec<u8>, Timestamps)>,
    directory_names_bytes: usize,
    /// The directory of the entry before: the next one usually lies in it too.
    parent: Option<(Vec<u8>, OwnedFd)>,
    buffer: Vec<u8>,
    removed: u64,
}

impl<'a> LayerWriter<'a> {
    pub(super) fn create(layer: Digest, path: &'a Path, limits: &'a Limits) -> Result<Self, LayerError> {
        let fail = |error: io::Error| LayerError::Store(StoreError::io("create the directory", path, error));
        fs::create_dir(path).map_err(fail)?;
        let root = rustix::fs::open(path, DIRECTORY, Mode::empty()).map_err(|error| fail(error.into()))?;
        fchmod(&root, Mode::from_raw_mode(0o755)).map_err(|error| fail(error.into()))?;
        Ok(Self {
            layer,
            path,
            root,
            limits,
            entries: 0,
            bytes: 0,
            directory_times: Vec::new(),
            directory_names_bytes: 0,
            parent: None,
            buffer: vec![0; CHUNK_BYTES],
            removed: 0,
        })
    }

    pub(super) fn entry<R: Read>(
        &mut self,
        entry: &Entry,
        archive: &mut TarReader<R>,
    ) -> Result<(), LayerError> {
        let layer = self.layer;
        self.write(entry, archive).map_err(|trouble| match trouble {
            Trouble::Refused(refusal) => LayerError::Refused { layer, entry: show(&entry.path), refusal },
            Trouble::Io("read", error) => LayerError::Archive { layer, source: error.into() },
            Trouble::Io(verb, error) => entry_error(layer, &entry.path, verb, error),
        })
    }

    /// Sets the times of the directories and makes everything durable.
    pub(super) fn finish(mut self) -> Result<(), LayerError> {
        // A later entry of the same directory counts.
        for (path, times) in std::mem::take(&mut self.directory_times) {
            let directory = match openat2(&self.root, below(&path), DIRECTORY, Mode::empty(), BENEATH) {
                Ok(directory) => directory,
                // Replaced by something else later in the archive.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => continue,
                Err(error) => return Err(entry_error(self.layer, &path, "open", error.into())),
            };
            futimens(&directory, &times)
                .map_err(|error| entry_error(self.layer, &path, "set the time of", error.into()))?;
        }
        // One call for all files: they are many, and most are small.
        rustix::fs::syncfs(&self.root)
            .map_err(|error| LayerError::Store(StoreError::io("sync", self.path, error)))
    }

    fn write<R: Read>(&mut self, entry: &Entry, archive: &mut TarReader<R>) -> Result<(), Trouble> {
        self.entries += 1;
        if self.entries > self.limits.entries_max {
            return Err(Refusal::TooManyEntries { entries_max: self.limits.entries_max }.into());
        }
        let path = EntryPath::parse(&entry.path, self.limits)?;
        let Some((parents, name)) = path.split() else {
            return match entry.kind {
                Kind::Directory => self.finish_directory(entry, &path),
                _ => Err(Refusal::RootNotDirectory.into()),
            };
        };
        self.open_parent(parents)?;
        if name.starts_with(WHITEOUT_PREFIX) {
            return self.whiteout(name);
        }
        match entry.kind {
            Kind::Directory => {
                self.make_directory(name)?;
                self.finish_directory(entry, &path)
            }
            Kind::File => self.file(name, entry, archive),
            Kind::HardLink => self.hard_link(name, &entry.link),
            Kind::Symlink => self.symlink(name, entry),
            Kind::Fifo => {
                self.clear(name)?;
                mknodat(self.parent_fd(), name, FileType::Fifo, Mode::from_raw_mode(0o600), 0)
                    .map_err(io("create"))?;
                self.finish_special(name, entry)
            }
            // A container has a /dev of its own above the image's.
            Kind::CharDevice | Kind::BlockDevice if path.first() == Some(b"dev") => Ok(()),
            Kind::CharDevice | Kind::BlockDevice => Err(Refusal::Device.into()),
        }
    }

    /// Opens the directory that an entry lies in, and makes what is missing of it.
    fn open_parent(&mut self, parents: &[&[u8]]) -> Result<(), Trouble> {
        let path = EntryPath::join(parents);
        if self.parent.as_ref().is_some_and(|(open, _)| *open == path) {
            return Ok(());
        }
        let fd = match openat2(&self.root, below(&path), DIRECTORY, Mode::empty(), BENEATH) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR) => self.make_parents(parents)?,
            Err(error) => return Err(resolve_trouble(error)),
        };
        self.parent = Some((path, fd));
        Ok(())
    }

    fn make_parents(&mut self, parents: &[&[u8]]) -> Result<OwnedFd, Trouble> {
        let mut path = Vec::new();
        let mut directory =
            openat(&self.root, ".", DIRECTORY, Mode::empty()).map_err(io("open the root above"))?;
        for part in parents {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(part);
            let opened = match openat2(&self.root, path.as_slice(), DIRECTORY, Mode::empty(), BENEATH) {
                Err(Errno::NOENT) => {
                    match make_implied(&directory, part) {
                        // A link to nowhere would be found again below.
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(error) => return Err(io("create the directory of")(error)),
                    }
                    openat2(&self.root, path.as_slice(), DIRECTORY, Mode::empty(), BENEATH)
                }
                Err(Errno::NOTDIR) if is_whiteout(&directory, part)? => {
                    unlinkat(&directory, *part, AtFlags::empty()).map_err(io("replace"))?;
                    make_implied(&directory, part).map_err(io("create the directory of"))?;
                    let opened = openat2(&self.root, path.as_slice(), DIRECTORY, Mode::empty(), BENEATH);
                    if let Ok(opened) = &opened {
                        set_opaque(opened)?;
                    }
                    opened
                }
                other => other,
            };
            directory = opened.map_err(resolve_trouble)?;
        }
        Ok(directory)
    }

    fn parent_fd(&self) -> &OwnedFd {
        &self.parent.as_ref().expect("open_parent was called for this entry").1
    }

    fn whiteout(&mut self, name: &[u8]) -> Result<(), Trouble> {
        if name == OPAQUE_WHITEOUT {
            return set_opaque(self.parent_fd());
        }
        if name.starts_with(AUFS_PREFIX) {
            return Ok(());
        }
        let hidden = &name[WHITEOUT_PREFIX.len()..];
        if hidden.is_empty() || hidden == b"." || hidden == b".." {
            return Err(Refusal::Whiteout.into());
        }
        // A whiteout hides what is in the layers below, whatever this layer has under the same name.
        match statat(self.parent_fd(), hidden, NO_FOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                let flags = DIRECTORY | OFlags::NOFOLLOW;
                let directory = openat(self.parent_fd(), hidden, flags, Mode::empty()).map_err(io("open"))?;
                set_opaque(&directory)
            }
            Ok(_) => Ok(()),
            Err(Errno::NOENT) => {
                mknodat(self.parent_fd(), hidden, FileType::CharacterDevice, Mode::empty(), makedev(0, 0))
                    .map_err(io("create the whiteout"))
            }
            Err(error) => Err(io("look at")(error)),
        }
    }

    /// A directory merges with one that is there and replaces everything else.
    fn make_directory(&mut self, name: &[u8]) -> Result<(), Trouble> {
        match mkdirat(self.parent_fd(), name, Mode::from_raw_mode(0o700)) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(io("create")(error)),
        }
        let stat = statat(self.parent_fd(), name, NO_FOLLOW).map_err(io("look at"))?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            return Ok(());
        }
        let hides = is_whiteout(self.parent_fd(), name)?;
        self.clear(name)?;
        mkdirat(self.parent_fd(), name, Mode::from_raw_mode(0o700)).map_err(io("create"))?;
        if hides {
            let flags = DIRECTORY | OFlags::NOFOLLOW;
            let made = openat(self.parent_fd(), name, flags, Mode::empty()).map_err(io("open"))?;
            set_opaque(&made)?;
        }
        Ok(())
    }

    fn finish_directory(&mut self, entry: &Entry, path: &EntryPath<'_>) -> Result<(), Trouble> {
        let directory = match path.split() {
            None => openat(&self.root, ".", DIRECTORY, Mode::empty()),
            Some((_, name)) => openat(self.parent_fd(), name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()),
        }
        .map_err(io("open"))?;
        set_attributes(&directory, entry)?;
        let path = path.to_bytes();
        self.directory_names_bytes += path.len() + 64;
        if self.directory_names_bytes > self.limits.names_bytes_max {
            return Err(Refusal::TooManyDirectories.into());
        }
        self.directory_times.push((path, times(entry)));
        Ok(())
    }

    fn file<R: Read>(
        &mut self,
        name: &[u8],
        entry: &Entry,
        archive: &mut TarReader<R>,
    ) -> Result<(), Trouble> {
        self.bytes = self.bytes.saturating_add(entry.size);
        if self.bytes > self.limits.layer_bytes_max {
            return Err(Refusal::TooLarge { bytes_max: self.limits.layer_bytes_max }.into());
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o600);
        let file = match openat(self.parent_fd(), name, flags, mode) {
            Err(Errno::EXIST) => {
                self.clear(name)?;
                openat(self.parent_fd(), name, flags, mode)
            }
            other => other,
        };
        let file = File::from(file.map_err(io("create"))?);
        let whole = [(0, entry.size)];
        for (offset, length) in entry.pieces.as_deref().unwrap_or(&whole) {
            self.copy(&file, archive, *offset, *length)?;
        }
        if entry.pieces.is_some() {
            file.set_len(entry.size).map_err(|error| Trouble::Io("write", error))?;
        }
        set_attributes(&file, entry)?;
        futimens(&file, &times(entry)).map_err(io("set the time of"))
    }

    fn copy<R: Read>(
        &mut self,
        file: &File,
        archive: &mut TarReader<R>,
        offset: u64,
        length: u64,
    ) -> Result<(), Trouble> {
        let mut at = 0;
        while at < length {
            let wanted = usize::try_from(length - at).unwrap_or(usize::MAX).min(self.buffer.len());
            let read = archive
                .read_content(&mut self.buffer[..wanted])
                .map_err(|error| Trouble::Io("read", error))?;
            if read == 0 {
                return Err(Trouble::Io("read", io::ErrorKind::UnexpectedEof.into()));
            }
            file.write_all_at(&self.buffer[..read], offset + at)
                .map_err(|error| Trouble::Io("write", error))?;
            at += read as u64;
        }
        Ok(())
    }

    fn hard_link(&mut self, name: &[u8], link: &[u8]) -> Result<(), Trouble> {
        let shown = || show(link);
        let refuse = |refusal| Refusal::LinkTarget { target: shown(), refusal: Box::new(refusal) };
        let target = EntryPath::parse(link, self.limits).map_err(refuse)?;
        let Some((target_parents, target_name)) = target.split() else {
            return Err(Refusal::LinkToDirectory { target: shown() }.into());
        };
        let target_directory =
            openat2(&self.root, below(&EntryPath::join(target_parents)), DIRECTORY, Mode::empty(), BENEATH)
                .map_err(|error| match (error, resolve_trouble(error)) {
                (Errno::NOENT, _) => Refusal::LinkMissing { target: shown() }.into(),
                (_, Trouble::Refused(refusal)) => refuse(refusal).into(),
                (_, trouble) => trouble,
            })?;
        let stat = match statat(&target_directory, target_name, NO_FOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Err(Refusal::LinkMissing { target: shown() }.into()),
            Err(error) => return Err(io("look at the target of")(error)),
        };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            return Err(Refusal::LinkToDirectory { target: shown() }.into());
        }
        match statat(self.parent_fd(), name, NO_FOLLOW) {
            // A link to itself: removing it would lose the file.
            Ok(here) if (here.st_dev, here.st_ino) == (stat.st_dev, stat.st_ino) => return Ok(()),
            Ok(_) => self.clear(name)?,
            Err(Errno::NOENT) => {}
            Err(error) => return Err(io("look at")(error)),
        }
        // The target may have gone with what stood in the way.
        linkat(&target_directory, target_name, self.parent_fd(), name, AtFlags::empty()).map_err(|error| {
            match error {
                Errno::NOENT => Refusal::LinkMissing { target: shown() }.into(),
                error => io("create the link")(error),
            }
        })
    }

    fn symlink(&mut self, name: &[u8], entry: &Entry) -> Result<(), Trouble> {
        if entry.link.is_empty() {
            return Err(Refusal::LinkEmpty.into());
        }
        if entry.link.contains(&0) {
            return Err(Refusal::Nul.into());
        }
        // Where a link leads is the container's business; nothing here follows it out of the layer.
        if entry.link.len() > 4095 {
            return Err(Refusal::SymlinkTooLong.into());
        }
        self.clear(name)?;
        let parent = self.parent_fd();
        symlinkat(entry.link.as_slice(), parent, name).map_err(io("create"))?;
        let (uid, gid) = owner(entry)?;
        chownat(parent, name, Some(uid), Some(gid), NO_FOLLOW).map_err(io("set the owner of"))?;
        utimensat(parent, name, &times(entry), NO_FOLLOW).map_err(io("set the time of"))
    }

    fn finish_special(&self, name: &[u8], entry: &Entry) -> Result<(), Trouble> {
        let parent = self.parent_fd();
        let (uid, gid) = owner(entry)?;
        chownat(parent, name, Some(uid), Some(gid), NO_FOLLOW).map_err(io("set the owner of"))?;
        // The entry was made here just now, so this follows no link.
        chmodat(parent, name, Mode::from_raw_mode(entry.mode), AtFlags::empty())
            .map_err(io("set the mode of"))?;
        utimensat(parent, name, &times(entry), NO_FOLLOW).map_err(io("set the time of"))
    }

    /// Removes what has the name of a new entry.
    fn clear(&mut self, name: &[u8]) -> Result<(), Trouble> {
        match unlinkat(self.parent_fd(), name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::ISDIR | Errno::PERM) => {
                // Out of the layer first: a tree is removed by its path, and here nobody can change that path.
                self.removed += 1;
                let trash = self.path.with_file_name(format!("removed-{}", self.removed));
                rustix::fs::renameat(self.parent_fd(), name, rustix::fs::CWD, &trash)
                    .map_err(io("replace"))?;
                remove_tree(&trash).map_err(|error| Trouble::Io("replace", error))
            }
            Err(error) => Err(io("replace")(error)),
        }
    }
}

fn below(path: &[u8]) -> &OsStr {
    OsStr::from_bytes(if path.is_empty() { b"." } else { path })
}

fn resolve_trouble(error: Errno) -> Trouble {
    match error {
        Errno::XDEV | Errno::LOOP => Refusal::LeavesLayer.into(),
        Errno::NOTDIR | Errno::NOENT => Refusal::ParentNotDirectory.into(),
        error => io("open the directory of")(error),
    }
}

/// A directory that the archive uses but does not have.
fn make_implied(parent: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
    mkdirat(parent, name, Mode::from_raw_mode(0o755))?;
    // The mode at creation is subject to this process's umask.
    chmodat(parent, name, Mode::from_raw_mode(0o755), AtFlags::empty())
}
