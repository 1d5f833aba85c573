//! A tree of files to copy from or to look at: a build context, or the layers of an image seen as one.
//!
//! Nothing is mounted. A path is resolved part by part over the layers, from the topmost down, with whiteouts and
//! opaque directories, as overlayfs would. In a context, a link that leaves the context is an error; in an image,
//! links stay inside because the image's root is their root.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags, fgetxattr, flistxattr, makedev, openat2,
    readlinkat, statat,
};
use rustix::io::Errno;

use super::ignore::Ignore;
use crate::limits::SYMLINKS_MAX;
use crate::tar::Xattrs;
use crate::unpack::is_portable;

pub(super) struct Tree {
    /// The topmost first.
    layers: Vec<OwnedFd>,
    kind: TreeKind,
}

enum TreeKind {
    Image,
    Context(Ignore),
}

/// A file, directory or link of a tree.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Without links; empty for the root.
    pub(super) path: Vec<u8>,
    pub(super) kind: FileType,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime_seconds: i64,
    pub(super) size: u64,
    /// Device, inode and number of names: what tells hard links.
    pub(super) identity: (u64, u64, u64),
    /// The layers that have it: one, or for a directory all that are merged.
    layers: Vec<usize>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum TreeError {
    #[error("{0} is a symbolic link, or lies behind one, that leaves the build context")]
    Leaves(String),
    #[error("{0} leads through more than {SYMLINKS_MAX} symbolic links")]
    Loop(String),
    #[error("could not read {path}: {source}")]
    Io { path: String, source: io::Error },
}

/// Where a path leads: as far as it exists, and beyond.
pub(super) struct Place {
    /// Without links.
    pub(super) path: Vec<u8>,
    pub(super) node: Option<Node>,
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const STRICT: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS);
const XATTR_BYTES_MAX: usize = 64 * 1024;

impl Tree {
    /// The layers of an image, the topmost first.
    pub(super) fn image(directories: &[PathBuf]) -> Result<Self, TreeError> {
        let layers = directories.iter().map(|path| open_root(path)).collect::<Result<_, _>>()?;
        Ok(Self { layers, kind: TreeKind::Image })
    }
    pub(super) fn context(directory: &Path, ignore: Ignore) -> Result<Self, TreeError> {
        Ok(Self { layers: vec![open_root(directory)?], kind: TreeKind::Context(ignore) })
    }
    pub(super) fn is_context(&self) -> bool {
        matches!(self.kind, TreeKind::Context(_))
    }

    pub(super) fn root(&self) -> Node {
        Node {
            path: Vec::new(),
            kind: FileType::Directory,
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime_seconds: 0,
            size: 0,
            identity: (0, 0, 1),
            layers: (0..self.layers.len()).collect(),
        }
    }

    /// What a path leads to, with all links followed.
    pub(super) fn follow(&self, path: &[u8]) -> Result<Option<Node>, TreeError> {
        Ok(self.place(path, Last::Followed)?.node)
    }

    /// What stands at a path; a link in its last part is given itself.
    pub(super) fn look(&self, path: &[u8]) -> Result<Option<Node>, TreeError> {
        Ok(self.place(path, Last::AsItIs)?.node)
    }

    pub(super) fn place(&self, path: &[u8], last: Last) -> Result<Place, TreeError> {
        let mut pending: Vec<Vec<u8>> = parts(path).rev().map(<[u8]>::to_vec).collect();
        let mut above: Vec<Node> = Vec::new();
        let mut current = self.root();
        let mut links = 0;
        while let Some(part) = pending.pop() {
            if part == b".." {
                match (above.pop(), &self.kind) {
                    (Some(parent), _) => current = parent,
                    (None, TreeKind::Image) => {}
                    (None, TreeKind::Context(_)) => return Err(TreeError::Leaves(show(path))),
                }
                continue;
            }
            let Some(child) = self.child(&current, &part)? else {
                let mut missing = join(&current.path, &part);
                for part in pending.iter().rev() {
                    missing = join(&missing, part);
                }
                return Ok(Place { path: missing, node: None });
            };
            if child.kind == FileType::Symlink && (last == Last::Followed || !pending.is_empty()) {
                links += 1;
                if links > SYMLINKS_MAX {
                    return Err(TreeError::Loop(show(path)));
                }
                let target = self.link_target(&child)?;
                if target.starts_with(b"/") {
                    if self.is_context() {
                        return Err(TreeError::Leaves(show(path)));
                    }
                    above.clear();
                    current = self.root();
                }
                pending.extend(parts(&target).rev().map(<[u8]>::to_vec));
                continue;
            }
            above.push(std::mem::replace(&mut current, child));
        }
        Ok(Place { path: current.path.clone(), node: Some(current) })
    }

    /// What a directory has under a name; nothing if `directory` is none.
    fn child(&self, directory: &Node, name: &[u8]) -> Result<Option<Node>, TreeError> {
        let path = join(&directory.path, name);
        if directory.kind != FileType::Directory || !self.exists_for_build(&path, directory)? {
            return Ok(None);
        }
        let mut found: Option<Node> = None;
        for layer in &directory.layers {
            let stat = match statat(&self.layers[*layer], os(&path), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(failed(&path, error)),
            };
            let kind = FileType::from_raw_mode(stat.st_mode);
            if self.is_whiteout(kind, stat.st_rdev) {
                break;
            }
            match &mut found {
                None => {
                    found = Some(Node {
                        path: path.clone(),
                        kind,
                        mode: stat.st_mode & 0o7777,
                        uid: stat.st_uid,
                        gid: stat.st_gid,
                        mtime_seconds: stat.st_mtime,
                        size: u64::try_from(stat.st_size).unwrap_or(0),
                        identity: (stat.st_dev, stat.st_ino, stat.st_nlink),
                        layers: vec![*layer],
                    });
                }
                Some(node) if kind == FileType::Directory => node.layers.push(*layer),
                Some(_) => break,
            }
            if kind != FileType::Directory || self.is_opaque(*layer, &path)? {
                break;
            }
        }
        Ok(found)
    }

    /// Whether .dockerignore leaves the path in the context. A directory that is left out itself exists if something
    /// below it does.
    fn exists_for_build(&self, path: &[u8], directory: &Node) -> Result<bool, TreeError> {
        let TreeKind::Context(ignore) = &self.kind else { return Ok(true) };
        if !ignore.excludes(path) {
            return Ok(true);
        }
        if !ignore.has_exceptions() {
            return Ok(false);
        }
        let layer = &self.layers[directory.layers[0]];
        match statat(layer, os(path), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {}
            Ok(_) | Err(Errno::NOENT) => return Ok(false),
            Err(error) => return Err(failed(path, error)),
        }
        let excluded = Node { path: path.to_vec(), ..directory.clone() };
        for (name, _) in self.names(&excluded)? {
            if self.exists_for_build(&join(path, &name), &excluded)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What a directory holds, sorted by name.
    pub(super) fn list(&self, directory: &Node) -> Result<Vec<Node>, TreeError> {
        let mut children = Vec::new();
        for (name, _) in self.names(directory)? {
            children.extend(self.child(directory, &name)?);
        }
        Ok(children)
    }

    /// All names that any layer has, whiteouts included.
    fn names(&self, directory: &Node) -> Result<BTreeMap<Vec<u8>, ()>, TreeError> {
        let mut names = BTreeMap::new();
        for layer in &directory.layers {
            let opened = self.open_at(*layer, &directory.path, DIRECTORY)?;
            let mut buffer = Vec::with_capacity(32 * 1024);
            let mut entries = RawDir::new(&opened, buffer.spare_capacity_mut());
            while let Some(entry) = entries.next() {
                let entry = entry.map_err(|error| failed(&directory.path, error))?;
                let name = entry.file_name().to_bytes();
                if name != b"." && name != b".." {
                    names.insert(name.to_vec(), ());
                }
            }
        }
        Ok(names)
    }

    pub(super) fn open(&self, node: &Node) -> Result<File, TreeError> {
        self.open_at(node.layers[0], &node.path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC)
            .map(File::from)
    }

    pub(super) fn link_target(&self, node: &Node) -> Result<Vec<u8>, TreeError> {
        readlinkat(&self.layers[node.layers[0]], os(&node.path), Vec::new())
            .map(|target| target.into_bytes())
            .map_err(|error| failed(&node.path, error))
    }

    /// The extended attributes that belong into an image. Those of a context belong to the machine it lies on.
    pub(super) fn xattrs(&self, node: &Node) -> Result<Xattrs, TreeError> {
        if self.is_context() || !matches!(node.kind, FileType::RegularFile | FileType::Directory) {
            return Ok(Vec::new());
        }
        let fail = |error| failed(&node.path, error);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = self.open_at(node.layers[0], &node.path, flags)?;
        let mut names = vec![0; XATTR_BYTES_MAX];
        let length = match flistxattr(&file, &mut names[..]) {
            Ok(length) => length,
            Err(Errno::OPNOTSUPP) => 0,
            Err(error) => return Err(fail(error)),
        };
        let names: BTreeSet<&[u8]> =
            names[..length].split(|byte| *byte == 0).filter(|name| is_portable(name)).collect();
        names
            .into_iter()
            .map(|name| {
                let mut value = vec![0; XATTR_BYTES_MAX];
                let length = fgetxattr(&file, name, &mut value[..]).map_err(fail)?;
                value.truncate(length);
                Ok((name.to_vec(), value))
            })
            .collect()
    }

    fn open_at(&self, layer: usize, path: &[u8], flags: OFlags) -> Result<OwnedFd, TreeError> {
        openat2(&self.layers[layer], os(path), flags, Mode::empty(), STRICT)
            .map_err(|error| failed(path, error))
    }

    fn is_whiteout(&self, kind: FileType, device: u64) -> bool {
        !self.is_context() && kind == FileType::CharacterDevice && device == makedev(0, 0)
    }

    fn is_opaque(&self, layer: usize, path: &[u8]) -> Result<bool, TreeError> {
        if self.is_context() || self.layers.len() == 1 {
            return Ok(false);
        }
        let directory = self.open_at(layer, path, DIRECTORY)?;
        let mut value = [0; 8];
        match fgetxattr(&directory, "trusted.overlay.opaque", &mut value[..]) {
            Ok(length) => Ok(value[..length] == *b"y"),
            Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(false),
            Err(error) => Err(failed(path, error)),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    Followed,
    AsItIs,
}

fn open_root(path: &Path) -> Result<OwnedFd, TreeError> {
    rustix::fs::open(path, DIRECTORY, Mode::empty())
        .map_err(|error| failed(path.as_os_str().as_bytes(), error))
}

fn failed(path: &[u8], error: Errno) -> TreeError {
    TreeError::Io { path: show(path), source: error.into() }
}

/// The parts of a path without empty ones and dots; `..` stays.
pub(super) fn parts(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".")
}

pub(super) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}

pub(super) fn show(path: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(path))
}

fn os(path: &[u8]) -> &OsStr {
    OsStr::from_bytes(if path.is_empty() { b"." } else { path })
}
