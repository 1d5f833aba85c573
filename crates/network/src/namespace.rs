//! Network namespaces: made on a thread that ends, kept alive by a bind mount, entered by a thread that comes back.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::statfs::{NSFS_MAGIC, statfs};

const OWN_NAMESPACE: &str = "/proc/thread-self/ns/net";

/// A failure around a namespace's file.
#[derive(Debug, thiserror::Error)]
#[error("{attempt} {}: {source}", path.display())]
pub struct NamespaceError {
    pub(crate) attempt: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) source: io::Error,
}

impl NamespaceError {
    fn new(attempt: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self { attempt, path: path.to_owned(), source: source.into() }
    }
}

/// The namespace of the calling thread.
pub(crate) fn current() -> Result<OwnedFd, NamespaceError> {
    open_file(Path::new(OWN_NAMESPACE))
}

/// Opens the namespace that is mounted at a path. None when there is none: no file, or one without a mount, as a crash
/// or a reboot leaves it.
pub(crate) fn open(path: &Path) -> Result<Option<OwnedFd>, NamespaceError> {
    match statfs(path) {
        Ok(stats) if stats.filesystem_type() == NSFS_MAGIC => open_file(path).map(Some),
        Ok(_) | Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(NamespaceError::new("look at", path, errno)),
    }
}

fn open_file(path: &Path) -> Result<OwnedFd, NamespaceError> {
    File::open(path).map(OwnedFd::from).map_err(|error| NamespaceError::new("open", path, error))
}

/// Makes a namespace, mounts it at `path`, and runs `prepare` inside, on a thread that ends afterwards: whatever goes
/// wrong, no thread of ours is left in the wrong namespace.
pub(crate) fn create<T: Send>(
    path: &Path,
    prepare: impl FnOnce() -> T + Send,
) -> Result<(OwnedFd, T), NamespaceError> {
    let failed = |attempt| move |error: io::Error| NamespaceError::new(attempt, path, error);
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        let make = move || {
            unshare(CloneFlags::CLONE_NEWNET)
                .map_err(|errno| failed("make a network namespace for")(errno.into()))?;
            let fd = current()?;
            File::create(path).map_err(failed("create"))?;
            mount(Some(OWN_NAMESPACE), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
                .map_err(|errno| failed("mount a network namespace at")(errno.into()))?;
            Ok((fd, prepare()))
        };
        let thread = std::thread::Builder::new().name("netns".to_owned());
        thread
            .spawn_scoped(scope, move || drop(sender.send(make())))
            .map_err(failed("start a thread for"))?;
        receiver.recv().unwrap_or_else(|_| Err(failed("make a network namespace for")(Errno::EIO.into())))
    })
}

/// Takes away the mount and the file. The namespace itself lives as long as a process or socket is in it.
pub(crate) fn remove(path: &Path) -> Result<(), NamespaceError> {
    match umount2(path, MntFlags::MNT_DETACH) {
        Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
        Err(errno) => return Err(NamespaceError::new("unmount", path, errno)),
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(NamespaceError::new("remove", path, error))
        }
        _ => Ok(()),
    }
}

/// Runs `action` on this thread inside a namespace and comes back.
///
/// A thread that cannot come back would do all its later work in the wrong network, and so ends the process.
pub(crate) fn within<T>(namespace: impl AsFd, action: impl FnOnce() -> T) -> io::Result<T> {
    struct Return(OwnedFd);
    impl Drop for Return {
        fn drop(&mut self) {
            if setns(&self.0, CloneFlags::CLONE_NEWNET).is_err() {
                tracing::error!("a thread cannot leave a network namespace; ending the process");
                std::process::abort();
            }
        }
    }
    let home = current().map_err(|error| error.source)?;
    setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET)?;
    // From here on the guard brings the thread back, also when the action panics.
    let _guard = Return(home);
    Ok(action())
}

/// The directory for the namespaces' files, as a mount that other mount namespaces follow: what is unmounted here is
/// unmounted there too, so that a container's mount namespace does not keep another task's network alive.
pub(crate) fn prepare_directory(path: &Path) -> Result<(), NamespaceError> {
    fs::create_dir_all(path).map_err(|error| NamespaceError::new("create", path, error))?;
    let share = || mount(None::<&str>, path, None::<&str>, MsFlags::MS_SHARED, None::<&str>);
    match share() {
        Err(Errno::EINVAL) => {
            // Not a mount point yet.
            mount(Some(path), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
                .and_then(|()| share())
                .map_err(|errno| NamespaceError::new("make a shared mount of", path, errno))
        }
        outcome => outcome.map_err(|errno| NamespaceError::new("share the mount", path, errno)),
    }
}

/// Undoes [`prepare_directory`], once the namespaces are gone.
pub(crate) fn remove_directory(path: &Path) -> Result<(), NamespaceError> {
    // Bounded: a crash between two starts may have stacked a mount twice, hardly more.
    for _ in 0..8 {
        match umount2(path, MntFlags::MNT_DETACH) {
            Ok(()) => {}
            Err(Errno::EINVAL | Errno::ENOENT) => break,
            Err(errno) => return Err(NamespaceError::new("unmount", path, errno)),
        }
    }
    match fs::remove_dir(path) {
        // What somebody else put there stays.
        Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => {
            Err(NamespaceError::new("remove", path, error))
        }
        _ => Ok(()),
    }
}
