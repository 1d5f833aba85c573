//! What this machine has to give.

use std::fs;

use gantry_types::{CpuUnits, MemoryMib};

const UNITS_PER_PROCESSOR: usize = 1024;

/// The processors that this process may use, 1,024 units each.
pub(super) fn cpu() -> CpuUnits {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    CpuUnits(u32::try_from(processors.saturating_mul(UNITS_PER_PROCESSOR)).unwrap_or(u32::MAX))
}

/// The memory that the kernel has.
pub(super) fn memory() -> MemoryMib {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    MemoryMib(total_mib(&text).unwrap_or(0))
}

fn total_mib(meminfo: &str) -> Option<u32> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    u32::try_from(kibibytes / 1024).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_mebibytes() {
        assert_eq!(total_mib("MemFree: 1 kB\nMemTotal:       24565896 kB\n"), Some(23_990));
        assert_eq!(total_mib("MemTotal: much\n"), None);
        assert!(memory().0 > 0 && cpu().0 >= 1024);
    }
}
