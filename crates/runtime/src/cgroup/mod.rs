//! Control groups, version 1 and 2: made, joined, read and removed by writing their files.
//!
//! A container's group is `<instance>/<task>/<container>` in every hierarchy; the task's carries what its containers
//! share.

mod kill;
mod layout;
mod settings;
mod stats;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

pub(crate) use layout::{Controller, Layout, hierarchy_mount_point};
pub(crate) use settings::{Devices, Limits};
pub use stats::CgroupStats;

use crate::limits::CGROUP_FILE_BYTES_MAX;

/// One control group, by its path below the root of each hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Cgroup {
    layout: Layout,
    path: String,
}

/// What a process needs to put itself into a group, opened while the hierarchies can still be seen.
#[derive(Debug)]
pub(crate) enum Join {
    /// `tasks` files: a single-threaded process writes `0` to each, which takes no lock of the whole machine.
    V1(Vec<File>),
    /// The group's directory, for `CLONE_INTO_CGROUP`.
    V2(OwnedFd),
}

impl Cgroup {
    pub(crate) fn new(layout: Layout, path: String) -> Self {
        Self { layout, path }
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The same group by descriptors of the hierarchies: it stays within reach when they are unmounted.
    pub(crate) fn pin(&self) -> io::Result<Pinned> {
        let mut handles = Vec::new();
        let mut pin = |mount: &Path| -> io::Result<PathBuf> {
            let handle = File::open(mount)?;
            let path = PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd()));
            handles.push(handle);
            Ok(path)
        };
        let layout = match &self.layout {
            Layout::V1(mounts) => Layout::V1(
                mounts.iter().map(|(name, mount)| Ok((*name, pin(mount)?))).collect::<io::Result<_>>()?,
            ),
            Layout::V2(root) => Layout::V2(pin(root)?),
        };
        Ok(Pinned { group: Self { layout, path: self.path.clone() }, _handles: handles })
    }

    /// Makes the group and those above it. Groups that exist are kept.
    pub(crate) fn create(&self) -> io::Result<()> {
        match &self.layout {
            Layout::V1(_) => {
                for directory in self.directories() {
                    fs::create_dir_all(&directory).map_err(|error| explain(&error, "make", &directory))?;
                }
            }
            Layout::V2(root) => {
                let mut directory = root.clone();
                for part in self.path.split('/') {
                    // Best effort: a controller that is not to be had here is reported when a limit needs it.
                    for controller in ["+cpu", "+memory", "+pids"] {
                        let _ = write(&directory.join("cgroup.subtree_control"), controller);
                    }
                    directory.push(part);
                    match fs::create_dir(&directory) {
                        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                            return Err(explain(&error, "make", &directory));
                        }
                        _ => {}
                    }
                }
            }
        }
        Ok(())
    }

    /// Sets the limits; gives back those that this machine cannot enforce.
    pub(crate) fn limit(&self, limits: &Limits) -> io::Result<Vec<String>> {
        let mut unenforced = Vec::new();
        for setting in limits.settings(&self.layout) {
            let Some(directory) = self.directory(setting.controller) else {
                unenforced.push(format!("{}: no {} controller", setting.what, setting.controller.name()));
                continue;
            };
            match write(&directory.join(setting.file), &setting.value) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if !setting.optional {
                        unenforced.push(format!("{}: no {}", setting.what, setting.file));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(unenforced)
    }

    /// The group's directory where the controller's files are.
    pub(crate) fn directory(&self, controller: Controller) -> Option<PathBuf> {
        match &self.layout {
            Layout::V1(mounts) => mounts.get(&controller).map(|mount| mount.join(&self.path)),
            Layout::V2(root) => (controller != Controller::Devices).then(|| root.join(&self.path)),
        }
    }

    /// Every directory of the group, each once.
    pub(crate) fn directories(&self) -> Vec<PathBuf> {
        match &self.layout {
            Layout::V1(mounts) => {
                let mut directories: Vec<PathBuf> =
                    mounts.values().map(|mount| mount.join(&self.path)).collect();
                directories.sort();
                directories.dedup();
                directories
            }
            Layout::V2(root) => vec![root.join(&self.path)],
        }
    }

    pub(crate) fn join(&self) -> io::Result<Join> {
        match &self.layout {
            Layout::V1(_) => self
                .directories()
                .iter()
                .map(|directory| open_tasks(directory))
                .collect::<io::Result<_>>()
                .map(Join::V1),
            Layout::V2(root) => Ok(Join::V2(File::open(root.join(&self.path))?.into())),
        }
    }

    /// A group below this one that only counts processes, so that they can be killed together.
    pub(crate) fn tracker(&self, name: &str) -> io::Result<Tracker> {
        let parent = self.directory(Controller::Pids).ok_or_else(|| {
            io::Error::new(io::ErrorKind::Unsupported, "this machine has no pids controller")
        })?;
        let directory = parent.join(name);
        fs::create_dir(&directory).map_err(|error| explain(&error, "make", &directory))?;
        Ok(Tracker { directory, group: self.clone() })
    }

    /// Removes the group with everything in it; what is gone already is fine.
    pub(crate) fn remove(&self) -> io::Result<()> {
        for directory in self.directories() {
            kill::remove_tree(&directory)?;
        }
        Ok(())
    }

    /// How many processes of the group the kernel killed for want of memory.
    pub(crate) fn oom_kills(&self) -> u64 {
        let file = match &self.layout {
            Layout::V1(_) => "memory.oom_control",
            Layout::V2(_) => "memory.events",
        };
        let Some(directory) = self.directory(Controller::Memory) else { return 0 };
        read(&directory.join(file)).ok().and_then(|text| stats::keyed(&text, "oom_kill")).unwrap_or(0)
    }

    pub(crate) fn stats(&self) -> io::Result<CgroupStats> {
        stats::read_stats(self)
    }

    /// Directories to show the container below `/sys/fs/cgroup`: the name there, and where it is on the host.
    /// Version 2 has one, shown as `/sys/fs/cgroup` itself.
    pub(crate) fn views(&self) -> Vec<(String, PathBuf)> {
        match &self.layout {
            Layout::V1(mounts) => mounts
                .iter()
                .map(|(controller, mount)| (controller.name().to_owned(), mount.join(&self.path)))
                .collect(),
            Layout::V2(root) => vec![(String::new(), root.join(&self.path))],
        }
    }
}

/// A group whose hierarchies are held open.
#[derive(Debug)]
pub(crate) struct Pinned {
    pub(crate) group: Cgroup,
    _handles: Vec<File>,
}

impl Join {
    /// Moves the calling process, which must have one thread. On version 2 it is born in its group.
    pub(crate) fn enter(&self) -> io::Result<()> {
        match self {
            Self::V1(tasks) => tasks.iter().try_for_each(|mut file| file.write_all(b"0")),
            Self::V2(_) => Ok(()),
        }
    }
}

/// A group of processes that are killed together: those of one exec.
#[derive(Debug)]
pub(crate) struct Tracker {
    directory: PathBuf,
    group: Cgroup,
}

impl Tracker {
    /// Joins the container's group, and this one for the processes.
    pub(crate) fn join(&self) -> io::Result<Join> {
        match &self.group.layout {
            Layout::V1(_) => {
                let pids = self.group.directory(Controller::Pids);
                let mut tasks = Vec::new();
                for directory in self.group.directories() {
                    let own = Some(&directory) == pids.as_ref();
                    tasks.push(open_tasks(if own { &self.directory } else { &directory })?);
                }
                Ok(Join::V1(tasks))
            }
            Layout::V2(_) => Ok(Join::V2(File::open(&self.directory)?.into())),
        }
    }

    pub(crate) fn kill(&self) -> io::Result<()> {
        kill::kill_all(&self.directory)
    }

    pub(crate) fn remove(&self) -> io::Result<()> {
        kill::remove_tree(&self.directory)
    }
}

fn open_tasks(directory: &Path) -> io::Result<File> {
    let path = directory.join("tasks");
    OpenOptions::new().write(true).open(&path).map_err(|error| explain(&error, "open", &path))
}

fn write(path: &Path, value: &str) -> io::Result<()> {
    let mut file =
        OpenOptions::new().write(true).open(path).map_err(|error| explain(&error, "open", path))?;
    file.write_all(value.as_bytes()).map_err(|error| explain(&error, &format!("write {value:?} to"), path))
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(CGROUP_FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

fn explain(error: &io::Error, attempted: &str, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("could not {attempted} {}: {error}", path.display()))
}
