//! The machine: privileges, limits on containers, disk, memory, clock, tools.

use std::fs;
use std::path::{Path, PathBuf};

use gantry_runtime::{Capabilities, CgroupLayout};
use gantry_types::Timestamp;

use super::{Finding, Subject};

const DISK_BYTES_LOW: u64 = 5 << 30;
const DISK_BYTES_MIN: u64 = 500 << 20;
const MEMORY_BYTES_LOW: u64 = 1 << 30;
const OPEN_FILES_LOW: u64 = 65_536;

pub(super) fn examine(subject: &Subject) -> Vec<Finding> {
    // The state directory may not exist yet: then what is nearest to it is tried.
    let nearest = nearest_existing(&subject.state_dir);
    let found = Capabilities::probe(&nearest);
    vec![
        user(found.root),
        Finding::good("kernel", found.kernel.clone()),
        cgroups(&found),
        overlay(&found),
        isolation(&found),
        open_files(),
        disk(&nearest),
        memory(),
        clock(Timestamp::now()),
        builders(std::env::var_os("PATH").as_deref()),
    ]
}

fn user(is_root: bool) -> Finding {
    match is_root {
        true => Finding::good("privileges", "root"),
        false => Finding::bad(
            "privileges",
            "not root: no networks, no mounts, no limits for containers",
            "run it with sudo; only the commands that ask a running server work without",
        ),
    }
}

fn cgroups(found: &Capabilities) -> Finding {
    let layout = match found.cgroup_layout {
        CgroupLayout::V1 => "version 1",
        CgroupLayout::Hybrid => "version 1 controllers (hybrid)",
        CgroupLayout::V2 => "version 2",
        CgroupLayout::None => "none",
    };
    let has =
        [("cpu", found.cpu), ("memory", found.memory), ("pids", found.pids), ("devices", found.devices)];
    let missing: Vec<&str> = has.iter().filter(|(_, has)| !has).map(|(name, _)| *name).collect();
    match missing.as_slice() {
        [] => Finding::good(
            "control groups",
            format!("{layout}: CPU, memory, processes and devices are limited"),
        ),
        _ if !found.cpu || !found.memory => Finding::bad(
            "control groups",
            format!("{layout}, without {}: what a task asks for is not enforced", missing.join(", ")),
            "start as root, in a container with --privileged and --cgroupns=host; see /proc/cgroups",
        ),
        _ => Finding::limited(
            "control groups",
            format!("{layout}, without {}", missing.join(", ")),
            "tasks run; without device rules they cannot make devices, without pids a fork bomb is not stopped",
        ),
    }
}

fn overlay(found: &Capabilities) -> Finding {
    match &found.overlay_error {
        None => Finding::good("images", "overlayfs mounts in the state directory"),
        Some(error) => Finding::bad(
            "images",
            format!("overlayfs cannot be mounted in the state directory: {error}"),
            "load the module with `modprobe overlay`, or move --state-dir to ext4 or xfs, away from another overlay",
        ),
    }
}

fn isolation(found: &Capabilities) -> Finding {
    match (found.seccomp, found.user_namespaces) {
        (true, true) => Finding::good("isolation", "system calls are filtered"),
        (true, false) => Finding::good("isolation", "system calls are filtered; no user namespaces"),
        (false, _) => Finding::limited(
            "isolation",
            "this kernel filters no system calls",
            "run only images that you trust, or a kernel with CONFIG_SECCOMP_FILTER",
        ),
    }
}

fn open_files() -> Finding {
    let limit = crate::supervisor::raise_open_files_limit();
    match limit >= OPEN_FILES_LOW {
        true => Finding::good("open files", limit.to_string()),
        false => Finding::limited(
            "open files",
            format!("{limit}: about {} connections at once", limit / 2),
            "raise the hard limit (`ulimit -Hn`, LimitNOFILE= of systemd)",
        ),
    }
}

fn disk(path: &Path) -> Finding {
    let check = "disk";
    let stat = match rustix::fs::statvfs(path) {
        Ok(stat) => stat,
        Err(error) => {
            return Finding::bad(check, format!("{}: {error}", path.display()), "name another --state-dir");
        }
    };
    let free = stat.f_bavail * stat.f_frsize;
    let total = stat.f_blocks * stat.f_frsize;
    let found = format!("{} free of {} at {}", gib(free), gib(total), path.display());
    let inodes_low = stat.f_files > 0 && stat.f_favail < 100_000;
    match free {
        0..DISK_BYTES_MIN => Finding::bad(check, found, "make room, or name another --state-dir"),
        DISK_BYTES_MIN..DISK_BYTES_LOW => {
            Finding::limited(check, found, "enough for small images; `gantry image prune`")
        }
        _ if inodes_low => Finding::limited(
            check,
            format!("{found}, but only {} more files", stat.f_favail),
            "unpacked images are many files: remove some, or name another --state-dir",
        ),
        _ => Finding::good(check, found),
    }
}

fn memory() -> Finding {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let bytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
    };
    let (Some(total), Some(available)) = (bytes("MemTotal:"), bytes("MemAvailable:")) else {
        return Finding::limited("memory", "/proc/meminfo cannot be read", "mount /proc");
    };
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let found = format!("{} free of {}, {cpus} CPUs", gib(available), gib(total));
    match available < MEMORY_BYTES_LOW {
        true => {
            Finding::limited("memory", found, "tasks whose limits are larger than what is free may be killed")
        }
        false => Finding::good("memory", found),
    }
}

/// Signatures are valid for five minutes around the server's time.
fn clock(now: Timestamp) -> Finding {
    let found = now.iso8601();
    match now.millis() < BUILT_AFTER_MILLIS {
        true => Finding::bad("clock", format!("{found}: before this program was built"), "set the clock"),
        false => Finding::good("clock", found),
    }
}

/// 2025-06-01.
const BUILT_AFTER_MILLIS: i64 = 1_748_736_000_000;

fn builders(path: Option<&std::ffi::OsStr>) -> Finding {
    let directories: Vec<PathBuf> =
        path.map(|path| std::env::split_paths(path).collect()).unwrap_or_default();
    let found: Vec<&str> = ["buildah", "podman", "docker"]
        .into_iter()
        .filter(|program| directories.iter().any(|directory| directory.join(program).is_file()))
        .collect();
    match found.as_slice() {
        [] => Finding::limited(
            "image builders",
            "none: Dockerfiles without RUN are built, those with RUN are not",
            "install buildah (`apt-get install buildah`), or load images that were built elsewhere",
        ),
        found => Finding::good("image builders", format!("{} for Dockerfiles with RUN", found.join(", "))),
    }
}

fn nearest_existing(path: &Path) -> PathBuf {
    path.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/")).to_owned()
}

fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64)
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn what_is_missing_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let mut found = Capabilities::probe(directory.path());
        (found.cpu, found.memory, found.pids, found.devices) = (true, true, true, true);
        assert_eq!(cgroups(&found).verdict, Verdict::Good);
        found.devices = false;
        assert_eq!(cgroups(&found).verdict, Verdict::Limited);
        assert!(cgroups(&found).found.ends_with("without devices"));
        found.memory = false;
        assert_eq!(cgroups(&found).verdict, Verdict::Bad);
        found.overlay_error = Some("not supported".to_owned());
        assert!(overlay(&found).next.is_some());
        assert_eq!(user(false).verdict, Verdict::Bad);
    }

    #[test]
    fn clocks_paths_and_builders() {
        assert_eq!(clock(Timestamp::from_millis(0)).verdict, Verdict::Bad);
        assert_eq!(clock(Timestamp::from_millis(BUILT_AFTER_MILLIS)).verdict, Verdict::Good);
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(nearest_existing(&directory.path().join("a/b")), directory.path());
        assert_eq!(builders(Some(directory.path().as_os_str())).verdict, Verdict::Limited);
        fs::write(directory.path().join("podman"), "").unwrap();
        let found = builders(Some(directory.path().as_os_str()));
        assert_eq!((found.verdict, found.found.as_str()), (Verdict::Good, "podman for Dockerfiles with RUN"));
        assert_eq!(disk(Path::new("/nonexistent")).verdict, Verdict::Bad);
    }
}
