//! Every bound and default of this crate.

use std::time::Duration;

/// The longest piece of a line that is handed to the sink: CloudWatch Logs takes events of 256 KiB and counts 26
/// bytes of overhead with each. A longer line arrives in several pieces.
pub const LINE_BYTES_MAX: usize = 256 * 1024 - 26;

/// A line without its end is handed over after this time without another byte.
pub(crate) const QUIET_LINE: Duration = Duration::from_millis(100);
/// Room in the pipes between the container and its shim: a stall of the disk is absorbed here.
pub(crate) const OUTPUT_PIPE_BYTES: usize = 256 * 1024;
pub(crate) const OUTPUT_READ_BYTES: usize = 64 * 1024;
/// What is read of the output after the container's end: nobody but a process outside the container that was
/// handed the pipe can write any more, and it is not waited for.
pub(crate) const OUTPUT_DRAIN_BYTES_MAX: usize = 8 * 1024 * 1024;

/// From the call to the first instruction of the container's program.
pub(crate) const START_TIMEOUT: Duration = Duration::from_secs(60);
/// A shim answers a control request within this time, or is taken for dead.
pub(crate) const CONTROL_TIMEOUT: Duration = Duration::from_secs(10);
pub(crate) const CONTROL_LINE_BYTES_MAX: usize = 64 * 1024;
pub(crate) const CONTROL_CLIENTS_MAX: usize = 64;
/// Killed processes are gone within this time.
pub(crate) const KILL_TIMEOUT: Duration = Duration::from_secs(10);
pub(crate) const KILL_ROUNDS_MAX: usize = 100;

/// What an exec may take beyond its own timeout, for its start and end.
pub(crate) const EXEC_GRACE: Duration = Duration::from_secs(15);

/// `/etc/passwd` and `/etc/group` of an image, and our own JSON files.
pub(crate) const ACCOUNT_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
pub(crate) const STATE_FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;
pub(crate) const CGROUP_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Processes that are in a container's control group together while it is built.
pub(crate) const PIDS_LIMIT_MIN: u32 = 4;
pub(crate) const LAYERS_MAX: usize = 500;
pub(crate) const MOUNTS_MAX: usize = 1000;
pub(crate) const CONTAINERS_ADOPTED_MAX: usize = 100_000;

/// `cpu.cfs_period_us`: what Docker and AWS use.
pub(crate) const CPU_PERIOD_US: u64 = 100_000;
/// Docker's size of `/dev/shm`.
pub(crate) const SHARED_MEMORY_BYTES: u64 = 64 << 20;
/// The limit of open files on Fargate.
pub(crate) const OPEN_FILES: u64 = 65_535;
pub(crate) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
