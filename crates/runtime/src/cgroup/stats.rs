//! What a group uses, in one set of units for both versions.

use std::io;
use std::path::Path;

use super::{Cgroup, Controller, Layout, read};

/// A value is `None` when this machine does not count it, or does not limit it.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct CgroupStats {
    pub cpu_usage_ns: Option<u64>,
    /// Of that, in the programs themselves and in the kernel for them.
    pub cpu_user_ns: Option<u64>,
    pub cpu_system_ns: Option<u64>,
    /// Periods in which processes wanted to run under a quota, and those in which it was used up.
    pub cpu_periods: Option<u64>,
    pub cpu_throttled_periods: Option<u64>,
    /// The time in which processes wanted to run and the quota was used up.
    pub cpu_throttled_ns: Option<u64>,
    pub memory_usage_bytes: Option<u64>,
    /// File cache that would be given up first; AWS's and Docker's "memory used" is usage less this.
    pub memory_inactive_file_bytes: Option<u64>,
    pub memory_usage_bytes_max: Option<u64>,
    pub memory_limit_bytes: Option<u64>,
    pub oom_kills: u64,
    pub pids: Option<u64>,
    pub pids_limit: Option<u64>,
}

pub(super) fn read_stats(group: &Cgroup) -> io::Result<CgroupStats> {
    // A group that is gone has no figures; one whose controllers are missing has some.
    if !group.directories().iter().any(|directory| directory.exists()) {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no cgroup {}", group.path())));
    }
    let mut stats = match &group.layout {
        Layout::V1(_) => v1(group),
        Layout::V2(root) => v2(&root.join(&group.path)),
    };
    stats.oom_kills = group.oom_kills();
    Ok(stats)
}

fn v1(group: &Cgroup) -> CgroupStats {
    let file = |controller, name: &str| read(&group.directory(controller)?.join(name)).ok();
    let value = |controller, name: &str| number(&file(controller, name)?);
    let cpu = |key| keyed(&file(Controller::Cpu, "cpu.stat")?, key);
    CgroupStats {
        cpu_usage_ns: value(Controller::Cpuacct, "cpuacct.usage"),
        cpu_user_ns: value(Controller::Cpuacct, "cpuacct.usage_user"),
        cpu_system_ns: value(Controller::Cpuacct, "cpuacct.usage_sys"),
        cpu_periods: cpu("nr_periods"),
        cpu_throttled_periods: cpu("nr_throttled"),
        cpu_throttled_ns: cpu("throttled_time"),
        memory_usage_bytes: value(Controller::Memory, "memory.usage_in_bytes"),
        memory_inactive_file_bytes: file(Controller::Memory, "memory.stat")
            .and_then(|text| keyed(&text, "total_inactive_file")),
        memory_usage_bytes_max: value(Controller::Memory, "memory.max_usage_in_bytes"),
        // Without a limit the file holds the largest number of pages there can be.
        memory_limit_bytes: value(Controller::Memory, "memory.limit_in_bytes")
            .filter(|limit| *limit < 1 << 62),
        oom_kills: 0,
        pids: value(Controller::Pids, "pids.current"),
        pids_limit: value(Controller::Pids, "pids.max"),
    }
}

fn v2(directory: &Path) -> CgroupStats {
    let file = |name: &str| read(&directory.join(name)).ok();
    let value = |name: &str| number(&file(name)?);
    let count = |key: &str| keyed(&file("cpu.stat")?, key);
    let microseconds = |key: &str| count(key)?.checked_mul(1000);
    CgroupStats {
        cpu_usage_ns: microseconds("usage_usec"),
        cpu_user_ns: microseconds("user_usec"),
        cpu_system_ns: microseconds("system_usec"),
        cpu_periods: count("nr_periods"),
        cpu_throttled_periods: count("nr_throttled"),
        cpu_throttled_ns: microseconds("throttled_usec"),
        memory_usage_bytes: value("memory.current"),
        memory_inactive_file_bytes: file("memory.stat").and_then(|text| keyed(&text, "inactive_file")),
        memory_usage_bytes_max: value("memory.peak"),
        memory_limit_bytes: value("memory.max"),
        oom_kills: 0,
        pids: value("pids.current"),
        pids_limit: value("pids.max"),
    }
}

/// `max` is no number: no limit.
fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// The value of `key` in lines of `key value`.
pub(super) fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn group(layout: impl Fn(&Path) -> Layout, files: &[(&str, &str)]) -> (tempfile::TempDir, Cgroup) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let group = Cgroup::new(layout(root.path()), "g".to_owned());
        (root, group)
    }

    #[test]
    fn version_1_and_2_give_the_same_figures() {
        let expected = CgroupStats {
            cpu_usage_ns: Some(5_000_000),
            cpu_user_ns: Some(4_000_000),
            cpu_system_ns: Some(1_000_000),
            cpu_periods: Some(9),
            cpu_throttled_periods: Some(1),
            cpu_throttled_ns: Some(7000),
            memory_usage_bytes: Some(4096),
            memory_inactive_file_bytes: Some(1024),
            memory_usage_bytes_max: Some(8192),
            memory_limit_bytes: Some(65_536),
            oom_kills: 2,
            pids: Some(3),
            pids_limit: None,
        };
        let mounts =
            |root: &Path| Layout::V1(Controller::ALL.iter().map(|c| (*c, root.join(c.name()))).collect());
        let (_root, v1) = group(
            mounts,
            &[
                ("cpuacct/g/cpuacct.usage", "5000000\n"),
                ("cpuacct/g/cpuacct.usage_user", "4000000\n"),
                ("cpuacct/g/cpuacct.usage_sys", "1000000\n"),
                ("cpu/g/cpu.stat", "nr_periods 9\nnr_throttled 1\nthrottled_time 7000\n"),
                ("memory/g/memory.usage_in_bytes", "4096\n"),
                ("memory/g/memory.stat", "inactive_file 1\ntotal_inactive_file 1024\n"),
                ("memory/g/memory.max_usage_in_bytes", "8192\n"),
                ("memory/g/memory.limit_in_bytes", "65536\n"),
                ("memory/g/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
                ("pids/g/pids.current", "3\n"),
                ("pids/g/pids.max", "max\n"),
            ],
        );
        assert_eq!(v1.stats().unwrap(), expected);
        let (_root, v2) = group(
            |root| Layout::V2(root.to_owned()),
            &[
                (
                    "g/cpu.stat",
                    "usage_usec 5000\nuser_usec 4000\nsystem_usec 1000\nnr_periods 9\nnr_throttled 1\nthrottled_usec 7\n",
                ),
                ("g/memory.current", "4096\n"),
                ("g/memory.stat", "anon 1\ninactive_file 1024\n"),
                ("g/memory.peak", "8192\n"),
                ("g/memory.max", "65536\n"),
                ("g/memory.events", "low 0\noom 1\noom_kill 2\noom_group_kill 0\n"),
                ("g/pids.current", "3\n"),
                ("g/pids.max", "max\n"),
            ],
        );
        assert_eq!(v2.stats().unwrap(), expected);
    }

    #[test]
    fn what_is_not_counted_or_not_limited_is_none() {
        let (_root, v2) = group(|root| Layout::V2(root.to_owned()), &[("g/memory.max", "max\n")]);
        assert_eq!(v2.stats().unwrap(), CgroupStats::default());
        let gone = Cgroup::new(Layout::V2("/nowhere".into()), "g".to_owned());
        assert_eq!(gone.stats().unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
