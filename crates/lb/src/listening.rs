//! The listening sockets: those that the state wants are open, in every shard, and kept in the store.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd as _, OwnedFd};

use gantry_domain::elb::ListenerProtocol;
use gantry_types::{Arn, VpcId};
use tokio::sync::mpsc;

use crate::core::{Event, SocketSpec, State};
use crate::outbound::Sockets;
use crate::registry::{Registry, SocketId};
use crate::shard::{Order, Side};
use crate::store::SocketStore;

/// The store's names of ours begin so.
const PREFIX: &str = "lb/";

pub(crate) struct Listening {
    store: Box<dyn SocketStore>,
    shards: Vec<mpsc::Sender<Order>>,
    open: BTreeMap<String, Open>,
    /// Why a wanted socket is not open.
    failed: BTreeMap<String, String>,
}

struct Open {
    id: SocketId,
    address: SocketAddrV4,
    vpc: Option<VpcId>,
}

impl Listening {
    pub(crate) fn new(store: Box<dyn SocketStore>, shards: Vec<mpsc::Sender<Order>>) -> Self {
        Self { store, shards, open: BTreeMap::new(), failed: BTreeMap::new() }
    }

    /// Opens and closes what is needed, and gives the listeners' status.
    pub(crate) async fn follow(
        &mut self,
        wanted: &BTreeMap<String, SocketSpec>,
        sockets: &Sockets,
        registry: &mut Registry,
        state: &State,
    ) -> Vec<Event> {
        let stale: Vec<String> = self
            .open
            .iter()
            .filter(|(name, open)| {
                wanted.get(*name).is_none_or(|spec| (spec.address, &spec.vpc) != (open.address, &open.vpc))
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in stale {
            self.close(&name).await;
        }
        self.failed.clear();
        for (name, spec) in wanted {
            if self.open.contains_key(name) {
                continue;
            }
            let id = registry.socket(name);
            match self.open(name, spec, id, sockets).await {
                Ok(()) => {
                    self.open.insert(name.clone(), Open { id, address: spec.address, vpc: spec.vpc.clone() });
                }
                Err(error) => {
                    self.failed.insert(name.clone(), format!("listening on {}: {error}", spec.address));
                }
            }
        }
        self.status(wanted, state)
    }

    /// Whether some wanted socket is not open.
    pub(crate) fn has_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    /// Closes every socket of these VPCs: their namespaces are gone.
    pub(crate) async fn close_vpcs(&mut self, vpcs: &[VpcId]) {
        let inside = |open: &Open| open.vpc.as_ref().is_some_and(|vpc| vpcs.contains(vpc));
        let names: Vec<String> =
            self.open.iter().filter(|(_, open)| inside(open)).map(|(name, _)| name.clone()).collect();
        for name in names {
            self.close(&name).await;
        }
    }

    /// Removes what the store keeps for listeners that are no more. Only once `control` has said what there is.
    pub(crate) fn clean_store(&mut self, wanted: &BTreeMap<String, SocketSpec>) {
        let names = self.store.list(PREFIX).unwrap_or_else(|error| {
            tracing::warn!(%error, "the descriptor store cannot be listed");
            Vec::new()
        });
        for name in names.iter().filter(|name| !wanted.contains_key(*name)) {
            self.forget(name);
        }
    }

    /// Closes this process's descriptors and leaves the store's: the next process accepts.
    pub(crate) async fn let_go(&mut self) {
        for (_, open) in std::mem::take(&mut self.open) {
            self.order_all(|| Order::Unlisten(open.id)).await;
        }
    }

    async fn close(&mut self, name: &str) {
        if let Some(open) = self.open.remove(name) {
            self.order_all(|| Order::Unlisten(open.id)).await;
        }
        self.forget(name);
    }

    fn forget(&mut self, name: &str) {
        if let Err(error) = self.store.remove(name) {
            tracing::warn!(%error, name, "the descriptor store does not let go of a socket");
        }
    }

    async fn open(
        &mut self,
        name: &str,
        spec: &SocketSpec,
        id: SocketId,
        sockets: &Sockets,
    ) -> std::io::Result<()> {
        let kept = self.store.get(name).unwrap_or_else(|error| {
            tracing::warn!(%error, name, "the descriptor store cannot be asked");
            Vec::new()
        });
        let mut listeners: Vec<std::net::TcpListener> = kept
            .into_iter()
            .map(std::net::TcpListener::from)
            .filter(|kept| is_at(kept, spec.address))
            .collect();
        if listeners.is_empty() {
            let made = sockets.listen(spec.vpc.as_ref(), spec.address, self.shards.len())?;
            let descriptors: Vec<_> = made.iter().map(OwnedFd::as_fd).collect();
            if let Err(error) = self.store.put(name, &descriptors) {
                tracing::warn!(%error, name, "the descriptor store does not take a socket; a restart will reset connections");
            }
            listeners = made.into_iter().map(std::net::TcpListener::from).collect();
        }
        let side = if spec.vpc.is_some() { Side::Inside } else { Side::Outside };
        // Every socket is polled, and every shard polls one, whatever their numbers.
        for index in 0..listeners.len().max(self.shards.len()) {
            let listener = listeners[index % listeners.len()].try_clone()?;
            listener.set_nonblocking(true)?;
            let shard = &self.shards[index % self.shards.len()];
            let _ = shard.send(Order::Listen { socket: id, side, listener }).await;
        }
        Ok(())
    }

    async fn order_all(&self, order: impl Fn() -> Order) {
        for shard in &self.shards {
            // A shard that has ended holds no sockets.
            let _ = shard.send(order()).await;
        }
    }

    fn status(&self, wanted: &BTreeMap<String, SocketSpec>, state: &State) -> Vec<Event> {
        let mut errors: BTreeMap<Arn, BTreeSet<String>> = BTreeMap::new();
        for (name, error) in &self.failed {
            for listener in wanted.get(name).into_iter().flat_map(|spec| spec.purpose.listeners()) {
                errors.entry(listener.clone()).or_default().insert(error.clone());
            }
        }
        let listeners = state.load_balancers().flat_map(|config| &config.listeners);
        let status = listeners.map(|config| {
            let listener = &config.listener;
            let error = match listener.protocol {
                ListenerProtocol::Http => errors
                    .get(&listener.arn)
                    .map(|errors| errors.iter().map(String::as_str).collect::<Vec<_>>().join("; ")),
                ListenerProtocol::Https => Some("HTTPS listeners are not served by this version".to_owned()),
            };
            Event::ListenerStatus { listener: listener.arn.clone(), error }
        });
        status.collect()
    }
}

fn is_at(listener: &std::net::TcpListener, address: SocketAddrV4) -> bool {
    listener.local_addr().is_ok_and(|local| local == SocketAddr::V4(address))
}
