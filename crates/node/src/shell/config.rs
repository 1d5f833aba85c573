//! What a node is started with.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use gantry_network::{Instance, Ipv4Cidr, NameError, NetworkConfig, NetworkError, UPLINK_RANGE_DEFAULT};
use gantry_runtime::RuntimeConfig;
use gantry_types::NodeId;

use super::layout::Layout;
use super::limits::PULL_PAUSE_MIN;
use super::pull::ImagePullBehavior;

/// The configuration of one node. Two nodes on one machine need different directories and instances.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Tasks, containers, their output: everything that outlives the process. Absolute, mode 0700, not on an overlay.
    pub node_dir: PathBuf,
    /// Network namespaces are mounted in `netns` below it.
    pub run_dir: PathBuf,
    pub images_dir: PathBuf,
    /// Where `control` listens.
    pub control_socket: PathBuf,
    /// Tells apart what several installations make outside their directories: letters and digits.
    pub instance: String,
    /// `None`: made at the first start, and kept.
    pub node_id: Option<NodeId>,
    /// Of the program, for `control`.
    pub version: String,
    /// The program and first arguments whose `main` calls [`gantry_runtime::shim_main`] with [`crate::output::open`].
    pub shim_command: Vec<OsString>,
    /// The same for [`gantry_runtime::exec_main`].
    pub exec_command: Vec<OsString>,
    /// The version 2 hierarchy to use; `None` takes what limits this machine's processes.
    pub cgroup_root: Option<PathBuf>,
    pub image_pull_behavior: ImagePullBehavior,
    /// Mirrors, credentials and certificates of registries; need not exist.
    pub registries_file: Option<PathBuf>,
    /// Before a pull that failed is tried again; doubled each time.
    pub image_pull_pause_min: Duration,
    /// Where the AWS APIs are answered on this machine; tasks are led there. `None`: nowhere.
    pub api: Option<SocketAddr>,
    /// Address pairs between VPCs and the host come from here.
    pub uplink_range: Ipv4Cidr,
}

impl NodeConfig {
    /// A node whose program is this one, re-executed with the words `shim` and `exec-shim`.
    pub fn new(
        node_dir: PathBuf,
        run_dir: PathBuf,
        images_dir: PathBuf,
        control_socket: PathBuf,
        instance: &str,
    ) -> Self {
        let itself = |word: &str| vec![OsString::from("/proc/self/exe"), OsString::from(word)];
        Self {
            node_dir,
            run_dir,
            images_dir,
            control_socket,
            instance: instance.to_owned(),
            node_id: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            shim_command: itself("shim"),
            exec_command: itself("exec-shim"),
            cgroup_root: None,
            image_pull_behavior: ImagePullBehavior::default(),
            registries_file: None,
            image_pull_pause_min: PULL_PAUSE_MIN,
            api: None,
            uplink_range: UPLINK_RANGE_DEFAULT,
        }
    }

    /// Where people on this machine ask the node: [`crate::local::Client`].
    pub fn local_socket(&self) -> PathBuf {
        self.run_dir.join("node.sock")
    }

    pub(super) fn layout(&self) -> Layout {
        Layout::new(self.node_dir.clone())
    }

    pub(super) fn runtime(&self) -> RuntimeConfig {
        RuntimeConfig {
            state_directory: self.layout().containers(),
            cgroup_parent: format!("gantry-{}", self.instance),
            cgroup_root: self.cgroup_root.clone(),
            shim_command: self.shim_command.clone(),
            exec_command: self.exec_command.clone(),
        }
    }

    pub(super) fn network(&self) -> Result<NetworkConfig, NameError> {
        // A link's name has room for six of its characters.
        let short: String = self.instance.chars().take(6).collect();
        Ok(NetworkConfig {
            run_dir: self.run_dir.clone(),
            instance: Instance::new(&short)?,
            uplink_range: self.uplink_range,
        })
    }
}

/// Keeps sockets by name beyond the life of this process, so that questions to a VPC's DNS and connections to its tasks'
/// endpoints wait for the next one instead of being lost. Calls may block for a moment and come from any thread.
pub trait SocketStore: Send + Sync {
    /// What an earlier process put under this name.
    fn take(&self, name: &str) -> Option<Vec<OwnedFd>>;
    fn put(&self, name: &str, sockets: &[OwnedFd]) -> io::Result<()>;
    fn remove(&self, name: &str);
    fn names(&self) -> Vec<String>;
}

/// Where nobody outlives the node.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSocketStore;

impl SocketStore for NoSocketStore {
    fn take(&self, _: &str) -> Option<Vec<OwnedFd>> {
        None
    }
    fn put(&self, _: &str, _: &[OwnedFd]) -> io::Result<()> {
        Ok(())
    }
    fn remove(&self, _: &str) {}
    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Why a node cannot run.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error("another node uses {path}")]
    InUse { path: PathBuf },
    #[error("could not {attempted}: {source}")]
    Io { attempted: String, source: io::Error },
    #[error("the images: {0}")]
    Images(#[from] gantry_images::StoreError),
    #[error("the network: {0}")]
    Network(#[from] NetworkError),
    #[error("the network: {0}")]
    Name(#[from] NameError),
    #[error("removing containers: {0}")]
    Delete(#[from] gantry_runtime::DeleteError),
}

impl NodeError {
    pub(super) fn io(attempted: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let attempted = attempted.into();
        move |source| Self::Io { attempted, source }
    }
}
