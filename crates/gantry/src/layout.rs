//! Names in the state directory: everything that Gantry keeps on disk is found through here.

use std::path::{Path, PathBuf};

/// The longest path that the kernel takes for a unix socket, without its ending zero.
pub const SOCKET_PATH_BYTES_MAX: usize = 107;

/// A state directory (mode 0700, absolute, without symbolic links).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }
    pub fn root(&self) -> &Path {
        &self.root
    }
    /// Held for as long as a supervisor lives; holds its process id.
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }
    /// The records: desired and observed.
    pub fn store(&self) -> PathBuf {
        self.root.join("store.redb")
    }
    /// The access key, made at first start, mode 0600.
    pub fn credentials(&self) -> PathBuf {
        self.root.join("credentials.json")
    }
    /// Blobs, references and unpacked layers.
    pub fn images(&self) -> PathBuf {
        self.root.join("images")
    }
    /// Mirrors, credentials and certificates of registries, written by people.
    pub fn registries(&self) -> PathBuf {
        self.root.join("registries.toml")
    }
    /// What the node agent knows: tasks, containers, spools of output.
    pub fn node(&self) -> PathBuf {
        self.root.join("node")
    }
    /// The load balancer's last known configuration.
    pub fn lb(&self) -> PathBuf {
        self.root.join("lb")
    }
    /// Log groups and their segments, and the log of a server that was started with `--detach`.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }
    pub fn server_log(&self) -> PathBuf {
        self.logs().join("server.log")
    }
    /// Sockets, locks and mounts of the running server.
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }
    /// The validated configuration of the server that was started last.
    pub fn server_config(&self) -> PathBuf {
        self.run().join("server.json")
    }
    /// Where nodes and load balancers connect to `control`.
    pub fn control_socket(&self) -> PathBuf {
        self.run().join("control.sock")
    }
    /// Where the node is asked for commands in its tasks and connections into them.
    pub fn node_socket(&self) -> PathBuf {
        self.run().join("node.sock")
    }
    /// Where a load balancer whose supervisor died offers its sockets.
    pub fn handoff_socket(&self) -> PathBuf {
        self.run().join("handoff.sock")
    }
    /// One network namespace is mounted here for each VPC.
    pub fn netns(&self) -> PathBuf {
        self.run().join("netns")
    }
    /// Held by the process that plays a role, so that a new one begins when the old one has ended.
    pub fn role_lock(&self, role: &str) -> PathBuf {
        self.run().join(format!("{role}.lock"))
    }
    /// Every directory, parents first.
    pub fn directories(&self) -> [PathBuf; 7] {
        [self.root.clone(), self.images(), self.node(), self.lb(), self.logs(), self.run(), self.netns()]
    }
    pub fn sockets(&self) -> [PathBuf; 3] {
        [self.control_socket(), self.handoff_socket(), self.node_socket()]
    }
}
