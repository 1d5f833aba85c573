//! Which controllers this machine has, and where.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Controller {
    Cpu,
    Cpuacct,
    Memory,
    Pids,
    Devices,
}

impl Controller {
    pub(crate) const ALL: [Self; 5] = [Self::Cpu, Self::Cpuacct, Self::Memory, Self::Pids, Self::Devices];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cpuacct => "cpuacct",
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Devices => "devices",
        }
    }
}

/// Where the hierarchies are mounted.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Layout {
    /// One hierarchy per controller, also when there is a version 2 hierarchy without controllers beside them.
    V1(BTreeMap<Controller, PathBuf>),
    V2(PathBuf),
}

impl Layout {
    pub(crate) fn detect() -> io::Result<Self> {
        let mountinfo = fs::read_to_string("/proc/self/mountinfo")?;
        Self::parse(&mountinfo).ok_or_else(|| {
            io::Error::new(io::ErrorKind::Unsupported, "no cgroup hierarchy is mounted on this machine")
        })
    }

    fn parse(mountinfo: &str) -> Option<Self> {
        let mut v1 = BTreeMap::new();
        let mut v2 = None;
        for line in mountinfo.lines() {
            // `36 35 98:0 / /mount/point rw,noatime master:1 - type source options`
            let Some((before, after)) = line.split_once(" - ") else { continue };
            let Some(mount_point) = before.split(' ').nth(4) else { continue };
            let mut fields = after.split(' ');
            let (kind, options) = (fields.next(), fields.nth(1).unwrap_or(""));
            match kind {
                Some("cgroup") => {
                    for controller in Controller::ALL {
                        if options.split(',').any(|option| option == controller.name()) {
                            v1.entry(controller).or_insert_with(|| unescape(mount_point));
                        }
                    }
                }
                Some("cgroup2") if v2.is_none() => v2 = Some(unescape(mount_point)),
                _ => {}
            }
        }
        let controls = [Controller::Cpu, Controller::Memory, Controller::Pids];
        if controls.iter().any(|controller| v1.contains_key(controller)) {
            Some(Self::V1(v1))
        } else {
            v2.map(Self::V2)
        }
    }
}

/// The mount point of a hierarchy of either version, from a line of mountinfo.
pub(crate) fn hierarchy_mount_point(line: &str) -> Option<PathBuf> {
    let (before, after) = line.split_once(" - ")?;
    let kind = after.split(' ').next()?;
    matches!(kind, "cgroup" | "cgroup2").then(|| before.split(' ').nth(4).map(unescape))?
}

/// The kernel writes spaces in mount points as `\040`.
fn unescape(text: &str) -> PathBuf {
    PathBuf::from(text.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_told_apart() {
        let v1 = |mounts: &[(Controller, &str)]| {
            Some(Layout::V1(
                mounts.iter().map(|(controller, path)| (*controller, PathBuf::from(path))).collect(),
            ))
        };
        let cases = [
            (
                "30 24 0:26 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n",
                Some(Layout::V2(PathBuf::from("/sys/fs/cgroup"))),
            ),
            (
                "29 23 0:25 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n\
                 30 29 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
                 31 29 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                 32 29 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n",
                v1(&[
                    (Controller::Cpu, "/sys/fs/cgroup/cpu,cpuacct"),
                    (Controller::Cpuacct, "/sys/fs/cgroup/cpu,cpuacct"),
                ]),
            ),
            (
                "30 29 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
                 32 29 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n",
                Some(Layout::V2(PathBuf::from("/sys/fs/cgroup/unified"))),
            ),
            ("22 1 8:1 / / rw - ext4 /dev/vda rw\n", None),
        ];
        for (mountinfo, expected) in cases {
            assert_eq!(Layout::parse(mountinfo), expected, "{mountinfo}");
        }
    }
}
