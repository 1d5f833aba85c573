//! CPU and memory as AWS reads them, and the sizes that Fargate has.

use gantry_api::ApiError;
use gantry_types::{CpuUnits, MemoryMib};

use crate::ecs::names::client;

/// 192 vCPU: what the largest instances have.
pub(super) const CPU_MAX: u32 = 196_608;

/// CPU units: `256`, `.25 vCPU`, `1 vCPU`.
pub(in crate::ecs) fn cpu(text: &str) -> Result<CpuUnits, ApiError> {
    quantity(text, "vcpu", 1024.0, 128, CPU_MAX)
        .map(CpuUnits)
        .ok_or_else(|| client(format!("Invalid 'cpu' setting for task: '{text}'.")))
}

pub(super) const MEMORY_MAX: u32 = 4_000_000;

/// Mebibytes: `512`, `0.5GB`, `1 GB`.
pub(in crate::ecs) fn memory(text: &str) -> Result<MemoryMib, ApiError> {
    quantity(text, "gb", 1024.0, 4, MEMORY_MAX)
        .map(MemoryMib)
        .ok_or_else(|| client(format!("Invalid 'memory' setting for task: '{text}'.")))
}

fn quantity(text: &str, unit: &str, per_unit: f64, least: u32, most: u32) -> Option<u32> {
    let lower = text.trim().to_ascii_lowercase();
    let number = match lower.strip_suffix(unit) {
        Some(units) => {
            let number: f64 = units.trim().parse().ok()?;
            let whole = (number * per_unit).round();
            if !(0.0..=f64::from(most)).contains(&whole) {
                return None;
            }
            whole as u32
        }
        None => lower.parse().ok().filter(|_| lower.bytes().all(|byte| byte.is_ascii_digit()))?,
    };
    (least..=most).contains(&number).then_some(number)
}

/// Fargate's sizes: for each CPU the memory from, to and in steps of.
const FARGATE_SIZES: [(u32, u32, u32, u32); 7] = [
    (256, 512, 2048, 512),
    (512, 1024, 4096, 1024),
    (1024, 2048, 8192, 1024),
    (2048, 4096, 16384, 1024),
    (4096, 8192, 30720, 1024),
    (8192, 16384, 61440, 4096),
    (16384, 32768, 122_880, 8192),
];

pub(in crate::ecs) fn check_fargate_size(
    cpu: Option<CpuUnits>,
    memory: Option<MemoryMib>,
) -> Result<(), ApiError> {
    let Some(cpu) = cpu else {
        return Err(client("Fargate requires that 'cpu' be defined at the task level."));
    };
    let Some(memory) = memory else {
        return Err(client("Fargate requires that 'memory' be defined at the task level."));
    };
    let fits = FARGATE_SIZES.iter().any(|&(units, least, most, step)| {
        let steps = memory.0.checked_sub(least).is_some_and(|above| above % step == 0);
        // 256 units know 0.5, 1 and 2 GB, not 1.5.
        units == cpu.0 && steps && memory.0 <= most && (units, memory.0) != (256, 1536)
    });
    if fits {
        Ok(())
    } else {
        Err(client(format!(
            "No Fargate configuration exists for given values: {} CPU, {} memory.",
            cpu.0, memory.0
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_aws_reads_them() {
        for (text, units) in [("256", 256), (".25 vCPU", 256), ("1 vCPU", 1024), ("2vcpu", 2048)] {
            assert_eq!(cpu(text).unwrap(), CpuUnits(units), "{text}");
        }
        for (text, mib) in [("512", 512), ("0.5GB", 512), ("1 GB", 1024)] {
            assert_eq!(memory(text).unwrap(), MemoryMib(mib), "{text}");
        }
        for bad in ["", "x", "+256", "-1", "0.25", "1e99 vCPU", "NaN GB", "inf vCPU"] {
            assert!(cpu(bad).is_err() && memory(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn fargate_has_its_sizes() {
        let check = |cpu, mib| check_fargate_size(Some(CpuUnits(cpu)), Some(MemoryMib(mib))).is_ok();
        assert!(check(256, 512) && check(256, 1024) && check(256, 2048) && check(1024, 8192));
        assert!(!check(256, 1536) && !check(256, 4096) && !check(300, 512) && !check(8192, 17_408));
    }
}
