//! The real shell around the core: one thread owns the state, everything that blocks happens elsewhere.
//!
//! ```text
//!            ToNode                 events                    effects
//! control ══ link ══════> agent ── core::State::step ──> gate ──> works on blocking threads (images, starts, kills, checks)
//!            FromNode <── reports                          │      one worker per VPC (namespace, rules, DNS)
//!                     <── batches ── logs (a thread)       └────> the task's record on disk
//! ```
//! Start: what is on disk and what the runtime and the network find is put together ([`run`]), and everything goes on where it
//! was, with or without `control`.

mod agent;
mod clean;
mod config;
mod container;
mod dispatch;
mod endpoints;
mod exits;
mod gate;
mod image;
mod inquiry;
mod layout;
mod limits;
mod link;
mod local;
mod machine;
mod modes;
mod pull;
mod record;
mod removal;
mod restore;
mod translate;
mod vpc;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use gantry_images::{PullSettings, Puller, Store};
use gantry_link::{Hello, PROTOCOL, Role};
use gantry_network::Vpcs;
use gantry_runtime::Runtime;
use gantry_types::NodeId;

use crate::logs::LogShipper;
use agent::Agent;
pub use clean::remove_all;
pub use config::{NoSocketStore, NodeConfig, NodeError, SocketStore};
use dispatch::Dispatcher;
use endpoints::Endpoints;
use image::ImageSource;
use local::Local;
pub use pull::ImagePullBehavior;
use tokio::sync::mpsc;
use vpc::Networks;
use work::Machine;

/// Runs a node until `stop` is ready. Containers go on afterwards; the next node finds them.
///
/// `ready` is called when everything of a former life was found, before `control` is asked for.
pub fn run(
    config: NodeConfig,
    sockets: Arc<dyn SocketStore>,
    ready: impl FnOnce(),
    stop: impl Future<Output = ()>,
) -> Result<(), NodeError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(limits::BLOCKING_THREADS_MAX)
        .thread_name("work")
        .build()
        .map_err(NodeError::io("start the node's event loop"))?;
    let outcome = runtime.block_on(serve(config, sockets, ready, stop));
    runtime.shutdown_timeout(limits::END_WAIT_MAX);
    outcome
}

async fn serve(
    config: NodeConfig,
    sockets: Arc<dyn SocketStore>,
    ready: impl FnOnce(),
    stop: impl Future<Output = ()>,
) -> Result<(), NodeError> {
    let layout = config.layout();
    for directory in
        [layout.root().to_owned(), layout.tasks(), layout.containers(), layout.spools(), layout.vpcs()]
    {
        record::make_directory(&directory).map_err(NodeError::io(format!("make {}", directory.display())))?;
    }
    let _lock = clean::NodeLock::take(&layout)?;
    let id = match &config.node_id {
        Some(id) => id.clone(),
        None => NodeId::from(record::node_id(&layout).map_err(NodeError::io("keep the node's id"))?),
    };
    let images = Store::open(&config.images_dir)?;
    let machine = Arc::new(Machine {
        runtime: Runtime::new(config.runtime())
            .map_err(NodeError::io("reach the machine's control groups"))?,
        image_source: image_source(&config, &images),
        images,
        namespaces: config.run_dir.join("netns"),
        told: Mutex::new(BTreeSet::new()),
        bridged: Mutex::new(BTreeMap::new()),
        layout: layout.clone(),
    });
    let vpcs = Arc::new(Vpcs::new(config.network()?)?);
    let restoration = restore::restore(&machine, &vpcs)?;
    let known = restoration.vpcs.iter().map(|spec| spec.vpc.clone()).collect();
    vpc::drop_stale_sockets(&*sockets, &known);
    let logs = LogShipper::start().map_err(NodeError::io("start shipping output"))?;
    let (inquirer, inquiries) = inquiry::channel();
    let endpoints = Arc::new(Endpoints::new(inquirer.clone(), machine.clone(), config.api));
    let local = Arc::new(Local::new(inquirer, machine.clone()));
    let local_socket = config.local_socket();
    let listener = local::listen(&*sockets, &local_socket)
        .map_err(NodeError::io(format!("listen at {}", local_socket.display())))?;
    let networks = Arc::new(Networks::new(vpcs.clone(), layout, sockets, endpoints));
    let hello = Hello {
        protocol: PROTOCOL,
        version: config.version.clone(),
        role: Role::Node { id, cpu: machine::cpu(), memory: machine::memory() },
    };
    let (happened, happenings) = mpsc::channel(limits::EVENTS_WAITING_MAX);
    let dispatcher = Dispatcher::new(machine, vpcs, networks, logs, happened);
    let mut agent = Agent::new(dispatcher, happenings, inquiries);
    agent.resume(restoration).await;
    tokio::spawn(local.serve(listener));
    ready();
    agent.run(link::spawn(config.control_socket, hello), stop).await;
    Ok(())
}

fn image_source(config: &NodeConfig, images: &Store) -> ImageSource {
    let settings =
        PullSettings { registries_file: config.registries_file.clone(), ..PullSettings::default() };
    ImageSource {
        store: images.clone(),
        puller: Puller::new(images.clone(), settings),
        behavior: config.image_pull_behavior,
        pause_min: config.image_pull_pause_min,
    }
}

/// Runs what blocks on a thread of its own.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The node ends: nothing waits for the outcome any more.
            Err(_) => std::future::pending().await,
        },
    }
}
