//! One core's part of the work: a thread with a runtime of its own, its listening sockets and its connections.

use std::collections::HashMap;
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

use arc_swap::ArcSwap;
use gantry_types::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::buffer::SpareBuffers;
use crate::connection::Connection;
use crate::limits::{ACCEPT_PAUSE, Limits, REGULAR_INTERVAL};
use crate::outbound::Sockets;
use crate::registry::SocketId;
use crate::rewrite::Randomness;
use crate::table::Table;

/// What all shards share.
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) sockets: Sockets,
    pub(crate) table: ArcSwap<Table>,
    pub(crate) clock: Clock,
    pub(crate) stop: StopPhase,
    pub(crate) connections: Connections,
}

/// The machine's clock at the start, and time that only goes forward since.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    origin: Instant,
    wall: Timestamp,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { origin: Instant::now(), wall: Timestamp::now() }
    }
    pub(crate) fn now(&self) -> Timestamp {
        self.wall + self.origin.elapsed()
    }
    /// The instant of a time; the past is now.
    pub(crate) fn instant(&self, at: Timestamp) -> Instant {
        self.origin + at.since(self.wall)
    }
}

/// How far the process is with stopping.
#[derive(Debug, Default)]
pub(crate) struct StopPhase(AtomicU8);

impl StopPhase {
    /// Connections are told to close with their next response.
    pub(crate) fn begin(&self) {
        self.0.fetch_max(1, Ordering::AcqRel);
    }
    /// Idle connections close now.
    pub(crate) fn close_idle(&self) {
        self.0.fetch_max(2, Ordering::AcqRel);
    }
    pub(crate) fn has_begun(&self) -> bool {
        self.0.load(Ordering::Acquire) >= 1
    }
    pub(crate) fn closes_idle(&self) -> bool {
        self.0.load(Ordering::Acquire) >= 2
    }
}

/// Clients' connections of all shards.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    open: AtomicUsize,
    /// Fires when one has closed.
    pub(crate) closed: Notify,
}

impl Connections {
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }
}

/// A connection's place among them.
pub(crate) struct Counted(Arc<Shared>);

impl Counted {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.connections.open.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(shared))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.open.fetch_sub(1, Ordering::AcqRel);
        self.0.connections.closed.notify_waiters();
    }
}

/// What a connection needs of its shard.
pub(crate) struct Shard {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) spare: SpareBuffers,
    random: Mutex<Randomness>,
    wakers: Mutex<HashMap<u64, Waker>>,
    next_connection: AtomicU64,
}

impl Shard {
    fn new(index: usize, shared: Arc<Shared>, seed: u64) -> Self {
        Self {
            index,
            shared,
            spare: SpareBuffers::default(),
            random: Mutex::new(Randomness::from_seed(seed)),
            wakers: Mutex::default(),
            next_connection: AtomicU64::new(0),
        }
    }

    pub(crate) fn with_random<T>(&self, draw: impl FnOnce(&mut Randomness) -> T) -> T {
        draw(&mut self.random.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Remembers how to wake a connection's task, until the guard is dropped.
    pub(crate) fn register(self: &Arc<Self>, waker: Waker) -> Registered {
        let id = self.next_connection.fetch_add(1, Ordering::Relaxed);
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner).insert(id, waker);
        Registered { shard: Arc::clone(self), id }
    }

    /// Has every connection look around: a target was cut, or the process stops.
    fn wake_all(&self) {
        for waker in self.wakers.lock().unwrap_or_else(PoisonError::into_inner).values() {
            waker.wake_by_ref();
        }
    }
}

/// A connection's place among the shard's wakers.
pub(crate) struct Registered {
    shard: Arc<Shard>,
    id: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.shard.wakers.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

/// What the shell tells a shard.
#[derive(Debug)]
pub(crate) enum Order {
    Listen {
        socket: SocketId,
        side: Side,
        listener: std::net::TcpListener,
    },
    /// Closes the shard's descriptors of a socket.
    Unlisten(SocketId),
    WakeAll,
}

/// Where a listening socket's clients are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Inside the VPC, which has judged them by its security groups.
    Inside,
    /// Outside: the load balancer's own groups judge them.
    Outside,
}

/// Runs a shard on this thread until its orders end.
pub(crate) fn run_shard(
    index: usize,
    shared: Arc<Shared>,
    seed: u64,
    mut orders: mpsc::Receiver<Order>,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let shard = Arc::new(Shard::new(index, shared, seed));
    runtime.block_on(async {
        let sweeper = tokio::spawn(sweep(Arc::clone(&shard)));
        let mut accepting: HashMap<SocketId, Vec<JoinHandle<()>>> = HashMap::new();
        while let Some(order) = orders.recv().await {
            match order {
                Order::Listen { socket, side, listener } => match TcpListener::from_std(listener) {
                    Ok(listener) => {
                        let task = tokio::spawn(accept(Arc::clone(&shard), socket, side, listener));
                        accepting.entry(socket).or_default().push(task);
                    }
                    Err(error) => tracing::error!(%error, "a listening socket cannot be polled"),
                },
                Order::Unlisten(socket) => {
                    for task in accepting.remove(&socket).into_iter().flatten() {
                        task.abort();
                    }
                }
                Order::WakeAll => shard.wake_all(),
            }
        }
        sweeper.abort();
    });
    Ok(())
}

/// Closes idle connections to targets that are too old.
async fn sweep(shard: Arc<Shard>) {
    let mut ticks = tokio::time::interval(REGULAR_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let table = shard.shared.table.load_full();
        for target in table.groups().flat_map(|group| group.targets()) {
            target.runtime.sweep(shard.index, shard.shared.limits.pool_idle_max);
        }
    }
}

async fn accept(shard: Arc<Shard>, socket: SocketId, side: Side, listener: TcpListener) {
    let shared = &shard.shared;
    loop {
        while shared.connections.open() >= shared.limits.connections_max {
            let closed = shared.connections.closed.notified();
            if shared.connections.open() >= shared.limits.connections_max {
                closed.await;
            }
        }
        match listener.accept().await {
            Ok((stream, SocketAddr::V4(peer))) => admit(&shard, socket, side, stream, peer),
            Ok((_, SocketAddr::V6(_))) => {}
            Err(error) => {
                // One connection that ended before it was accepted is no reason to wait; a lack of descriptors is.
                tracing::debug!(%error, "accepting a connection failed");
                if !is_about_one_connection(&error) {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

fn is_about_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

fn admit(shard: &Arc<Shard>, socket: SocketId, side: Side, stream: TcpStream, peer: SocketAddrV4) {
    let table = shard.shared.table.load();
    let listener = table.own_listener(socket);
    if let Some(listener) = listener
        && side == Side::Outside
        && !listener.balancer.lets_in(*peer.ip(), listener.port)
    {
        listener.balancer.counters.at(shard.index).connections_rejected.add(1);
        return;
    }
    let listener = listener.cloned();
    // A connection that cannot be told to send at once is served as well, only slower.
    let _ = stream.set_nodelay(true);
    let counted = Counted::new(&shard.shared);
    let connection = Connection::new(Arc::clone(shard), socket, side, listener, stream, peer);
    tokio::spawn(async move {
        connection.serve().await;
        drop(counted);
    });
}
