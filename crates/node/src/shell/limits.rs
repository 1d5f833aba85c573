//! Every limit and default of the shell, in one place.

use std::time::Duration;

/// What happened and was not looked at yet.
pub(super) const EVENTS_WAITING_MAX: usize = 1024;
/// Messages of `control` that were read and not looked at yet.
pub(super) const MESSAGES_WAITING_MAX: usize = 256;
/// Reports that wait for the link. A link that is so far behind is closed: the next one begins with a full report.
pub(super) const REPORTS_WAITING_MAX: usize = 16_384;

/// The wait before the next attempt to reach `control`: doubled from the first to the last.
pub(super) const CONNECT_PAUSE_MIN: Duration = Duration::from_millis(10);
pub(super) const CONNECT_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Threads for what blocks. Health checks may take all of their places for a minute, so there are more threads than places.
pub(super) const BLOCKING_THREADS_MAX: usize = 128;
pub(super) const HEALTH_CHECKS_AT_ONCE: usize = 48;
/// A start costs some 15 ms of processor time, so more at once only make each slower.
pub(super) const STARTS_AT_ONCE: usize = 16;
/// Unpacking is bound by processor and disk.
pub(super) const IMAGES_AT_ONCE: usize = 8;
/// The ECS agent's schedule of a pull.
pub(super) const PULL_ATTEMPTS_MAX: u32 = 5;
pub(super) const PULL_PAUSE_MIN: Duration = Duration::from_millis(1100);
pub(super) const PULL_PAUSE_MAX: Duration = Duration::from_secs(5);
/// How often the log tells how far a long pull is.
pub(super) const PULL_TELL_INTERVAL: Duration = Duration::from_secs(10);

/// Output of a container on disk that was not shipped; the oldest sixteenth goes first.
pub(super) const OUTPUT_BYTES_MAX: u64 = 64 << 20;
/// Containers that are gone and whose output is still on disk; the oldest goes first.
pub(super) const ENDED_OUTPUTS_MAX: usize = 32;
/// Of a container that failed and whose output goes nowhere else, for the node's own log.
pub(super) const LAST_LINES: usize = 10;
/// Of a health check's output, for the node's own log.
pub(super) const HEALTH_OUTPUT_BYTES_MAX: usize = 4 << 10;

/// From the order to make an interface to a network that carries packets.
pub(super) const NETWORK_WAIT_MAX: Duration = Duration::from_secs(30);
pub(super) const VPC_RETRY_PAUSE_MIN: Duration = Duration::from_millis(500);
pub(super) const VPC_RETRY_PAUSE_MAX: Duration = Duration::from_secs(30);

/// How long the output of a task that is gone is kept for `control` to take it.
pub(super) const SHIPPING_WAIT_MAX: Duration = Duration::from_secs(60);
pub(super) const CLEAN_ATTEMPTS: u32 = 8;
pub(super) const CLEAN_PAUSE_MIN: Duration = Duration::from_millis(200);
pub(super) const CLEAN_PAUSE_MAX: Duration = Duration::from_secs(10);
/// Interfaces of ended tasks that wait to be removed, and how many go at once.
pub(super) const REMOVALS_WAITING_MAX: usize = 1024;
pub(super) const REMOVAL_BATCH_MAX: usize = 256;
/// They wait until no task was being started for so long, however busy the machine is no longer than the other.
pub(super) const REMOVAL_QUIET: Duration = Duration::from_millis(100);
pub(super) const REMOVAL_WAIT_MAX: Duration = Duration::from_secs(2);
pub(super) const KILL_ATTEMPTS: u32 = 5;
pub(super) const KILL_PAUSE: Duration = Duration::from_millis(200);

/// How long a node waits for its predecessor's end.
pub(super) const LOCK_WAIT_MAX: Duration = Duration::from_secs(5);
pub(super) const LOCK_POLL: Duration = Duration::from_millis(5);

/// A restarted node waits so long for starts that its predecessor left on their way.
pub(super) const START_SETTLE_MAX: Duration = Duration::from_secs(20);
pub(super) const START_SETTLE_POLL: Duration = Duration::from_millis(5);

/// A record of one task or VPC.
pub(super) const RECORD_BYTES_MAX: u64 = 32 << 20;
pub(super) const RECORDS_MAX: usize = 100_000;

/// Questions about the state that wait for the thread that owns it.
pub(super) const INQUIRIES_WAITING_MAX: usize = 256;
/// Connections to the tasks' metadata in one VPC, in all and from one address.
pub(super) const METADATA_CONNECTIONS_MAX: usize = 1024;
pub(super) const METADATA_CONNECTIONS_PER_CLIENT_MAX: usize = 64;
/// From the end of one request to the whole head of the next.
pub(super) const METADATA_HEAD_WAIT_MAX: Duration = Duration::from_secs(30);
pub(super) const METADATA_HEAD_BYTES_MAX: usize = 16 << 10;
pub(super) const METADATA_HEADERS_MAX: usize = 64;
/// A client that reads its answers slowly, or sends a body that nobody reads, is cut off.
pub(super) const METADATA_CONNECTION_LIFE_MAX: Duration = Duration::from_secs(300);
/// Connections from one VPC to the AWS APIs, in all and from one address. `control` has its own limit.
pub(super) const RELAY_CONNECTIONS_MAX: usize = 512;
pub(super) const RELAY_CONNECTIONS_PER_CLIENT_MAX: usize = 64;
pub(super) const RELAY_CONNECT_MAX: Duration = Duration::from_secs(10);
/// What a client may still say when the server has closed.
pub(super) const RELAY_LINGER_MAX: Duration = Duration::from_secs(5);
/// After accepting failed for want of descriptors or memory.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Containers whose last sample is kept for the next question.
pub(super) const STATS_CONTAINERS_MAX: usize = 4096;
/// Between two samples that make a rate.
pub(super) const STATS_INTERVAL_MIN: Duration = Duration::from_millis(500);

/// People who ask this machine's node something at the same time, and what they may say.
pub(super) const LOCAL_CLIENTS_MAX: usize = 32;
pub(super) const LOCAL_REQUEST_BYTES_MAX: usize = 64 << 10;
pub(super) const LOCAL_CLIENT_WAIT_MAX: Duration = Duration::from_secs(10);
/// Commands that people run in containers at the same time.
pub(super) const SESSIONS_MAX: usize = 256;
/// From inside a task to itself.
pub(super) const CONNECT_INTO_TASK_MAX: Duration = Duration::from_secs(5);

/// The longest sleep: a clock that was set back is noticed after it.
pub(super) const SLEEP_MAX: Duration = Duration::from_secs(10);
/// What is on its way when the node ends gets this much time; it is found again at the next start anyhow.
pub(super) const END_WAIT_MAX: Duration = Duration::from_secs(2);
