//! The VPCs of this machine: a worker each, which brings the kernel and the VPC's DNS in line with what `control` last said.
//!
//! Whole states replace each other: a worker that is behind skips to the latest. An interface may be made as soon as its VPC
//! exists, beside the work on its rules; its task waits for both.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gantry_domain::assignment::{InterfaceSpec, TaskSpec, VpcSpec};
use gantry_network::dns::{self, Upstreams, Zone};
use gantry_network::{NamespaceSockets, VpcConfig, Vpcs};
use gantry_types::{NetworkInterfaceId, VpcId};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::blocking;
use super::config::SocketStore;
use super::endpoints::{self, EndpointSockets, Endpoints};
use super::layout::Layout;
use super::limits::{NETWORK_WAIT_MAX, VPC_RETRY_PAUSE_MAX, VPC_RETRY_PAUSE_MIN};
use super::modes;
use super::record;
use super::translate::{interface_config, security, vpc_config, zone};

const DNS_PORT: u16 = 53;

pub(super) struct Networks {
    tools: Arc<Tools>,
    workers: Mutex<BTreeMap<VpcId, Worker>>,
}

struct Tools {
    vpcs: Arc<Vpcs>,
    layout: Layout,
    sockets: Arc<dyn SocketStore>,
    upstreams: Arc<Upstreams>,
    endpoints: Arc<Endpoints>,
}

struct Worker {
    wanted: watch::Sender<Wanted>,
    applied: watch::Receiver<Applied>,
}

#[derive(Clone, Default)]
struct Wanted {
    generation: u64,
    /// `None`: the VPC goes.
    spec: Option<Arc<VpcSpec>>,
}

/// How far the worker has come.
#[derive(Clone, Default, Debug)]
struct Applied {
    generation: u64,
    /// Interfaces can be made.
    exists: bool,
    error: Option<String>,
}

impl Networks {
    pub(super) fn new(
        vpcs: Arc<Vpcs>,
        layout: Layout,
        sockets: Arc<dyn SocketStore>,
        endpoints: Arc<Endpoints>,
    ) -> Self {
        let upstreams = Arc::new(Upstreams::of_host());
        let tools = Arc::new(Tools { vpcs, layout, sockets, upstreams, endpoints });
        Self { tools, workers: Mutex::default() }
    }

    /// Makes the VPC so, sooner or later.
    pub(super) fn put(&self, spec: VpcSpec) {
        let id = spec.vpc.clone();
        let mut workers = self.workers();
        let worker = workers.entry(id.clone()).or_insert_with(|| self.start(id));
        worker.want(Some(Arc::new(spec)));
    }

    /// Takes the VPC away, sooner or later.
    pub(super) fn remove(&self, id: &VpcId) {
        if let Some(worker) = self.workers().get(id) {
            worker.want(None);
        }
    }

    /// Makes the interface; returns when packets get through as the VPC's latest rules say. The error is a sentence.
    pub(super) async fn attach(&self, interface: &InterfaceSpec) -> Result<(), String> {
        let config = interface_config(interface).map_err(|error| error.to_string())?;
        let (generation, mut applied) = {
            let workers = self.workers();
            let worker = workers
                .get(&interface.vpc)
                .ok_or_else(|| format!("{} is not on this machine", interface.vpc))?;
            (worker.wanted.borrow().generation, worker.applied.clone())
        };
        let vpcs = self.tools.vpcs.clone();
        let attached = async move {
            let ended = |_| "the node ends".to_owned();
            let failed = |applied: &Applied| applied.generation >= generation && applied.error.is_some();
            applied.wait_for(|applied| applied.exists || failed(applied)).await.map_err(ended)?;
            if !failed(&applied.borrow()) {
                blocking(move || vpcs.add_interface(&config)).await.map_err(|error| error.to_string())?;
            }
            let state = applied.wait_for(|applied| applied.generation >= generation).await.map_err(ended)?;
            state.error.clone().map_or(Ok(()), Err)
        };
        timeout(NETWORK_WAIT_MAX, attached).await.unwrap_or_else(|_| {
            Err(format!("{} was not ready within {} s", interface.vpc, NETWORK_WAIT_MAX.as_secs()))
        })
    }

    /// Makes the namespaces of a task's containers, where they have their own, and says their addresses.
    pub(super) async fn connect(&self, spec: Arc<TaskSpec>) -> Result<Vec<(String, Ipv4Addr)>, String> {
        let vpcs = self.tools.vpcs.clone();
        blocking(move || modes::connect(&vpcs, &spec)).await
    }

    fn start(&self, id: VpcId) -> Worker {
        let (wanted, wanted_receiver) = watch::channel(Wanted::default());
        let (applied_sender, applied) = watch::channel(Applied::default());
        tokio::spawn(run(self.tools.clone(), id, wanted_receiver, applied_sender));
        Worker { wanted, applied }
    }

    fn workers(&self) -> MutexGuard<'_, BTreeMap<VpcId, Worker>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Worker {
    fn want(&self, spec: Option<Arc<VpcSpec>>) {
        self.wanted.send_modify(|wanted| {
            wanted.generation += 1;
            wanted.spec = spec;
        });
    }
}

/// What a worker has made.
#[derive(Default)]
struct Made {
    config: Option<VpcConfig>,
    dns: Option<Dns>,
    endpoints: Option<JoinHandle<()>>,
    /// Instances' interfaces, which go when the VPC has them no more.
    instances: BTreeSet<NetworkInterfaceId>,
}

struct Dns {
    zone: watch::Sender<Arc<Zone>>,
    server: JoinHandle<()>,
}

async fn run(
    tools: Arc<Tools>,
    id: VpcId,
    mut wanted: watch::Receiver<Wanted>,
    applied: watch::Sender<Applied>,
) {
    let mut made = Made::default();
    let mut pause = VPC_RETRY_PAUSE_MIN;
    // The first state was wanted before the worker ran.
    wanted.mark_changed();
    while wanted.changed().await.is_ok() {
        loop {
            let Wanted { generation, spec } = wanted.borrow_and_update().clone();
            let outcome = match &spec {
                Some(spec) => tools.make(spec, &mut made, &applied).await,
                None => tools.take_away(&id, &mut made, &applied).await,
            };
            let error = outcome.err();
            if let Some(error) = &error {
                tracing::error!(vpc = %id, "the VPC is not as it should be: {error}");
            }
            let failed = error.is_some();
            applied.send_modify(|applied| {
                applied.generation = generation;
                applied.error = error;
            });
            // A newer state is kept in its place.
            if let Some(spec) = spec.filter(|_| !wanted.has_changed().unwrap_or(false)) {
                tools.keep(spec).await;
            }
            if !failed {
                pause = VPC_RETRY_PAUSE_MIN;
                break;
            }
            tokio::select! {
                () = sleep(pause) => {}
                changed = wanted.changed() => if changed.is_err() { return },
            }
            pause = (pause * 2).min(VPC_RETRY_PAUSE_MAX);
        }
    }
}

impl Tools {
    async fn make(
        &self,
        spec: &Arc<VpcSpec>,
        made: &mut Made,
        applied: &watch::Sender<Applied>,
    ) -> Result<(), String> {
        let config = vpc_config(spec);
        if made.config.as_ref() != Some(&config) {
            let (vpcs, wanted) = (self.vpcs.clone(), config.clone());
            blocking(move || vpcs.ensure_vpc(&wanted)).await.map_err(|error| error.to_string())?;
            made.config = Some(config);
        }
        applied.send_if_modified(|applied| !std::mem::replace(&mut applied.exists, true));
        self.serve_names(spec, made).await?;
        self.serve_endpoints(&spec.vpc, made).await?;
        let (vpcs, wanted) = (self.vpcs.clone(), spec.clone());
        let secure = move || vpcs.set_security(&wanted.vpc, security(&wanted));
        blocking(secure).await.map_err(|error| error.to_string())?;
        self.remove_instances(spec, made).await
    }

    /// Takes away the interfaces of instances that are no more. Their tasks have ended before.
    async fn remove_instances(&self, spec: &Arc<VpcSpec>, made: &mut Made) -> Result<(), String> {
        let present = instances(spec);
        let gone: Vec<NetworkInterfaceId> = made.instances.difference(&present).cloned().collect();
        made.instances.extend(present);
        for interface in gone {
            let (vpcs, vpc, id) = (self.vpcs.clone(), spec.vpc.clone(), interface.clone());
            let remove = move || vpcs.remove_interface(&vpc, &id);
            blocking(remove).await.map_err(|error| error.to_string())?;
            made.instances.remove(&interface);
        }
        Ok(())
    }

    async fn serve_names(&self, spec: &Arc<VpcSpec>, made: &mut Made) -> Result<(), String> {
        let names = spec.clone();
        let zone = match blocking(move || Zone::new(zone(&names))).await {
            Ok(zone) => Arc::new(zone),
            Err(error) => {
                tracing::error!(vpc = %spec.vpc, "its DNS keeps the names that it had: {error}");
                return Ok(());
            }
        };
        if let Some(dns) = made.dns.as_ref().filter(|dns| !dns.server.is_finished()) {
            dns.zone.send_replace(zone);
            return Ok(());
        }
        let (udp, tcp) = self.dns_sockets(spec).await?;
        let (sender, receiver) = watch::channel(zone);
        let (id, upstreams) = (spec.vpc.clone(), self.upstreams.clone());
        let server = tokio::spawn(async move {
            if let Err(error) = dns::serve(udp, tcp, receiver, upstreams).await {
                tracing::error!(vpc = %id, "its DNS has ended: {error}");
            }
        });
        made.dns = Some(Dns { zone: sender, server });
        Ok(())
    }

    /// What tasks find at their link-local address.
    async fn serve_endpoints(&self, vpc: &VpcId, made: &mut Made) -> Result<(), String> {
        if made.endpoints.as_ref().is_some_and(|serving| !serving.is_finished()) {
            return Ok(());
        }
        let (store, id, path) = (self.sockets.clone(), vpc.clone(), self.vpcs.vpc_namespace(vpc));
        let sockets = blocking(move || EndpointSockets::open(&*store, &id, &path)).await;
        let sockets = sockets.map_err(|error| format!("its tasks' endpoints: {error}"))?;
        made.endpoints = Some(self.endpoints.serve(vpc.clone(), sockets));
        Ok(())
    }

    /// The sockets of an earlier process, with whatever waits in them, or new ones.
    async fn dns_sockets(&self, spec: &VpcSpec) -> Result<(UdpSocket, TcpListener), String> {
        let (store, name) = (self.sockets.clone(), socket_name(&spec.vpc));
        let path = self.vpcs.vpc_namespace(&spec.vpc);
        let address = SocketAddrV4::new(spec.dns_address, DNS_PORT);
        let make = move || {
            if let Some(Ok([udp, tcp])) = store.take(&name).map(<[OwnedFd; 2]>::try_from) {
                return Ok((UdpSocket::from(udp), TcpListener::from(tcp)));
            }
            let inside = NamespaceSockets::open(&path)?;
            let (udp, tcp) = (inside.udp_socket(address)?, inside.tcp_listener(address)?);
            if let Err(error) = store.put(&name, &[udp.try_clone()?.into(), tcp.try_clone()?.into()]) {
                tracing::warn!("{name} does not outlive this process: {error}");
            }
            Ok((udp, tcp))
        };
        blocking(make).await.map_err(|error: std::io::Error| format!("its DNS: {error}"))
    }

    async fn take_away(
        &self,
        id: &VpcId,
        made: &mut Made,
        applied: &watch::Sender<Applied>,
    ) -> Result<(), String> {
        applied.send_modify(|applied| applied.exists = false);
        made.config = None;
        // A socket that is held keeps the namespace alive.
        if let Some(dns) = made.dns.take() {
            dns.server.abort();
            let _ = dns.server.await;
        }
        if let Some(serving) = made.endpoints.take() {
            serving.abort();
            let _ = serving.await;
        }
        let (vpcs, store, layout, id) =
            (self.vpcs.clone(), self.sockets.clone(), self.layout.clone(), id.clone());
        let remove = move || {
            store.remove(&socket_name(&id));
            store.remove(&endpoints::socket_name(&id));
            vpcs.teardown_vpc(&id).map_err(|error| error.to_string())?;
            record::remove_vpc(&layout, &id).map_err(|error| error.to_string())
        };
        blocking(remove).await
    }

    /// For a node that starts while `control` is dead. After the work, since nobody waits for it.
    async fn keep(&self, spec: Arc<VpcSpec>) {
        let layout = self.layout.clone();
        let id = spec.vpc.clone();
        if let Err(error) = blocking(move || record::write_vpc(&layout, &spec)).await {
            tracing::error!(vpc = %id, "a node that starts without control will not know it: {error}");
        }
    }
}

/// The interfaces of instances in a VPC.
pub(super) fn instances(spec: &VpcSpec) -> BTreeSet<NetworkInterfaceId> {
    let of_instances = spec.members.iter().filter(|member| member.is_instance);
    of_instances.filter_map(|member| member.interface.clone()).collect()
}

fn socket_name(vpc: &VpcId) -> String {
    format!("{SOCKET_PREFIX}{vpc}")
}

const SOCKET_PREFIX: &str = "dns-";

/// Gives back the sockets of VPCs that are no more.
pub(super) fn drop_stale_sockets(store: &dyn SocketStore, known: &BTreeSet<VpcId>) {
    for name in store.names() {
        let prefixes = [SOCKET_PREFIX, endpoints::SOCKET_PREFIX];
        let vpc = prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)).map(VpcId::from);
        if vpc.is_some_and(|vpc| !known.contains(&vpc)) {
            store.remove(&name);
        }
    }
}
