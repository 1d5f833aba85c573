//! Looking into a container's root directory without being led out of it by its links.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2};
use rustix::io::Errno;

use crate::limits::ACCOUNT_FILE_BYTES_MAX;

/// An open root directory. Links inside are resolved as the container would resolve them.
#[derive(Debug)]
pub(crate) struct Root(OwnedFd);

impl Root {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?))
    }

    fn resolve(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        openat2(self.0.as_fd(), path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
    }

    /// The text of a file of the image, `None` if there is none. Images come from outside: the size is bounded, and a
    /// pipe or device does not block.
    pub(crate) fn read(&self, path: &str) -> io::Result<Option<String>> {
        let descriptor =
            match self.resolve(Path::new(path), OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY) {
                Ok(descriptor) => descriptor,
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
        let file = File::from(descriptor);
        if !file.metadata()?.is_file() {
            return Ok(None);
        }
        let mut text = Vec::new();
        file.take(ACCOUNT_FILE_BYTES_MAX).read_to_end(&mut text)?;
        Ok(Some(String::from_utf8_lossy(&text).into_owned()))
    }

    /// Makes a directory and those above it where they are missing.
    pub(crate) fn make_directories(&self, path: &Path) -> io::Result<()> {
        let mut made = std::path::PathBuf::from("/");
        for part in path.components() {
            let Component::Normal(name) = part else { continue };
            let child = made.join(name);
            match self.resolve(&child, OFlags::PATH | OFlags::DIRECTORY) {
                Ok(_) => {}
                Err(Errno::NOENT) => {
                    let parent = self.resolve(&made, OFlags::PATH | OFlags::DIRECTORY)?;
                    mkdirat(parent, Path::new(name), Mode::from_raw_mode(0o755))?;
                }
                Err(error) => return Err(error.into()),
            }
            made = child;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_stay_inside() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("passwd"), "outside").unwrap();
        let inside = tempfile::tempdir().unwrap();
        fs::create_dir(inside.path().join("etc")).unwrap();
        fs::write(inside.path().join("secret"), "inside").unwrap();
        symlink(outside.path().join("passwd"), inside.path().join("etc/passwd")).unwrap();
        symlink("/secret", inside.path().join("etc/group")).unwrap();
        symlink("../../../../secret", inside.path().join("etc/up")).unwrap();
        let root = Root::open(inside.path()).unwrap();
        assert_eq!(root.read("/etc/passwd").unwrap(), None);
        assert_eq!(root.read("/etc/group").unwrap().as_deref(), Some("inside"));
        assert_eq!(root.read("/etc/up").unwrap().as_deref(), Some("inside"));
        assert_eq!(root.read("/etc").unwrap(), None);
        assert_eq!(root.read("/nothing").unwrap(), None);
    }

    #[test]
    fn directories_are_made_inside() {
        let outside = tempfile::tempdir().unwrap();
        let inside = tempfile::tempdir().unwrap();
        symlink(outside.path(), inside.path().join("out")).unwrap();
        fs::write(inside.path().join("file"), "").unwrap();
        let root = Root::open(inside.path()).unwrap();
        root.make_directories(Path::new("/srv/app/data")).unwrap();
        assert!(inside.path().join("srv/app/data").is_dir());
        // The link's target does not exist inside.
        assert!(root.make_directories(Path::new("/out/app")).is_err());
        assert!(!outside.path().join("app").exists());
        assert!(root.make_directories(Path::new("/file/app")).is_err());
    }
}
