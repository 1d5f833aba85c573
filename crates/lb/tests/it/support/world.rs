//! The balancer, and what it is given.

use std::net::{Ipv4Addr, SocketAddrV4};

use gantry_domain::elb::{Rule, TargetHealthState};
use gantry_domain::network::{Cidr, IpProtocol, Peer, SecurityRule};
use gantry_lb::{Config, Handle, Kept, Limits, Network, Snapshot};
use gantry_link::{FromLb, TargetGroupConfig};
use gantry_types::Value;

use super::{Client, Control, PATIENCE, Response, Upstream, group, own_address, soon};

/// What a world is made of, before it runs.
pub(crate) struct Plan {
    pub(crate) address: Ipv4Addr,
    pub(crate) port: u16,
    pub(crate) attributes: Vec<(&'static str, String)>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) limits: Limits,
    pub(crate) ingress: Vec<SecurityRule>,
    pub(crate) shards: usize,
    pub(crate) state: tempfile::TempDir,
    pub(crate) store: Kept,
    /// Whether the last known state is kept on disk.
    pub(crate) keeps_state: bool,
    pub(crate) shared_address: Option<Ipv4Addr>,
    pub(crate) network: Network,
    pub(crate) vpc: String,
    /// The load balancer's address inside its VPC.
    pub(crate) inside: Ipv4Addr,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            address: own_address(),
            port: 80,
            attributes: Vec::new(),
            rules: Vec::new(),
            limits: Limits::default(),
            ingress: vec![ingress("0.0.0.0/0", 0, 65535)],
            shards: 2,
            state: tempfile::tempdir().expect("a directory can be made"),
            store: Kept::default(),
            keeps_state: true,
            shared_address: None,
            network: Network::Machine,
            vpc: "vpc-1".to_owned(),
            inside: own_address(),
        }
    }
}

pub(crate) fn ingress(range: &str, from_port: i32, to_port: i32) -> SecurityRule {
    SecurityRule {
        id: "sgr-1".to_owned(),
        protocol: IpProtocol::Tcp,
        from_port,
        to_port,
        peer: Peer::Cidr(Cidr::parse(range).expect("a range")),
        description: None,
        tags: Value::Null,
    }
}

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) control: Control,
    handle: Handle,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl World {
    /// Starts a balancer that knows the load balancer, and the groups.
    pub(crate) async fn start(plan: Plan, groups: Vec<TargetGroupConfig>) -> Self {
        let mut world = Self::start_unready(plan, groups).await;
        world
            .control
            .expect("the listener's sockets", |report| matches!(report, FromLb::Listener { error: None, .. }))
            .await;
        world
    }

    /// The same, without waiting for its sockets.
    pub(crate) async fn start_unready(plan: Plan, groups: Vec<TargetGroupConfig>) -> Self {
        let control = Control::start(&plan, groups).await;
        let (handle, thread) = start_balancer(&plan, &control);
        Self { plan, control, handle, thread: Some(thread) }
    }

    /// The load balancer's addresses inside its VPC.
    pub(crate) fn control_addresses(&self) -> Vec<Ipv4Addr> {
        let mut addresses = Vec::new();
        self.control.change_load_balancer(|config| {
            addresses = config.load_balancer.subnets.iter().map(|subnet| subnet.address).collect();
        });
        addresses
    }

    /// The same with one group `g` of these targets, every one of them healthy.
    pub(crate) async fn with_targets(plan: Plan, targets: &[&Upstream]) -> Self {
        let records = targets.iter().enumerate().map(|(index, target)| target.record("g", index)).collect();
        let mut world = Self::start(plan, vec![group("g", records)]).await;
        for index in 0..targets.len() {
            world.healthy(index).await;
        }
        world
    }

    /// Waits until the target is reported healthy.
    pub(crate) async fn healthy(&mut self, index: usize) {
        let registration = format!("r-{index}");
        self.control
            .expect("a healthy target", |report| {
                matches!(report, FromLb::TargetHealth { registration: r, health, .. }
                    if r.as_str() == registration && health.state == TargetHealthState::Healthy)
            })
            .await;
    }

    pub(crate) fn listener(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.plan.address, self.plan.port)
    }

    pub(crate) async fn connect(&self) -> Client {
        Client::connect(self.listener()).await
    }

    /// One request on a connection of its own.
    pub(crate) async fn get(&self, path: &str) -> Response {
        let mut client = self.connect().await;
        client.send(format!("GET {path} HTTP/1.1\r\nHost: lb\r\n\r\n").as_bytes()).await;
        client.response().await
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.handle.snapshot(PATIENCE).expect("the balancer runs")
    }

    /// Waits until what was counted is so: a response is counted when it was sent.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Snapshot) -> bool) -> Snapshot {
        soon(what, async {
            loop {
                let snapshot = self.snapshot();
                if wanted(&snapshot) {
                    return snapshot;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }

    pub(crate) fn stop(&self) {
        self.handle.stop();
    }

    /// Waits until the balancer has ended.
    pub(crate) async fn ended(&mut self) {
        let thread = self.thread.take().expect("it was not waited for before");
        soon("the balancer's end", tokio::task::spawn_blocking(move || thread.join().expect("no panic")))
            .await
            .expect("it was joined");
    }

    /// A second balancer with the same sockets, state and control.
    pub(crate) fn start_successor(&self) -> (Handle, std::thread::JoinHandle<()>) {
        start_balancer(&self.plan, &self.control)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.handle.stop();
    }
}

fn start_balancer(plan: &Plan, control: &Control) -> (Handle, std::thread::JoinHandle<()>) {
    let config = Config {
        id: "lb-1".into(),
        version: "test".to_owned(),
        shards: plan.shards,
        network: plan.network.clone(),
        shared_address: plan.shared_address,
        state_directory: plan.keeps_state.then(|| plan.state.path().to_owned()),
        control_socket: control.path.clone(),
        limits: plan.limits.clone(),
    };
    let (handle, commands) = Handle::new();
    let store = Box::new(plan.store.clone());
    let run = move || gantry_lb::run(&config, store, commands).expect("the balancer starts");
    let thread = std::thread::Builder::new().name(core_name(plan)).spawn(run).expect("a thread");
    (handle, thread)
}

/// The name of the core's thread: at most the 15 bytes that the kernel keeps.
fn core_name(plan: &Plan) -> String {
    format!("core-{:08x}", u32::from(plan.inside))
}

/// Processor time of a world's core, in clock ticks of 10 ms.
pub(crate) fn core_cpu_ticks(plan: &Plan) -> u64 {
    let name = format!("({})", core_name(plan));
    let tasks = std::fs::read_dir("/proc/self/task").expect("procfs is mounted");
    let stats = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("stat")).ok());
    let stat = stats.into_iter().find(|stat| stat.contains(&name)).expect("the core runs");
    let fields: Vec<&str> =
        stat.rsplit(')').next().expect("a name in parentheses").split_whitespace().collect();
    fields[11].parse::<u64>().expect("user time") + fields[12].parse::<u64>().expect("system time")
}
