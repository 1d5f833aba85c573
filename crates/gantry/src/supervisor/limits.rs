//! What the kernel grants to this process.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Connections, their targets' side, and the store's descriptors.
const OPEN_FILES_WANTED: u64 = 1 << 20;

/// Raises the limit of open files as far as it may go, and returns it. Children inherit it.
pub fn raise_open_files_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let (current, maximum) = (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX));
    let attempts = [current.max(OPEN_FILES_WANTED.max(maximum)), current.max(OPEN_FILES_WANTED), maximum];
    for wanted in attempts.into_iter().filter(|wanted| *wanted > current) {
        // A huge hard limit stays as it is; the soft one needs no more than we want.
        let raised = Rlimit {
            current: Some(wanted.min(OPEN_FILES_WANTED.max(current))),
            maximum: Some(wanted.max(maximum)),
        };
        if setrlimit(Resource::Nofile, raised).is_ok() {
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
