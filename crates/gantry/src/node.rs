//! The `node` child: the agent that runs this machine's containers.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use gantry_node::shell::{NodeConfig, SocketStore};

use crate::config::ServerConfig;
use crate::descriptors::Client;
use crate::roles::{Child, stopped};

/// Runs until the supervisor ends it or is gone. Containers go on either way.
pub(crate) fn run(child: &Child) -> Result<(), String> {
    let sockets = Arc::new(KeptBySupervisor(child.descriptors.clone()));
    let ready = || {
        if let Err(error) = child.descriptors.ready() {
            tracing::warn!("{error}");
        }
    };
    let stop = async {
        match child.stop_signal() {
            Ok(mut stop) => {
                stopped(&mut stop).await;
            }
            Err(error) => tracing::error!("listening to signals: {error}"),
        }
    };
    gantry_node::shell::run(config(&child.config), sockets, ready, stop).map_err(|error| error.to_string())
}

/// The node of a server: also what `gantry clean` removes.
pub(crate) fn config(server: &ServerConfig) -> NodeConfig {
    let layout = server.layout();
    let config = NodeConfig::new(
        layout.node(),
        layout.run(),
        layout.images(),
        layout.control_socket(),
        &server.instance,
    );
    NodeConfig {
        api: Some(server.reachable()),
        image_pull_behavior: server.image_pull_behavior,
        registries_file: server.registry_config.clone(),
        ..config
    }
}

/// The sockets of the VPCs' DNS outlive this process.
struct KeptBySupervisor(Arc<Client>);

impl SocketStore for KeptBySupervisor {
    fn take(&self, name: &str) -> Option<Vec<OwnedFd>> {
        self.0.get(name).unwrap_or_else(|error| {
            // Made anew, then: questions that wait in the old ones are lost, no more.
            tracing::warn!("taking {name} back: {error}");
            None
        })
    }
    fn put(&self, name: &str, sockets: &[OwnedFd]) -> io::Result<()> {
        let sockets: Vec<_> = sockets.iter().map(|socket| socket.as_fd()).collect();
        self.0.put(name, &sockets).map_err(io::Error::other)
    }
    fn remove(&self, name: &str) {
        if let Err(error) = self.0.remove(name) {
            tracing::debug!("removing {name}: {error}");
        }
    }
    fn names(&self) -> Vec<String> {
        self.0.list().unwrap_or_default()
    }
}
