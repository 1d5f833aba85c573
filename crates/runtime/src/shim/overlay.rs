//! The container's root: an overlay of its image's layers, in the shim's mount namespace.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};

use crate::cgroup::Cgroup;
use crate::error::{StartFailure, StartFailureKind};
use crate::spec::ContainerSpec;
use crate::state::ContainerDirectory;

/// mount(2) takes one page of options.
const OPTION_BYTES_MAX: usize = 4000;

/// Leaves the node's mount namespace, so that nothing that is mounted here outlives the container.
pub(super) fn enter_mount_namespace() -> Result<(), StartFailure> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)
        .map_err(|error| failure("make a mount namespace", error))?;
    // Unmounts on the host still arrive, so that no file system there is kept busy.
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .map_err(|error| failure("separate the mount namespace from the host's", error))
}

pub(super) fn mount_root(directory: &ContainerDirectory, spec: &ContainerSpec) -> Result<(), StartFailure> {
    for path in [directory.upper(), directory.work(), directory.rootfs()] {
        // Not with its parents: a container's directory that is gone was deleted.
        fs::create_dir(&path).map_err(|error| failure(&format!("make {}", path.display()), error))?;
    }
    for layer in &spec.layers {
        if !layer.is_dir() {
            let error = io::Error::new(io::ErrorKind::NotFound, "no such directory");
            return Err(failure(&format!("use the layer {}", layer.display()), error));
        }
    }
    let options = match overlay_options(&spec.layers, directory) {
        options if options.len() <= OPTION_BYTES_MAX => options,
        _ => {
            let short = short_names(&spec.layers, directory)
                .map_err(|error| failure("give the layers short names", error))?;
            overlay_options(&short, directory)
        }
    };
    // Nothing in the upper directory is wanted after a crash of the machine, so it need not reach the disk; an
    // unmount would otherwise write out the whole file system. Older kernels don't know the option.
    let result = match mount_overlay(&directory.rootfs(), &[options.as_slice(), b",volatile"].concat()) {
        Err(Errno::INVAL) => mount_overlay(&directory.rootfs(), &options),
        other => other,
    };
    result.map_err(|error| failure("mount the image's layers", error))
}

fn mount_overlay(target: &Path, options: &[u8]) -> Result<(), Errno> {
    let options = CString::new(options).map_err(|_| Errno::INVAL)?;
    mount("overlay", target, "overlay", MountFlags::empty(), options.as_c_str())
}

fn overlay_options(layers: &[PathBuf], directory: &ContainerDirectory) -> Vec<u8> {
    let mut options = b"lowerdir=".to_vec();
    for (index, layer) in layers.iter().enumerate() {
        if index > 0 {
            options.push(b':');
        }
        escape(layer, &mut options);
    }
    for (key, path) in [(&b",upperdir="[..], directory.upper()), (b",workdir=", directory.work())] {
        options.extend_from_slice(key);
        escape(&path, &mut options);
    }
    options
}

/// Colons separate layers, commas options.
fn escape(path: &Path, options: &mut Vec<u8>) {
    for byte in path.as_os_str().as_bytes() {
        if matches!(byte, b':' | b',' | b'\\') {
            options.push(b'\\');
        }
        options.push(*byte);
    }
}

/// Many layers with long paths don't fit one page: links with one-digit names do. The shim's working directory is
/// the container's directory.
fn short_names(layers: &[PathBuf], directory: &ContainerDirectory) -> io::Result<Vec<PathBuf>> {
    let links = directory.path().join("l");
    fs::create_dir(&links)?;
    layers
        .iter()
        .enumerate()
        .map(|(index, layer)| {
            symlink(layer, links.join(index.to_string()))?;
            Ok(PathBuf::from(format!("l/{index}")))
        })
        .collect()
}

/// Hides the host's control groups from libcontainer, which would move processes the slow way, and keeps the
/// container's own at hand. Gives back where each is to appear in the container.
pub(super) fn hide_cgroups(
    directory: &ContainerDirectory,
    group: &Cgroup,
) -> Result<Vec<(PathBuf, PathBuf)>, StartFailure> {
    let mut views = Vec::new();
    fs::create_dir(directory.cgroup_mounts()).map_err(|error| failure("make a directory", error))?;
    for (index, (name, source)) in group.views().into_iter().enumerate() {
        // The name of the mount point must not be a controller's: that is how libcontainer knows one.
        let kept = directory.cgroup_mounts().join(format!("view-{index}"));
        fs::create_dir(&kept).map_err(|error| failure(&format!("make {}", kept.display()), error))?;
        mount(&source, &kept, "", MountFlags::BIND, None)
            .map_err(|error| failure(&format!("bind {}", source.display()), error))?;
        let target = if name.is_empty() {
            PathBuf::from("/sys/fs/cgroup")
        } else {
            Path::new("/sys/fs/cgroup").join(name)
        };
        views.push((kept, target));
    }
    // Usually one mount that holds all others; a hierarchy that is mounted elsewhere goes too.
    unmount_hierarchy(Path::new("/sys/fs/cgroup"))?;
    for elsewhere in hierarchies().filter(|path| !path.starts_with(directory.cgroup_mounts())) {
        unmount_hierarchy(&elsewhere)?;
    }
    mount("tmpfs", "/sys/fs/cgroup", "tmpfs", MountFlags::RDONLY, c"size=4k,mode=755")
        .map_err(|error| failure("hide the host's control groups", error))?;
    Ok(views)
}

fn unmount_hierarchy(path: &Path) -> Result<(), StartFailure> {
    match unmount(path, UnmountFlags::DETACH) {
        // Not a mount point, or gone with another.
        Ok(()) | Err(Errno::INVAL | Errno::NOENT) => Ok(()),
        Err(error) => Err(failure("hide the host's control groups", error)),
    }
}

/// Where hierarchies of either version are mounted.
fn hierarchies() -> impl Iterator<Item = PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let paths: Vec<PathBuf> = mounts.lines().filter_map(crate::cgroup::hierarchy_mount_point).collect();
    paths.into_iter()
}

fn failure(attempted: &str, error: impl std::fmt::Display) -> StartFailure {
    StartFailure::new(StartFailureKind::Mount, format!("could not {attempted}: {error}"))
}
