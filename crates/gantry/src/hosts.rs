//! A block in `/etc/hosts` that names the load balancers while the server runs.
//!
//! Many C libraries do not resolve `*.localhost`, so every name gets a line. Each line of ours ends in a tag with the instance's
//! name: several servers share the file, a file that a crash cut in two is still cleared, and what others wrote stays as it is.
//! The file is replaced by a rename, so that no reader sees half of it; where that cannot be done (a file that is bind-mounted,
//! as in containers) it is written in place.

use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io};

use rustix::fs::{FlockOperation, XattrFlags};
use rustix::io::Errno;
use thiserror::Error;

pub const SYSTEM_FILE: &str = "/etc/hosts";
/// More names than load balancers that one machine serves.
pub const NAMES_MAX: usize = 4_096;
/// A file that is larger was not written by people, and reading it at every change would cost.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// How long another server may hold the file.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(2);

#[derive(Debug, Error)]
pub enum HostsError {
    #[error("{action} {path}: {source}")]
    File { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{path} has been locked by another process for {} s", LOCK_WAIT_MAX.as_secs())]
    Locked { path: PathBuf },
    #[error("{path} is larger than {FILE_BYTES_MAX} bytes; it is left as it is")]
    TooLarge { path: PathBuf },
    #[error("'{0}' is no name for a hosts file")]
    Name(String),
    #[error("{0} names are more than the limit of {NAMES_MAX}")]
    TooMany(usize),
}

/// One instance's block in a hosts file.
#[derive(Debug, Clone)]
pub struct Block {
    path: PathBuf,
    instance: String,
}

impl Block {
    /// The block of the server that is called `instance`, usually in `/etc/hosts`.
    pub fn new(path: impl Into<PathBuf>, instance: &str) -> Self {
        Self { path: path.into(), instance: instance.to_owned() }
    }

    /// Makes the block hold exactly these names; without any, there is no block. Blocking: a few system calls.
    pub fn set(&self, names: &[(IpAddr, String)]) -> Result<(), HostsError> {
        if names.len() > NAMES_MAX {
            return Err(HostsError::TooMany(names.len()));
        }
        if let Some((_, name)) = names.iter().find(|(_, name)| !is_host_name(name)) {
            return Err(HostsError::Name(name.clone()));
        }
        // A link is followed, so that the rename replaces the file and not the link.
        let path = self.path.canonicalize().map_err(|source| self.failed("finding", source))?;
        let directory = path.parent().unwrap_or(Path::new("/"));
        let directory =
            fs::File::open(directory).map_err(|source| self.failed("opening the directory of", source))?;
        self.lock(&directory)?;
        let metadata = fs::metadata(&path).map_err(|source| self.failed("reading", source))?;
        if metadata.len() > FILE_BYTES_MAX {
            return Err(HostsError::TooLarge { path: self.path.clone() });
        }
        let old = fs::read(&path).map_err(|source| self.failed("reading", source))?;
        let new = with_block(&old, &self.instance, names);
        if new == old {
            return Ok(());
        }
        replace(&path, &metadata, &self.instance, &new)
            .or_else(|_| overwrite(&path, &new))
            .map_err(|source| self.failed("writing", source))
    }

    /// Removes the block; also what a server that crashed left behind.
    pub fn remove(&self) -> Result<(), HostsError> {
        self.set(&[])
    }

    fn failed(&self, action: &'static str, source: io::Error) -> HostsError {
        HostsError::File { action, path: self.path.clone(), source }
    }

    /// The directory is locked, because the file itself is replaced. Closing it gives the lock back.
    fn lock(&self, directory: &fs::File) -> Result<(), HostsError> {
        let give_up = Instant::now() + LOCK_WAIT_MAX;
        loop {
            match rustix::fs::flock(directory, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(()),
                Err(Errno::WOULDBLOCK) if Instant::now() < give_up => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(Errno::WOULDBLOCK) => return Err(HostsError::Locked { path: self.path.clone() }),
                Err(Errno::INTR) => {}
                Err(error) => return Err(self.failed("locking the directory of", error.into())),
            }
        }
    }
}

/// The file without this instance's lines, and with these in their place at its end.
fn with_block(old: &[u8], instance: &str, names: &[(IpAddr, String)]) -> Vec<u8> {
    let tag = format!("# gantry:{instance}");
    let mut new = Vec::with_capacity(old.len() + names.len() * 64);
    for line in old.split_inclusive(|byte| *byte == b'\n') {
        if !line.trim_ascii_end().ends_with(tag.as_bytes()) {
            new.extend_from_slice(line);
        }
    }
    if names.is_empty() {
        return new;
    }
    if new.last().is_some_and(|byte| *byte != b'\n') {
        new.push(b'\n');
    }
    let mut line = |text: String| new.extend_from_slice(format!("{text} {tag}\n").as_bytes());
    line("# Begin: load balancers of a running gantry server; do not edit.".to_owned());
    for (address, name) in names {
        line(format!("{address}\t{name}"));
    }
    line("# End.".to_owned());
    new
}

/// Writes a new file beside the old one, with its owner, mode and label, and renames it over the old one.
fn replace(path: &Path, like: &fs::Metadata, instance: &str, content: &[u8]) -> io::Result<()> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".gantry-{instance}"));
    let temporary = path.with_file_name(name);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let write = || -> io::Result<()> {
        use std::io::Write as _;
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(content)?;
        std::os::unix::fs::fchown(&file, Some(like.uid()), Some(like.gid()))?;
        file.set_permissions(fs::Permissions::from_mode(like.permissions().mode() & 0o7777))?;
        copy_label(path, &file);
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}

/// Under SELinux a file without its label is one that other services may not read.
fn copy_label(from: &Path, to: &fs::File) {
    let mut label = [0; 256];
    if let Ok(length) = rustix::fs::getxattr(from, c"security.selinux", &mut label) {
        let _ = rustix::fs::fsetxattr(to, c"security.selinux", &label[..length], XattrFlags::empty());
    }
}

/// The way for a file that is a mount point: written over, then cut.
fn overwrite(path: &Path, content: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    let mut file = fs::OpenOptions::new().write(true).open(path)?;
    file.write_all(content)?;
    file.set_len(content.len() as u64)?;
    file.sync_all()
}

fn is_host_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 253
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHERS: &str = "127.0.0.1\tlocalhost\n# mine\n::1 ip6-localhost\n";

    fn file(content: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hosts");
        fs::write(&path, content).unwrap();
        (directory, path)
    }

    fn names(names: &[&str]) -> Vec<(IpAddr, String)> {
        names.iter().map(|name| ("127.64.0.1".parse().unwrap(), (*name).to_owned())).collect()
    }

    #[test]
    fn a_block_comes_changes_and_goes() {
        let (_directory, path) = file(OTHERS);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let block = Block::new(&path, "0a1b2c3d");
        block.set(&names(&["lab-1.us-east-1.elb.localhost"])).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            format!(
                "{OTHERS}# Begin: load balancers of a running gantry server; do not edit. # gantry:0a1b2c3d\n\
                 127.64.0.1\tlab-1.us-east-1.elb.localhost # gantry:0a1b2c3d\n# End. # gantry:0a1b2c3d\n"
            )
        );
        block.set(&names(&["a.localhost", "b.localhost"])).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("lab-1") && text.contains("b.localhost"), "{text}");
        block.remove().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), OTHERS);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(
            fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1,
            "nothing is left beside the file"
        );
    }

    #[test]
    fn servers_share_the_file() {
        let (_directory, path) = file(OTHERS);
        let (one, two) = (Block::new(&path, "11111111"), Block::new(&path, "22222222"));
        one.set(&names(&["one.localhost"])).unwrap();
        two.set(&names(&["two.localhost"])).unwrap();
        one.remove().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("two.localhost") && !text.contains("one.localhost"), "{text}");
    }

    #[test]
    fn half_a_block_is_cleared_and_nothing_else() {
        let half = format!(
            "{OTHERS}# Begin # gantry:0a1b2c3d\n127.64.0.1 a.localhost # gantry:0a1b2c3d\n10.0.0.1 b"
        );
        let (_directory, path) = file(&half);
        Block::new(&path, "0a1b2c3d").remove().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{OTHERS}10.0.0.1 b"));
    }

    #[test]
    fn a_file_without_a_last_line_end_and_a_link() {
        let (directory, path) = file("127.0.0.1 localhost");
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let block = Block::new(&link, "0a1b2c3d");
        block.set(&names(&["a.localhost"])).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::read_to_string(&path).unwrap().starts_with("127.0.0.1 localhost\n# Begin"));
        block.remove().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "127.0.0.1 localhost\n");
    }

    #[test]
    fn writing_in_place_keeps_the_file_and_cuts_it() {
        let (_directory, path) = file(OTHERS);
        let before = fs::metadata(&path).unwrap().ino();
        overwrite(&path, b"short\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "short\n");
        assert_eq!(fs::metadata(&path).unwrap().ino(), before);
    }

    #[test]
    fn what_is_no_name_never_reaches_the_file() {
        let (_directory, path) = file(OTHERS);
        let block = Block::new(&path, "0a1b2c3d");
        for bad in ["", "a b", "a\n127.0.0.1 bank.example", "a#", "é.localhost"] {
            let error = block.set(&[("127.0.0.1".parse().unwrap(), bad.to_owned())]).unwrap_err();
            assert!(matches!(error, HostsError::Name(_)), "{bad:?}: {error}");
        }
        let many = names(&["a.localhost"; NAMES_MAX + 1]);
        assert!(matches!(block.set(&many), Err(HostsError::TooMany(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), OTHERS);
    }
}
