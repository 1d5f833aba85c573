//! The `lb` child: the data plane, its sockets in the supervisor's store, and its life after the supervisor's death.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use gantry_lb::{Config, Handle, Limits, Network, SocketStore};
use gantry_types::NodeId;
use nix::sys::signal::{SigSet, Signal};

use crate::descriptors::handoff::Offers;
use crate::descriptors::{Client, StoreError};
use crate::roles::Child;

/// A balancer takes its sockets and its last known state up within this.
const READY_WAIT_MAX: Duration = Duration::from_secs(30);

/// Runs until it is told to end. When the supervisor dies it serves on, until the next one's balancer has taken its sockets.
pub(crate) fn run(child: &Child) -> Result<(), String> {
    // Before there are threads, so that all of them leave the signal to the one that waits for it.
    let mut terminate = SigSet::empty();
    terminate.add(Signal::SIGTERM);
    terminate.thread_block().map_err(|error| format!("blocking SIGTERM: {error}"))?;

    let (handle, commands) = Handle::new();
    let path = child.layout.handoff_socket();
    let offers =
        Offers::listen(&path).map_err(|error| format!("listening at {}: {error}", path.display()))?;
    thread("lb-signals", {
        let handle = handle.clone();
        move || {
            let _ = terminate.wait();
            handle.stop();
        }
    })?;
    thread("lb-handoff", {
        let (handle, descriptors) = (handle.clone(), child.descriptors.clone());
        move || match offers.serve(&descriptors) {
            Ok(()) => {
                tracing::info!("the next load balancer serves; this one finishes what is in flight");
                handle.stop();
            }
            // It goes on serving; the next start then does without its sockets.
            Err(error) => tracing::error!("offering sockets to the next supervisor: {error}"),
        }
    })?;
    thread("lb-ready", {
        let (handle, descriptors) = (handle.clone(), child.descriptors.clone());
        move || {
            // An answer comes when the kept state is taken up and its sockets are polled.
            if handle.snapshot(READY_WAIT_MAX).is_some()
                && let Err(error) = descriptors.ready()
            {
                tracing::warn!("{error}");
            }
        }
    })?;
    let store = KeptBySupervisor(child.descriptors.clone());
    gantry_lb::run(&config(child), Box::new(store), commands).map_err(|error| error.to_string())
}

fn config(child: &Child) -> Config {
    Config {
        id: NodeId::new(format!("lb-{}", child.config.instance)),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        shards: std::thread::available_parallelism().map_or(1, usize::from),
        network: Network::Namespaces(child.layout.netns()),
        shared_address: match child.config.lb_address {
            std::net::IpAddr::V4(address) => Some(address),
            std::net::IpAddr::V6(_) => None,
        },
        state_directory: Some(child.layout.lb()),
        control_socket: child.layout.control_socket(),
        limits: Limits::default(),
    }
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let started = std::thread::Builder::new().name(name.to_owned()).stack_size(256 << 10).spawn(work);
    started.map(drop).map_err(|error| format!("starting the thread {name}: {error}"))
}

/// Sockets that outlive this process. Without a supervisor they are kept for the next one.
struct KeptBySupervisor(Arc<Client>);

impl SocketStore for KeptBySupervisor {
    fn get(&mut self, name: &str) -> io::Result<Vec<OwnedFd>> {
        self.0.get(name).map(Option::unwrap_or_default).map_err(io::Error::other)
    }
    fn put(&mut self, name: &str, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        match self.0.put(name, descriptors) {
            Ok(()) | Err(StoreError::Gone) => Ok(()),
            Err(error) => Err(io::Error::other(error)),
        }
    }
    fn remove(&mut self, name: &str) -> io::Result<()> {
        match self.0.remove(name) {
            Ok(()) | Err(StoreError::Gone) => Ok(()),
            Err(error) => Err(io::Error::other(error)),
        }
    }
    fn list(&mut self, prefix: &str) -> io::Result<Vec<String>> {
        let mut names = self.0.list().map_err(io::Error::other)?;
        names.retain(|name| name.starts_with(prefix));
        Ok(names)
    }
}
