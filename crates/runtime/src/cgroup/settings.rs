//! Limits as the values of control files.

use std::fmt::Display;

use gantry_types::CpuUnits;

use super::{Controller, Layout};
use crate::limits::CPU_PERIOD_US;

/// What a group may use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) cpu_shares: Option<CpuUnits>,
    pub(crate) cpu_quota: Option<CpuUnits>,
    pub(crate) memory_limit_bytes: Option<u64>,
    pub(crate) memory_reservation_bytes: Option<u64>,
    pub(crate) pids_limit: Option<u32>,
    pub(crate) devices: Devices,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Devices {
    #[default]
    Inherited,
    /// Those that every container may use, and no other.
    Default,
}

/// One value for one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) what: &'static str,
    pub(super) controller: Controller,
    pub(super) file: &'static str,
    pub(super) value: String,
    /// Its absence takes nothing from what was asked.
    pub(super) optional: bool,
}

/// The devices of every OCI container: any may be made, few may be used (null, zero, full, random, urandom, tty,
/// ptmx, pts).
const DEVICE_RULES: [&str; 10] = [
    "c *:* m",
    "b *:* m",
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 5:2 rwm",
    "c 136:* rwm",
];

impl Limits {
    /// In the order in which they must be written.
    pub(super) fn settings(&self, layout: &Layout) -> Vec<Setting> {
        match layout {
            Layout::V1(_) => self.v1(),
            Layout::V2(_) => self.v2(),
        }
    }

    fn v1(&self) -> Vec<Setting> {
        use Controller::{Cpu, Devices as DevicesController, Memory, Pids};
        let mut settings = Vec::new();
        if let Some(shares) = self.cpu_shares {
            settings.push(setting("CPU shares", Cpu, "cpu.shares", &shares.0.max(2)));
        }
        if let Some(quota) = self.cpu_quota {
            settings.push(setting("CPU quota", Cpu, "cpu.cfs_period_us", &CPU_PERIOD_US));
            settings.push(setting("CPU quota", Cpu, "cpu.cfs_quota_us", &quota_us(quota)));
        }
        if let Some(limit) = self.memory_limit_bytes {
            settings.push(setting("memory limit", Memory, "memory.limit_in_bytes", &limit));
            // Memory and swap together: no swap, as on Fargate. The file is missing where swap is not counted.
            let swap = setting("swap limit", Memory, "memory.memsw.limit_in_bytes", &limit);
            settings.push(Setting { optional: true, ..swap });
        }
        if let Some(reservation) = self.memory_reservation_bytes {
            settings.push(setting("memory reservation", Memory, "memory.soft_limit_in_bytes", &reservation));
        }
        if let Some(limit) = self.pids_limit {
            settings.push(setting("pids limit", Pids, "pids.max", &limit));
        }
        if self.devices == Devices::Default {
            settings.push(setting("device rules", DevicesController, "devices.deny", &"a"));
            let allow = |rule: &&str| setting("device rules", DevicesController, "devices.allow", &rule);
            settings.extend(DEVICE_RULES.iter().map(allow));
        }
        settings
    }

    /// Without device rules: those are programs there, so a container is not given CAP_MKNOD instead.
    fn v2(&self) -> Vec<Setting> {
        use Controller::{Cpu, Memory, Pids};
        let mut settings = Vec::new();
        if let Some(shares) = self.cpu_shares {
            settings.push(setting("CPU shares", Cpu, "cpu.weight", &weight(shares)));
        }
        if let Some(quota) = self.cpu_quota {
            settings.push(setting(
                "CPU quota",
                Cpu,
                "cpu.max",
                &format!("{} {CPU_PERIOD_US}", quota_us(quota)),
            ));
        }
        if let Some(limit) = self.memory_limit_bytes {
            settings.push(setting("memory limit", Memory, "memory.max", &limit));
            let swap = setting("swap limit", Memory, "memory.swap.max", &0);
            settings.push(Setting { optional: true, ..swap });
        }
        if let Some(reservation) = self.memory_reservation_bytes {
            settings.push(setting("memory reservation", Memory, "memory.low", &reservation));
        }
        if let Some(limit) = self.pids_limit {
            settings.push(setting("pids limit", Pids, "pids.max", &limit));
        }
        settings
    }
}

fn setting(what: &'static str, controller: Controller, file: &'static str, value: &dyn Display) -> Setting {
    Setting { what, controller, file, value: value.to_string(), optional: false }
}

/// The kernel takes no quota below 1 ms.
fn quota_us(units: CpuUnits) -> u64 {
    (u64::from(units.0) * CPU_PERIOD_US / 1024).max(1000)
}

/// Shares of 2 to 262,144 onto weights of 1 to 10,000, as runc and systemd map them.
fn weight(shares: CpuUnits) -> u64 {
    1 + (u64::from(shares.0).clamp(2, 262_144) - 2) * 9999 / 262_142
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::*;

    fn written(limits: &Limits, layout: &Layout) -> Vec<String> {
        limits.settings(layout).iter().map(|setting| format!("{}={}", setting.file, setting.value)).collect()
    }

    #[test]
    fn limits_become_the_files_of_each_version() {
        let limits = Limits {
            cpu_shares: Some(CpuUnits(1024)),
            cpu_quota: Some(CpuUnits(256)),
            memory_limit_bytes: Some(64 << 20),
            memory_reservation_bytes: Some(32 << 20),
            pids_limit: Some(100),
            devices: Devices::Inherited,
        };
        let v1 = Layout::V1(BTreeMap::new());
        assert_eq!(
            written(&limits, &v1),
            [
                "cpu.shares=1024",
                "cpu.cfs_period_us=100000",
                "cpu.cfs_quota_us=25000",
                "memory.limit_in_bytes=67108864",
                "memory.memsw.limit_in_bytes=67108864",
                "memory.soft_limit_in_bytes=33554432",
                "pids.max=100",
            ]
        );
        let v2 = Layout::V2(PathBuf::from("/sys/fs/cgroup"));
        assert_eq!(
            written(&limits, &v2),
            [
                "cpu.weight=39",
                "cpu.max=25000 100000",
                "memory.max=67108864",
                "memory.swap.max=0",
                "memory.low=33554432",
                "pids.max=100",
            ]
        );
        assert!(written(&Limits::default(), &v1).is_empty());
        let devices = Limits { devices: Devices::Default, ..Limits::default() };
        assert_eq!(written(&devices, &v1)[0], "devices.deny=a");
    }

    #[test]
    fn the_ends_of_the_scales_are_what_the_kernel_takes() {
        assert_eq!([weight(CpuUnits(0)), weight(CpuUnits(2)), weight(CpuUnits(u32::MAX))], [1, 1, 10_000]);
        assert_eq!(
            [quota_us(CpuUnits(0)), quota_us(CpuUnits(1024)), quota_us(CpuUnits(2048))],
            [1000, 100_000, 200_000]
        );
    }
}
