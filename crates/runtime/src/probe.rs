//! What this machine can enforce, for people who ask before they trust it.

use std::fs;
use std::io;
use std::path::Path;

use nix::sched::{CloneFlags, unshare};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};

use crate::cgroup::{Controller, Layout};

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Capabilities {
    pub kernel: String,
    pub root: bool,
    pub cgroup_layout: CgroupLayout,
    /// CPU quotas and shares.
    pub cpu: bool,
    /// Memory limits, and telling an out-of-memory kill from another.
    pub memory: bool,
    /// Limits on the number of processes.
    pub pids: bool,
    /// Device rules; without them containers cannot make devices at all.
    pub devices: bool,
    /// Why images cannot be mounted in the state directory; `None` when they can.
    pub overlay_error: Option<String>,
    pub seccomp: bool,
    pub user_namespaces: bool,
    pub io_uring: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CgroupLayout {
    /// Version 1 controllers, with or without an empty version 2 hierarchy beside them.
    V1,
    Hybrid,
    V2,
    None,
}

impl Capabilities {
    /// Tries things where that leaves no trace, and reads the rest. `state_directory` is where containers would be.
    pub fn probe(state_directory: &Path) -> Self {
        let layout = Layout::detect().ok();
        let has = |controller| layout.as_ref().is_some_and(|layout| controls(layout, controller));
        Self {
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            root: rustix::process::geteuid().is_root(),
            cgroup_layout: cgroup_layout(layout.as_ref()),
            cpu: has(Controller::Cpu),
            memory: has(Controller::Memory),
            pids: has(Controller::Pids),
            devices: has(Controller::Devices),
            overlay_error: try_overlay(state_directory).err().map(|error| error.to_string()),
            seccomp: Path::new("/proc/sys/kernel/seccomp/actions_avail").exists(),
            user_namespaces: number("/proc/sys/user/max_user_namespaces").is_some_and(|count| count > 0),
            io_uring: has_io_uring(),
        }
    }
}

fn cgroup_layout(layout: Option<&Layout>) -> CgroupLayout {
    let beside = || {
        fs::read_to_string("/proc/self/mountinfo")
            .is_ok_and(|mounts| mounts.lines().any(|line| line.contains(" - cgroup2 ")))
    };
    match layout {
        None => CgroupLayout::None,
        Some(Layout::V2(_)) => CgroupLayout::V2,
        Some(Layout::V1(_)) if beside() => CgroupLayout::Hybrid,
        Some(Layout::V1(_)) => CgroupLayout::V1,
    }
}

fn controls(layout: &Layout, controller: Controller) -> bool {
    match layout {
        Layout::V1(mounts) => mounts.get(&controller).is_some_and(|mount| writable(mount)),
        Layout::V2(root) => {
            let listed = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
            listed.split_whitespace().any(|name| name == controller.name()) && writable(root)
        }
    }
}

fn writable(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
}

fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Mounts an overlay in a mount namespace that ends with its thread.
fn try_overlay(state_directory: &Path) -> io::Result<()> {
    let base = state_directory.join(format!(".probe-{}", std::process::id()));
    let tried = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            for name in ["lower", "upper", "work", "merged"] {
                fs::create_dir_all(base.join(name))?;
            }
            unshare(CloneFlags::CLONE_NEWNS)?;
            mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
            // Relative paths need no escaping; the working directory is the thread's own since it left the namespace.
            rustix::process::chdir(&base)?;
            mount(
                "overlay",
                "merged",
                "overlay",
                MountFlags::empty(),
                c"lowerdir=lower,upperdir=upper,workdir=work",
            )?;
            Ok(())
        });
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the probe panicked")))
    });
    match fs::remove_dir_all(&base) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => tried.and(Err(error)),
        _ => tried,
    }
}

/// Asks for a ring without saying which: a kernel that has them, and lets us, finds fault with the arguments.
fn has_io_uring() -> bool {
    let nothing = std::ptr::null::<u8>();
    // SAFETY: without entries and without parameters the kernel can do nothing but refuse.
    let result = unsafe { nix::libc::syscall(nix::libc::SYS_io_uring_setup, 0, nothing) };
    let error = io::Error::last_os_error().raw_os_error();
    result < 0 && matches!(error, Some(nix::libc::EFAULT | nix::libc::EINVAL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_leaves_nothing_behind_and_knows_this_kernel() {
        let directory = tempfile::tempdir().unwrap();
        let found = Capabilities::probe(directory.path());
        assert!(found.kernel.contains('.'), "{found:?}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(directory.path().to_str().unwrap()));
    }
}
