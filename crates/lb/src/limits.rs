//! Every limit of the balancer, with its default. Those that HTTP itself needs stand in `http1`.

use std::time::Duration;

/// What a configuration may change; tests make them small.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Clients' connections at the same time; beyond it new ones wait in the backlog.
    pub connections_max: usize,
    /// AWS: 504 when a connection to a target takes longer.
    pub connect_timeout: Duration,
    /// As long as another target can be tried, one that does not even answer a SYN gets only this long.
    pub connect_patience: Duration,
    /// How long a request waits for a target that was promised; then 503.
    pub hold_timeout: Duration,
    /// Requests that wait for one target group; the next one gets a 503.
    pub hold_requests_max: usize,
    /// Bytes of requests that wait for one target group.
    pub hold_bytes_max: usize,
    /// A request's body is kept up to this length, so that it can be sent again.
    pub replay_body_bytes_max: usize,
    /// How often a request is sent again that a target has perhaps seen: a request that kills its target shall not kill all.
    pub replays_max: u32,
    /// Idle connections to one target, in each shard.
    pub pool_connections_max: usize,
    /// An idle connection to a target is not used after this long: application servers close theirs after 5 s at the earliest,
    /// and a request must not meet that moment.
    pub pool_idle_max: Duration,
    /// The body of a request that the balancer answers itself is read to its end, to keep the connection, up to this length.
    pub discard_bytes_max: usize,
    /// How long, behind a last response, a client may go on sending before its connection is cut.
    pub linger: Duration,
    /// How long running requests may take when the process stops.
    pub stop_grace: Duration,
    /// How long idle connections are kept when the process stops: the next request on them is served, and told to close.
    pub stop_idle_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 20_000,
            connect_timeout: Duration::from_secs(10),
            connect_patience: Duration::from_secs(1),
            hold_timeout: Duration::from_secs(30),
            hold_requests_max: 1024,
            hold_bytes_max: 16 << 20,
            replay_body_bytes_max: 64 << 10,
            replays_max: 2,
            pool_connections_max: 256,
            pool_idle_max: Duration::from_secs(4),
            discard_bytes_max: 64 << 10,
            linger: Duration::from_secs(2),
            stop_grace: Duration::from_secs(30),
            stop_idle_grace: Duration::from_secs(5),
        }
    }
}

/// Of a connection's buffer, in each direction, when it is made. A head that needs more makes it grow.
pub(crate) const BUFFER_BYTES: usize = 32 << 10;
/// The largest buffer: a request head and what came with it.
pub(crate) const BUFFER_BYTES_MAX: usize = crate::http1::REQUEST_HEAD_BYTES_MAX + (8 << 10);
/// Unused buffers that a shard keeps.
pub(crate) const SPARE_BUFFERS_MAX: usize = 256;
/// AWS: 463 for more addresses than this in X-Forwarded-For.
pub(crate) const FORWARDED_FOR_ADDRESSES_MAX: usize = 30;
/// AWS: a longer X-Amzn-Trace-Id is replaced.
pub(crate) const TRACE_ID_BYTES_MAX: usize = 7 << 10;
/// AWS: a redirect whose Location would be longer fails.
pub(crate) const LOCATION_BYTES_MAX: usize = 8 << 10;
/// Interim responses (1xx) of a target before its final one.
pub(crate) const INTERIM_RESPONSES_MAX: u32 = 16;
/// Events from shards to the core that wait; what does not fit is found again by the core's own regular look.
pub(crate) const EVENTS_MAX: usize = 64 << 10;
/// Messages for `control` that wait for the link; all of them are derived from the state and are sent again after a `Hello`.
pub(crate) const REPORTS_MAX: usize = 16 << 10;
/// Orders for one shard that wait.
pub(crate) const ORDERS_MAX: usize = 1024;
/// The core's own regular look: what shards could not tell, idle connections that are too old, sockets that could not be opened.
pub(crate) const REGULAR_INTERVAL: Duration = Duration::from_secs(1);
/// Accepting stops for this long when the process has no descriptor left.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections that wait to be accepted.
pub(crate) const BACKLOG: i32 = 4096;
/// State is written to disk at most this often.
pub(crate) const SAVE_INTERVAL: Duration = Duration::from_millis(200);
/// A health check's answer is read up to this length.
pub(crate) const PROBE_BYTES_MAX: usize = 16 << 10;
/// Delays between attempts to reach `control`.
pub(crate) const RECONNECT_DELAY_MIN: Duration = Duration::from_millis(20);
pub(crate) const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(1);
