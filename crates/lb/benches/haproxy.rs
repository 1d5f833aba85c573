//! Requests per second of processor time: this balancer beside HAProxy, in the same run, with the same target and clients.
//!
//! `cargo bench -p gantry-lb --bench haproxy` takes half a minute and prints the ratio for one thread and for two. HAProxy comes from
//! the distribution's packages (`apt-get install haproxy`). Both are processes of their own; what counts is the processor time that
//! the kernel booked on them, so clients and target may share the machine with them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gantry_domain::elb::{
    Forward, HealthCheck, Listener, ListenerProtocol, LoadBalancer, LoadBalancerState, LoadBalancerSubnet,
    RuleAction, Scheme, Target, TargetGroup, TargetHealth, TargetProtocol, TargetType, WeightedTargetGroup,
};
use gantry_domain::network::{Cidr, IpProtocol, Peer, SecurityRule};
use gantry_lb::{Config, Handle, Kept, Limits, Network};
use gantry_link::{
    FrameReader, FrameWriter, FromLb, ListenerConfig, LoadBalancerConfig, TargetGroupConfig, ToLb,
};
use gantry_types::{Timestamp, Value, arn};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const CONNECTIONS: usize = 64;
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(2);
const REQUEST: &[u8] =
    b"GET /index.html?a=b HTTP/1.1\r\nHost: bench.example.com\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n\r\n";
const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\nServer: bench\r\n\r\nHello, world!";
const BALANCER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(127, 61, 0, 1), 8080);
const HAPROXY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(127, 61, 0, 2), 8080);
const TARGET: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(127, 61, 0, 3), 8080);

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--balancer") {
        run_balancer(&arguments[at + 1], arguments[at + 2].parse().expect("a number of threads"));
        return;
    }
    let directory = tempfile::tempdir().expect("a directory can be made");
    std::thread::spawn(serve_target);
    let control = directory.path().join("control");
    std::thread::spawn({
        let control = control.clone();
        move || play_control(&control)
    });
    wait_for(TARGET);
    for threads in [1, 2] {
        let haproxy = start_haproxy(directory.path(), threads);
        let balancer = Process::start(
            Command::new(std::env::current_exe().expect("this program has a path"))
                .arg("--balancer")
                .arg(&control)
                .arg(threads.to_string()),
        );
        wait_for(HAPROXY);
        wait_for(BALANCER);
        let (mut theirs, mut ours) = (Vec::new(), Vec::new());
        // One after the other, again and again: what else the machine does meets both.
        for _ in 0..ROUNDS {
            theirs.push(measure(HAPROXY, &haproxy));
            ours.push(measure(BALANCER, &balancer));
        }
        report(threads, &theirs, &ours);
    }
}

/// Requests per second of processor time, and requests per second.
#[derive(Clone, Copy)]
struct Figure {
    per_cpu_second: f64,
    per_second: f64,
}

fn report(threads: usize, theirs: &[Figure], ours: &[Figure]) {
    let median = |figures: &[Figure]| {
        let mut values: Vec<f64> = figures.iter().map(|figure| figure.per_cpu_second).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let rate = |figures: &[Figure]| {
        figures.iter().map(|figure| figure.per_second).sum::<f64>() / figures.len() as f64
    };
    let (theirs_median, ours_median) = (median(theirs), median(ours));
    println!(
        "{threads} thread(s): HAProxy {theirs_median:.0} requests per CPU second ({:.0}/s), gantry lb {ours_median:.0} ({:.0}/s): ratio {:.2}",
        rate(theirs),
        rate(ours),
        ours_median / theirs_median
    );
}

struct Process(Child);

impl Process {
    fn start(command: &mut Command) -> Self {
        Self(
            command
                .stdin(Stdio::null())
                .spawn()
                .unwrap_or_else(|error| panic!("starting {command:?}: {error}")),
        )
    }

    /// Processor time of all its threads, in clock ticks of 10 ms.
    fn cpu_ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).expect("the process lives");
        let fields: Vec<&str> =
            stat.rsplit(')').next().expect("a name in parentheses").split_whitespace().collect();
        fields[11].parse::<u64>().expect("user time") + fields[12].parse::<u64>().expect("system time")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_haproxy(directory: &Path, threads: usize) -> Process {
    let path = directory.join("haproxy.cfg");
    let config = format!(
        "global\n nbthread {threads}\n maxconn 4096\n\
         defaults\n mode http\n timeout client 60s\n timeout server 60s\n timeout connect 10s\n timeout http-request 60s\n\
         frontend in\n bind {HAPROXY}\n option forwardfor\n default_backend out\n\
         backend out\n http-reuse always\n server one {TARGET}\n"
    );
    fs::write(&path, config).expect("the configuration can be written");
    // `-db` keeps it in the foreground: one process, ours to end.
    Process::start(Command::new("haproxy").arg("-db").arg("-q").arg("-f").arg(path))
}

fn wait_for(address: SocketAddrV4) {
    let start = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(start.elapsed() < Duration::from_secs(10), "nothing listens on {address}");
        std::thread::sleep(Duration::from_millis(10));
    }
    // A whole request, so that the target behind it is known to be in choice.
    loop {
        let mut stream = TcpStream::connect(address).expect("it listened a moment ago");
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("it reads");
        let mut answer = [0; 12];
        if stream.read_exact(&mut answer).is_ok() && answer.ends_with(b"200") {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{address} does not serve");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Clients with a connection each that ask, wait for the answer, and ask again.
fn measure(address: SocketAddrV4, process: &Process) -> Figure {
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let clients = std::thread::spawn({
        let (stop, count) = (stop.clone(), count.clone());
        move || {
            on_a_thread(async move {
                let mut clients = tokio::task::JoinSet::new();
                for _ in 0..CONNECTIONS {
                    clients.spawn(ask(address, stop.clone(), count.clone()));
                }
                clients.join_all().await;
            });
        }
    });
    std::thread::sleep(Duration::from_millis(300));
    let (cpu, requests, start) = (process.cpu_ticks(), count.load(Ordering::Relaxed), Instant::now());
    std::thread::sleep(ROUND);
    let (cpu, requests, time) =
        (process.cpu_ticks() - cpu, count.load(Ordering::Relaxed) - requests, start.elapsed());
    stop.store(true, Ordering::Relaxed);
    clients.join().expect("the clients end");
    Figure {
        per_cpu_second: requests as f64 / (cpu as f64 / 100.0),
        per_second: requests as f64 / time.as_secs_f64(),
    }
}

async fn ask(address: SocketAddrV4, stop: Arc<AtomicBool>, count: Arc<AtomicU64>) {
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
    stream.set_nodelay(true).expect("it is a socket");
    let mut buffer = [0; 4096];
    while !stop.load(Ordering::Relaxed) {
        stream.write_all(REQUEST).await.expect("it reads");
        let mut length = 0;
        while !buffer[..length].ends_with(b"Hello, world!") {
            let read = stream.read(&mut buffer[length..]).await.expect("it answers");
            assert!(read > 0, "the connection ended");
            length += read;
        }
        count.fetch_add(1, Ordering::Relaxed);
    }
}

fn serve_target() {
    let listener = TcpListener::bind(TARGET).expect("the address is free");
    listener.set_nonblocking(true).expect("it is a socket");
    on_a_thread(async move {
        let listener = tokio::net::TcpListener::from_std(listener).expect("it is nonblocking");
        loop {
            let (mut stream, _) = listener.accept().await.expect("the socket is ours");
            tokio::spawn(async move {
                let _ = stream.set_nodelay(true);
                let mut buffer = [0; 4096];
                let mut length = 0;
                while let Ok(read @ 1..) = stream.read(&mut buffer[length..]).await {
                    length += read;
                    if buffer[..length].ends_with(b"\r\n\r\n") {
                        length = 0;
                        if stream.write_all(RESPONSE).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
}

fn on_a_thread(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work);
}

fn run_balancer(control: &str, threads: usize) {
    let config = Config {
        id: "bench".into(),
        version: "bench".to_owned(),
        shards: threads,
        network: Network::Machine,
        shared_address: None,
        state_directory: None,
        control_socket: control.into(),
        limits: Limits::default(),
    };
    let (_handle, commands) = Handle::new();
    gantry_lb::run(&config, Box::new(Kept::default()), commands).expect("the balancer runs");
}

/// Says what there is to every balancer that comes.
fn play_control(path: &Path) {
    let listener = std::os::unix::net::UnixListener::bind(path).expect("the path is free");
    listener.set_nonblocking(true).expect("it is a socket");
    on_a_thread(async move {
        let listener = tokio::net::UnixListener::from_std(listener).expect("it is nonblocking");
        loop {
            let (stream, _) = listener.accept().await.expect("the socket is ours");
            tokio::spawn(async move {
                let (reader, writer) = stream.into_split();
                let mut writer = FrameWriter::new(writer);
                for message in messages() {
                    writer.write(&message).await.expect("the balancer listens");
                }
                tokio::spawn(async move {
                    let mut reader = FrameReader::new(reader);
                    while reader.read::<FromLb>().await.is_ok() {}
                });
                while writer.write(&ToLb::Heartbeat).await.is_ok() {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            });
        }
    });
}

fn messages() -> [ToLb; 3] {
    let elb = |resource: &str| arn("elasticloadbalancing", "us-east-1", resource);
    let (balancer, group) = (elb("loadbalancer/app/b/1"), elb("targetgroup/g/1"));
    let anybody = SecurityRule {
        id: "sgr-1".to_owned(),
        protocol: IpProtocol::All,
        from_port: 0,
        to_port: 0,
        peer: Peer::Cidr(Cidr::parse("0.0.0.0/0").expect("a range")),
        description: None,
        tags: Value::Null,
    };
    let load_balancer = LoadBalancer {
        region: "us-east-1".into(),
        arn: balancer.clone(),
        name: "b".to_owned(),
        dns_name: "b.localhost".to_owned(),
        scheme: Scheme::InternetFacing,
        vpc: "vpc-1".into(),
        subnets: vec![LoadBalancerSubnet {
            subnet: "subnet-1".into(),
            availability_zone: "us-east-1a".into(),
            address: Ipv4Addr::new(127, 61, 0, 4),
        }],
        outside_address: Some(*BALANCER.ip()),
        security_groups: Vec::new(),
        state: LoadBalancerState::Active,
        state_reason: None,
        attributes: BTreeMap::new(),
        created_at: Timestamp::EPOCH,
        document: Value::Null,
    };
    let target_groups = vec![WeightedTargetGroup { target_group: group.clone(), weight: 1 }];
    let listener = Listener {
        arn: elb("listener/app/b/1/1"),
        load_balancer: balancer.clone(),
        protocol: ListenerProtocol::Http,
        port: BALANCER.port(),
        default_actions: vec![RuleAction::Forward(Forward { target_groups, stickiness: None })],
        attributes: BTreeMap::new(),
        document: Value::Null,
    };
    let health_check = HealthCheck {
        enabled: true,
        protocol: TargetProtocol::Http,
        port: None,
        path: "/".to_owned(),
        interval: Duration::from_secs(30),
        timeout: Duration::from_secs(5),
        healthy_threshold: 5,
        unhealthy_threshold: 2,
        matcher: "200".to_owned(),
    };
    let target = Target {
        target_group: group.clone(),
        registration: "r-1".into(),
        target_id: TARGET.ip().to_string(),
        address: *TARGET.ip(),
        port: TARGET.port(),
        availability_zone: None,
        task: None,
        registered_at: Timestamp::EPOCH,
        draining_since: None,
        drained: false,
        health: TargetHealth::registering(),
    };
    let target_group = TargetGroup {
        region: "us-east-1".into(),
        arn: group.clone(),
        name: "g".to_owned(),
        protocol: TargetProtocol::Http,
        port: TARGET.port(),
        vpc: "vpc-1".into(),
        target_type: TargetType::Ip,
        health_check,
        attributes: BTreeMap::new(),
        created_at: Timestamp::EPOCH,
        document: Value::Null,
    };
    [
        ToLb::LoadBalancer(Box::new(LoadBalancerConfig {
            load_balancer,
            listeners: vec![ListenerConfig { listener, rules: Vec::new() }],
            ingress: vec![anybody],
        })),
        ToLb::TargetGroup(Box::new(TargetGroupConfig {
            group: target_group,
            promised: false,
            in_use: true,
            targets: vec![target],
        })),
        ToLb::Synced { load_balancers: vec![balancer], target_groups: vec![group] },
    ]
}
