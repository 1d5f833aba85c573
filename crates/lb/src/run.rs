//! Starting a balancer: its configuration, its threads, and what can be asked of it while it runs.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use gantry_types::NodeId;
use thiserror::Error;
use tokio::sync::mpsc;

use crate::limits::{Limits, ORDERS_MAX};
use crate::outbound::{Network, Sockets};
use crate::registry::Snapshot;
use crate::shard::{Clock, Connections, Shared, StopPhase, run_shard};
use crate::shell::Shell;
use crate::store::SocketStore;
use crate::table::Table;

/// How a balancer runs.
#[derive(Debug, Clone)]
pub struct Config {
    pub id: NodeId,
    /// Said to `control`.
    pub version: String,
    /// Threads that serve; one a core.
    pub shards: usize,
    pub network: Network,
    /// Where every internet-facing load balancer is reached by its name; `None` for nowhere.
    pub shared_address: Option<Ipv4Addr>,
    /// Where the last known state is kept; `None` keeps none.
    pub state_directory: Option<PathBuf>,
    /// Where `control` listens.
    pub control_socket: PathBuf,
    pub limits: Limits,
}

#[derive(Debug, Error)]
pub enum RunError {
    #[error("starting the load balancer's runtime: {0}")]
    Runtime(#[source] std::io::Error),
    #[error("starting a thread of the load balancer: {0}")]
    Thread(#[source] std::io::Error),
    #[error("a thread of the load balancer has ended; its clients would wait for ever")]
    ShardEnded,
    #[error("reading randomness from the kernel: {0}")]
    Randomness(getrandom::Error),
}

/// What can be asked of a running balancer.
#[derive(Debug, Clone)]
pub struct Handle(mpsc::Sender<Command>);

/// The other end of [`Handle`]s.
#[derive(Debug)]
pub struct Commands(pub(crate) mpsc::Receiver<Command>);

#[derive(Debug)]
pub(crate) enum Command {
    Stop,
    Snapshot(std::sync::mpsc::Sender<Snapshot>),
}

impl Handle {
    pub fn new() -> (Self, Commands) {
        let (sender, receiver) = mpsc::channel(64);
        (Self(sender), Commands(receiver))
    }

    /// Has the balancer accept no more, finish what is in flight, and return from [`run`].
    pub fn stop(&self) {
        // A full queue holds another stop, or a balancer that is stuck and will be killed.
        let _ = self.0.try_send(Command::Stop);
    }

    /// What was counted; `None` if the balancer has ended or does not answer within `timeout`.
    pub fn snapshot(&self, timeout: Duration) -> Option<Snapshot> {
        let (sender, receiver) = std::sync::mpsc::channel();
        self.0.try_send(Command::Snapshot(sender)).ok()?;
        receiver.recv_timeout(timeout).ok()
    }
}

/// Runs a balancer on this thread, and its shards on others, until it is told to stop.
pub fn run(config: &Config, store: Box<dyn SocketStore>, commands: Commands) -> Result<(), RunError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(RunError::Runtime)?;
    let shards = config.shards.max(1);
    let limits = within_descriptors(config.limits.clone());
    let shared = runtime.block_on(async {
        Arc::new(Shared {
            limits,
            sockets: Sockets::new(config.network.clone()),
            table: ArcSwap::from_pointee(Table::default()),
            clock: Clock::start(),
            stop: StopPhase::default(),
            connections: Connections::default(),
        })
    });
    std::thread::scope(|scope| {
        let mut orders = Vec::with_capacity(shards);
        for index in 0..shards {
            let (sender, receiver) = mpsc::channel(ORDERS_MAX);
            let seed = getrandom::u64().map_err(RunError::Randomness)?;
            let shared = Arc::clone(&shared);
            let serve = move || {
                if let Err(error) = run_shard(index, shared, seed, receiver) {
                    tracing::error!(%error, index, "a shard of the load balancer ended");
                }
            };
            std::thread::Builder::new()
                .name(format!("lb-{index}"))
                .spawn_scoped(scope, serve)
                .map_err(RunError::Thread)?;
            orders.push(sender);
        }
        runtime.block_on(Shell::new(config, store, shared, orders).run(commands))
    })
}

/// Descriptors for everything that is no client's connection: listening sockets, probes, idle connections, files.
const OTHER_DESCRIPTORS: u64 = 1024;

/// A request holds two descriptors. Asks the kernel for as many as the connections need, and where it does not give them, takes
/// fewer connections: better to let a client wait than to accept it and have no way to a target.
fn within_descriptors(limits: Limits) -> Limits {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = 2 * limits.connections_max as u64 + OTHER_DESCRIPTORS;
    let now = getrlimit(Resource::Nofile);
    let enough = |current: Option<u64>| current.is_none_or(|current| current >= wanted);
    if enough(now.current) {
        return limits;
    }
    let current = Some(now.maximum.map_or(wanted, |maximum| wanted.min(maximum)));
    let raised = setrlimit(Resource::Nofile, Rlimit { current, maximum: now.maximum });
    let current = if raised.is_ok() { current } else { now.current };
    if enough(current) {
        return limits;
    }
    let connections_max =
        current.map_or(0, |current| current.saturating_sub(OTHER_DESCRIPTORS.min(current / 2)) / 2);
    let connections_max =
        usize::try_from(connections_max).unwrap_or(usize::MAX).clamp(1, limits.connections_max);
    tracing::warn!(
        connections_max,
        "fewer connections at the same time than wanted: the limit of open files is too low"
    );
    Limits { connections_max, ..limits }
}
