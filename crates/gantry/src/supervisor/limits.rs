//! What the kernel grants to this process.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Connections, their targets' side, and the store's descriptors.
const OPEN_FILES_WANTED: u64 = 1 << 20;

/// Raises the limit of open files as far as is useful and allowed, and returns it. Children inherit it.
pub fn raise_open_files_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let (current, maximum) = (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX));
    // With the privilege the hard limit goes up too, to what the kernel takes at most; without it, up to the hard limit.
    let kernel_max = std::fs::read_to_string("/proc/sys/fs/nr_open")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(OPEN_FILES_WANTED);
    for wanted in [OPEN_FILES_WANTED.min(kernel_max), OPEN_FILES_WANTED.min(maximum)] {
        let raised = Rlimit { current: Some(wanted), maximum: Some(wanted.max(maximum)) };
        if wanted <= current || setrlimit(Resource::Nofile, raised).is_ok() {
            break;
        }
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Makes this process one of the last that the kernel kills when memory runs out; containers come before it. Without the
/// privilege nothing changes.
pub(crate) fn prefer_others_when_memory_runs_out(score: i16) -> io::Result<()> {
    std::fs::write("/proc/self/oom_score_adj", score.to_string())
}
