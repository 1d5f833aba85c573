//! What tasks find at `169.254.170.2`: who they are, what their role calls AWS's APIs with, and the way to those APIs.
//!
//! ```text
//! task ── :80 ───> route ── the task that the peer's address belongs to ──> document, stats, credentials
//!      ── :4566 ─> relay ── bytes ──> control's listener on the host
//! ```
//! The listening sockets are in the VPC's namespace and outlive this process in its supervisor's descriptor store.
//!
//! Invariants:
//! - Who asks is told by the source address, which the VPC pins to the task's interface. A path alone opens nothing: it has to
//!   name something of a task that is behind that address.
//! - Tasks that share their instance's address are told apart by names that cannot be guessed.
//! - Nothing is kept: documents are made of the core's state, credentials of the task's key and the time.

mod answer;
mod document;
mod http;
mod relay;
mod route;
mod stats;
mod variables;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use gantry_network::{CREDENTIALS_ADDRESS, NamespaceSockets};
use gantry_types::VpcId;
use tokio::task::JoinHandle;

use super::config::SocketStore;
use super::inquiry::Inquirer;
use super::work::Machine;
use crate::core::TaskState;
use stats::Samples;
pub(super) use variables::offered;

/// Of metadata and credentials: AWS's.
const METADATA_PORT: u16 = 80;
/// Of the AWS APIs, the same in every task whatever the server listens on outside.
const API_PORT: u16 = 4566;

/// What all VPCs' endpoints answer from.
pub(super) struct Endpoints {
    inquirer: Inquirer,
    machine: Arc<Machine>,
    samples: Samples,
    /// Where the AWS APIs are answered on the host.
    api: Option<SocketAddr>,
}

/// The listening sockets of one VPC.
#[derive(Debug)]
pub(super) struct EndpointSockets {
    metadata: TcpListener,
    api: TcpListener,
}

/// Whoever connected, as the VPC vouches for it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Peer {
    vpc: VpcId,
    address: Ipv4Addr,
}

impl Endpoints {
    pub(super) fn new(inquirer: Inquirer, machine: Arc<Machine>, api: Option<SocketAddr>) -> Self {
        Self { inquirer, machine, samples: Samples::default(), api }
    }

    /// Answers in one VPC until the handle is aborted, which closes every connection.
    pub(super) fn serve(self: &Arc<Self>, vpc: VpcId, sockets: EndpointSockets) -> JoinHandle<()> {
        let endpoints = self.clone();
        tokio::spawn(async move {
            let metadata = http::serve(sockets.metadata, endpoints.clone(), vpc.clone());
            let outcome = match endpoints.api {
                Some(api) => tokio::try_join!(metadata, relay::serve(sockets.api, api)).map(drop),
                None => metadata.await,
            };
            if let Err(error) = outcome {
                tracing::error!(%vpc, "its tasks' endpoints have ended: {error}");
            }
        })
    }
}

impl EndpointSockets {
    /// Those of an earlier process, with whatever waits in them, or new ones. Blocks.
    pub(super) fn open(store: &dyn SocketStore, vpc: &VpcId, namespace: &Path) -> io::Result<Self> {
        let name = socket_name(vpc);
        if let Some(Ok([metadata, api])) = store.take(&name).map(<[OwnedFd; 2]>::try_from) {
            return Ok(Self { metadata: metadata.into(), api: api.into() });
        }
        let inside = NamespaceSockets::open(namespace)?;
        let listen = |port| inside.tcp_listener(SocketAddrV4::new(CREDENTIALS_ADDRESS, port));
        let (metadata, api) = (listen(METADATA_PORT)?, listen(API_PORT)?);
        if let Err(error) = store.put(&name, &[metadata.try_clone()?.into(), api.try_clone()?.into()]) {
            tracing::warn!("{name} does not outlive this process: {error}");
        }
        Ok(Self { metadata, api })
    }
}

pub(super) const SOCKET_PREFIX: &str = "endpoints-";

pub(super) fn socket_name(vpc: &VpcId) -> String {
    format!("{SOCKET_PREFIX}{vpc}")
}

impl Peer {
    /// The task is behind this peer's address.
    fn is(&self, task: &TaskState) -> bool {
        let uplink = task.spec.uplink();
        uplink.is_some_and(|interface| interface.vpc == self.vpc && interface.address == self.address)
    }
}
