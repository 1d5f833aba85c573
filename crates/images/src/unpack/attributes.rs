//! Attributes of files in a layer: owners, modes, times, extended attributes, and what overlayfs reads from them.

use std::io;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags, fchmod, fchown, fsetxattr, makedev,
    statat,
};
use rustix::io::Errno;

use super::entry_path::Refusal;
use crate::tar::Entry;

const OPAQUE_XATTR: &str = "trusted.overlay.opaque";
const NO_FOLLOW: AtFlags = AtFlags::SYMLINK_NOFOLLOW;

/// What goes wrong with one entry, before its name is told.
pub(super) enum Trouble {
    Refused(Refusal),
    Io(&'static str, io::Error),
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

pub(super) fn io(verb: &'static str) -> impl Fn(Errno) -> Trouble {
    move |error| Trouble::Io(verb, error.into())
}

pub(super) fn is_whiteout(parent: &OwnedFd, name: &[u8]) -> Result<bool, Trouble> {
    match statat(parent, name, NO_FOLLOW) {
        Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
            && stat.st_rdev == makedev(0, 0)),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(io("look at")(error)),
    }
}

pub(super) fn set_opaque(directory: &OwnedFd) -> Result<(), Trouble> {
    fsetxattr(directory, OPAQUE_XATTR, b"y", XattrFlags::empty()).map_err(io("make opaque the directory of"))
}

/// Owner first: a change of owner drops set-user-ID bits and capabilities.
pub(super) fn set_attributes(file: impl AsFd, entry: &Entry) -> Result<(), Trouble> {
    let (uid, gid) = owner(entry)?;
    fchown(&file, Some(uid), Some(gid)).map_err(io("set the owner of"))?;
    fchmod(&file, Mode::from_raw_mode(entry.mode)).map_err(io("set the mode of"))?;
    for (name, value) in &entry.xattrs {
        if !is_portable(name) {
            continue;
        }
        match fsetxattr(&file, name.as_slice(), value, XattrFlags::empty()) {
            // Programs need their capabilities; the rest is a nicety that not every file system has.
            Err(Errno::OPNOTSUPP) if name != b"security.capability" => {}
            other => other.map_err(io("set an extended attribute of"))?,
        }
    }
    Ok(())
}

/// Attributes that mean the same on every machine. Labels of security modules belong to the machine they come from,
/// and those of overlayfs would reach out of the layer.
pub(crate) fn is_portable(xattr: &[u8]) -> bool {
    match xattr {
        b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default" => true,
        _ => xattr.starts_with(b"user.") && !xattr.starts_with(b"user.overlay."),
    }
}

pub(super) fn owner(entry: &Entry) -> Result<(Uid, Gid), Trouble> {
    let id = |value: u64| match u32::try_from(value) {
        // The highest means "leave as it is" to the system call.
        Ok(id) if id != u32::MAX => Ok(id),
        _ => Err(Refusal::Owner),
    };
    Ok((Uid::from_raw(id(entry.uid)?), Gid::from_raw(id(entry.gid)?)))
}

pub(super) fn times(entry: &Entry) -> Timestamps {
    let time = Timespec { tv_sec: entry.mtime_seconds, tv_nsec: i64::from(entry.mtime_nanoseconds) };
    Timestamps { last_access: time, last_modification: time }
}
