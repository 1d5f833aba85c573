//! A world for one test: `control`, targets, clients, and the balancer between them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gantry_domain::elb::{
    Forward, HealthCheck, Listener, ListenerProtocol, LoadBalancer, LoadBalancerState, LoadBalancerSubnet,
    Rule, RuleAction, Scheme, Target, TargetGroup, TargetHealth, TargetHealthState, TargetProtocol,
    TargetType, WeightedTargetGroup,
};
use gantry_domain::network::{Cidr, IpProtocol, Peer, SecurityRule};
use gantry_lb::{Config, Handle, Kept, Limits, Network, Snapshot};
use gantry_link::{
    FrameReader, FrameWriter, FromLb, ListenerConfig, LoadBalancerConfig, TargetGroupConfig, ToLb,
};
use gantry_types::{Arn, Timestamp, Value, arn};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{Notify, mpsc};

/// Every wait for something that should happen has this bound.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}

/// A loopback address that no other test has.
pub(crate) fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let process = std::process::id();
    // 127.64.0.0/10: 14 bits of the process, 8 bits of the test.
    Ipv4Addr::from(0x7f40_0000 | ((process & 0x3fff) << 8) | (number & 0xff))
}

pub(crate) fn elb(resource: &str) -> Arn {
    arn("elasticloadbalancing", "us-east-1", resource)
}

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
        state_directory: Some(plan.state.path().to_owned()),
        control_socket: control.path.clone(),
        limits: plan.limits.clone(),
    };
    let (handle, commands) = Handle::new();
    let store = Box::new(plan.store.clone());
    let thread =
        std::thread::spawn(move || gantry_lb::run(&config, store, commands).expect("the balancer starts"));
    (handle, thread)
}

/// Plays `control`: sends everything after a `Hello`, then what the test sends; collects reports.
pub(crate) struct Control {
    pub(crate) path: std::path::PathBuf,
    state: Arc<Mutex<BTreeMap<String, ToLb>>>,
    changed: Arc<Notify>,
    reports: mpsc::UnboundedReceiver<FromLb>,
    /// Reports that came while the test waited for others.
    waiting: Vec<FromLb>,
    task: tokio::task::JoinHandle<()>,
    pub(crate) links: Arc<AtomicUsize>,
}

impl Control {
    async fn start(plan: &Plan, groups: Vec<TargetGroupConfig>) -> Self {
        let path = plan.state.path().join("control");
        let listener = UnixListener::bind(&path).expect("the socket is free");
        let mut state = BTreeMap::new();
        let config = load_balancer(plan, &groups);
        state.insert("a".to_owned(), ToLb::LoadBalancer(Box::new(config)));
        for group in groups {
            state.insert(group.group.arn.to_string(), ToLb::TargetGroup(Box::new(group)));
        }
        let (state, changed) = (Arc::new(Mutex::new(state)), Arc::new(Notify::new()));
        let (sender, reports) = mpsc::unbounded_channel();
        let links = Arc::new(AtomicUsize::new(0));
        let task =
            tokio::spawn(play_control(listener, state.clone(), changed.clone(), sender, links.clone()));
        Self { path, state, changed, reports, waiting: Vec::new(), task, links }
    }

    /// Changes a group, and tells it.
    pub(crate) fn set_group(&self, group: TargetGroupConfig) {
        let mut state = self.state.lock().expect("no panic");
        state.insert(group.group.arn.to_string(), ToLb::TargetGroup(Box::new(group)));
        drop(state);
        self.changed.notify_waiters();
    }

    /// Has another load balancer, like the first one, that forwards to the group.
    pub(crate) fn add_load_balancer(&self, name: &str, group: &str, address: Ipv4Addr) {
        let mut state = self.state.lock().expect("no panic");
        let Some(ToLb::LoadBalancer(first)) = state.get("a") else {
            unreachable!("it was there from the start")
        };
        let mut config = first.as_ref().clone();
        let balancer = &mut config.load_balancer;
        balancer.arn = elb(&format!("loadbalancer/app/{name}/1"));
        balancer.dns_name = format!("{name}.elb.localhost");
        balancer.outside_address = Some(address);
        balancer.subnets[0].address = own_address();
        let listener = &mut config.listeners[0].listener;
        listener.arn = elb(&format!("listener/app/{name}/1/1"));
        let target_groups =
            vec![WeightedTargetGroup { target_group: elb(&format!("targetgroup/{group}/1")), weight: 1 }];
        listener.default_actions = vec![RuleAction::Forward(Forward { target_groups, stickiness: None })];
        state.insert(name.to_owned(), ToLb::LoadBalancer(Box::new(config)));
        drop(state);
        self.changed.notify_waiters();
    }

    /// Has a group no more.
    pub(crate) fn remove_group(&self, arn: &Arn) {
        self.state.lock().expect("no panic").remove(arn.as_str());
        self.changed.notify_waiters();
    }

    /// Changes the load balancer, and tells it.
    pub(crate) fn change_load_balancer(&self, change: impl FnOnce(&mut LoadBalancerConfig)) {
        let mut state = self.state.lock().expect("no panic");
        if let Some(ToLb::LoadBalancer(config)) = state.get_mut("a") {
            change(config);
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Waits for a report, and takes it; those that came before it stay.
    pub(crate) async fn expect(&mut self, what: &str, wanted: impl Fn(&FromLb) -> bool) -> FromLb {
        if let Some(at) = self.waiting.iter().position(&wanted) {
            return self.waiting.remove(at);
        }
        soon(what, async {
            loop {
                let report = self.reports.recv().await.expect("control plays on");
                if wanted(&report) {
                    return report;
                }
                self.waiting.push(report);
            }
        })
        .await
    }

    /// The reports that have come, without waiting.
    pub(crate) fn so_far(&mut self) -> Vec<FromLb> {
        let mut reports = std::mem::take(&mut self.waiting);
        reports.extend(std::iter::from_fn(|| self.reports.try_recv().ok()));
        reports
    }

    /// Dies.
    pub(crate) fn kill(&self) {
        self.task.abort();
        std::fs::remove_file(&self.path).expect("the socket was there");
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn play_control(
    listener: UnixListener,
    state: Arc<Mutex<BTreeMap<String, ToLb>>>,
    changed: Arc<Notify>,
    reports: mpsc::UnboundedSender<FromLb>,
    links: Arc<AtomicUsize>,
) {
    // Several balancers may be linked at the same time.
    let mut talks = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("the socket is ours");
        links.fetch_add(1, Ordering::SeqCst);
        let (state, changed, reports) = (state.clone(), changed.clone(), reports.clone());
        talks.spawn(async move {
            let (reader, writer) = stream.into_split();
            let (mut reader, mut writer) = (FrameReader::new(reader), FrameWriter::new(writer));
            let read = async {
                while let Ok(report) = reader.read::<FromLb>().await {
                    let _ = reports.send(report);
                }
            };
            let write = async {
                loop {
                    let change = changed.notified();
                    let messages: Vec<ToLb> = state.lock().expect("no panic").values().cloned().collect();
                    let mut synced = (Vec::new(), Vec::new());
                    for message in &messages {
                        match message {
                            ToLb::LoadBalancer(config) => synced.0.push(config.load_balancer.arn.clone()),
                            ToLb::TargetGroup(config) => synced.1.push(config.group.arn.clone()),
                            _ => {}
                        }
                        if writer.write(message).await.is_err() {
                            return;
                        }
                    }
                    let synced = ToLb::Synced { load_balancers: synced.0, target_groups: synced.1 };
                    if writer.write(&synced).await.is_err() {
                        return;
                    }
                    let beat = tokio::time::sleep(Duration::from_secs(1));
                    tokio::select! { () = change => {}, () = beat => {} }
                }
            };
            tokio::select! { () = read => {}, () = write => {} }
        });
    }
}

fn load_balancer(plan: &Plan, groups: &[TargetGroupConfig]) -> LoadBalancerConfig {
    let target_groups = groups
        .first()
        .map(|group| WeightedTargetGroup { target_group: group.group.arn.clone(), weight: 1 })
        .into_iter()
        .collect();
    let load_balancer = LoadBalancer {
        region: "us-east-1".into(),
        arn: elb("loadbalancer/app/a/1"),
        name: "a".to_owned(),
        dns_name: "a.elb.localhost".to_owned(),
        scheme: Scheme::InternetFacing,
        vpc: plan.vpc.as_str().into(),
        subnets: vec![LoadBalancerSubnet {
            subnet: "subnet-1".into(),
            availability_zone: "us-east-1a".into(),
            address: plan.inside,
        }],
        outside_address: Some(plan.address),
        security_groups: Vec::new(),
        state: LoadBalancerState::Active,
        state_reason: None,
        attributes: plan.attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        created_at: Timestamp::EPOCH,
        document: Value::Null,
    };
    let listener = Listener {
        arn: elb("listener/app/a/1/1"),
        load_balancer: load_balancer.arn.clone(),
        protocol: ListenerProtocol::Http,
        port: plan.port,
        default_actions: vec![RuleAction::Forward(Forward { target_groups, stickiness: None })],
        attributes: BTreeMap::new(),
        document: Value::Null,
    };
    LoadBalancerConfig {
        load_balancer,
        listeners: vec![ListenerConfig { listener, rules: plan.rules.clone() }],
        ingress: plan.ingress.clone(),
    }
}

pub(crate) fn group(name: &str, targets: Vec<Target>) -> TargetGroupConfig {
    let group = TargetGroup {
        region: "us-east-1".into(),
        arn: elb(&format!("targetgroup/{name}/1")),
        name: name.to_owned(),
        protocol: TargetProtocol::Http,
        port: 80,
        vpc: "vpc-1".into(),
        target_type: TargetType::Ip,
        health_check: HealthCheck {
            enabled: true,
            protocol: TargetProtocol::Http,
            port: None,
            path: "/health".to_owned(),
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
            healthy_threshold: 5,
            unhealthy_threshold: 2,
            matcher: "200".to_owned(),
        },
        attributes: BTreeMap::new(),
        created_at: Timestamp::EPOCH,
        document: Value::Null,
    };
    TargetGroupConfig { group, promised: false, in_use: true, targets }
}

/// An HTTP server of the test's.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddrV4,
    pub(crate) requests: Arc<Mutex<Vec<Request>>>,
    pub(crate) connections: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

/// A request as the target got it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or("")
    }
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

pub(crate) fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

impl Upstream {
    /// Answers each request with what `answer` gives, on connections that are kept. Health checks are answered with 200.
    pub(crate) async fn answering(answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let answer = Arc::new(answer);
        Self::start(move |mut stream, requests| {
            let answer = answer.clone();
            async move {
                let mut buffer = Vec::new();
                while let Some(request) = read_request(&mut stream, &mut buffer).await {
                    let probe = request.path() == "/health";
                    let response = if probe { ok("") } else { answer(&request) };
                    if !probe {
                        requests.lock().expect("no panic").push(request);
                    }
                    if stream.write_all(&response).await.is_err() {
                        return;
                    }
                }
            }
        })
        .await
    }

    pub(crate) async fn saying(body: &'static str) -> Self {
        Self::answering(move |_| ok(body)).await
    }

    /// Does `serve` with each connection.
    pub(crate) async fn start<F, S>(serve: S) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
        S: Fn(TcpStream, Arc<Mutex<Vec<Request>>>) -> F + Send + Sync + 'static,
    {
        Self::start_at(SocketAddrV4::new(own_address(), 0), serve).await
    }

    pub(crate) async fn start_at<F, S>(address: SocketAddrV4, serve: S) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
        S: Fn(TcpStream, Arc<Mutex<Vec<Request>>>) -> F + Send + Sync + 'static,
    {
        let listener = TcpListener::bind(address).await.expect("the address is free");
        let std::net::SocketAddr::V4(address) = listener.local_addr().expect("it is bound") else {
            unreachable!("it is bound to IPv4")
        };
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let connections: Arc<AtomicUsize> = Arc::default();
        let (for_task, counter) = (requests.clone(), connections.clone());
        let task = tokio::spawn(async move {
            // Dropping the set ends every connection: the server dies as a process does.
            let mut open = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("the socket is ours");
                counter.fetch_add(1, Ordering::SeqCst);
                open.spawn(serve(stream, for_task.clone()));
            }
        });
        Self { address, requests, connections, task }
    }

    pub(crate) fn record(&self, group: &str, index: usize) -> Target {
        Target {
            target_group: elb(&format!("targetgroup/{group}/1")),
            registration: format!("r-{index}").as_str().into(),
            target_id: self.address.ip().to_string(),
            address: *self.address.ip(),
            port: self.address.port(),
            availability_zone: None,
            task: None,
            registered_at: Timestamp::EPOCH,
            draining_since: None,
            drained: false,
            health: TargetHealth::registering(),
        }
    }

    /// Dies with all its connections, as a killed process does.
    pub(crate) fn kill(&self) {
        self.task.abort();
    }

    pub(crate) fn seen(&self) -> Vec<Request> {
        self.requests.lock().expect("no panic").clone()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads up to the end of a head; `None` at the end of the stream.
pub(crate) async fn read_head(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head: Vec<u8> = buffer.drain(..at + 4).collect();
            return Some(String::from_utf8_lossy(&head).into_owned());
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// Reads a body as its head says; chunks are kept as they are.
async fn read_body(stream: &mut TcpStream, buffer: &mut Vec<u8>, head: &str) -> Option<Vec<u8>> {
    if header(head, "transfer-encoding").is_some() {
        loop {
            // Test bodies hold no such sequence.
            if let Some(at) = buffer.windows(5).position(|window| window == b"0\r\n\r\n") {
                return Some(buffer.drain(..at + 5).collect());
            }
            if stream.read_buf(buffer).await.ok()? == 0 {
                return None;
            }
        }
    }
    let length: usize = header(head, "content-length").map_or(0, |length| length.parse().expect("a number"));
    while buffer.len() < length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    Some(buffer.drain(..length).collect())
}

pub(crate) async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Request> {
    let head = read_head(stream, buffer).await?;
    let body = read_body(stream, buffer, &head).await?;
    Some(Request { head, body })
}

/// A client that speaks bytes.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    pub(crate) async fn connect(address: SocketAddrV4) -> Self {
        let stream = soon("a connection", TcpStream::connect(address)).await.expect("the balancer listens");
        Self::on(stream)
    }

    pub(crate) fn on(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        soon("sending", self.stream.write_all(bytes)).await.expect("the balancer reads");
    }

    /// The next response, as to a GET.
    pub(crate) async fn response(&mut self) -> Response {
        self.try_response().await.expect("a response")
    }

    /// `None` if the connection ended first.
    pub(crate) async fn try_response(&mut self) -> Option<Response> {
        let (stream, buffer) = (&mut self.stream, &mut self.buffer);
        soon("a response", async {
            let head = read_head(stream, buffer).await?;
            let status = head.get(9..12)?.parse().ok()?;
            let body = if matches!(status, 100..=199 | 204 | 304) {
                Vec::new()
            } else {
                read_body(stream, buffer, &head).await?
            };
            Some(Response { status, head, body })
        })
        .await
    }

    /// Everything up to the connection's end; a reset ends it as well.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.buffer);
        let _ = soon("the connection's end", self.stream.read_to_end(&mut rest)).await;
        rest
    }

    /// Whether the connection has ended, without a byte before that.
    pub(crate) async fn is_closed(&mut self) -> bool {
        self.rest().await.is_empty()
    }
}

/// A listening socket whose backlog is full: it answers no SYN. What fills it comes along.
pub(crate) async fn full_backlog() -> (SocketAddrV4, (socket2::Socket, Vec<TcpStream>)) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&std::net::SocketAddr::from((own_address(), 0)).into()).expect("the address is free");
    socket.listen(0).expect("it is bound");
    let address = socket.local_addr().expect("it is bound").as_socket_ipv4().expect("it is IPv4");
    let mut fillers = Vec::new();
    loop {
        match tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
            Ok(filler) => fillers.push(filler.expect("a connection")),
            Err(_) => return (address, (socket, fillers)),
        }
        assert!(fillers.len() < 16, "the backlog never fills");
    }
}
