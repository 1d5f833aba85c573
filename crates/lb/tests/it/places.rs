//! Where sockets are: the shared address, and inside a VPC's namespace.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::process::Command;
use std::sync::{Arc, Mutex};

use gantry_lb::Network;
use gantry_network::NamespaceSockets;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpSocket};

use crate::support::{Client, Plan, Upstream, World, group, ok, own_address, read_head, soon};

#[tokio::test]
async fn on_the_shared_address_the_host_says_which_load_balancer_is_meant() {
    let (one, two) = (Upstream::saying("one").await, Upstream::saying("two").await);
    let shared = own_address();
    let plan = Plan { shared_address: Some(shared), ..Plan::default() };
    let groups = vec![group("g", vec![one.record("g", 0)]), group("h", vec![two.record("h", 1)])];
    let mut world = World::start(plan, groups).await;
    world.healthy(0).await;
    let ask = async |host: &str| {
        let mut client = Client::connect(SocketAddrV4::new(shared, 80)).await;
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await;
        client.response().await
    };
    assert_eq!(ask("a.elb.localhost").await.text(), "one");
    assert_eq!(ask("anything").await.text(), "one", "the only one gets every name");
    world.control.add_load_balancer("b", "h", own_address());
    world.healthy(1).await;
    soon("the second load balancer", async { while ask("B.elb.localhost:80").await.text() != "two" {} })
        .await;
    assert_eq!(ask("a.elb.localhost").await.text(), "one");
    assert_eq!(ask("anything").await.status, 404, "none of both");
    world.control.change_load_balancer(|config| config.ingress.clear());
    soon("closed doors", async {
        loop {
            let mut client = Client::connect(SocketAddrV4::new(shared, 80)).await;
            client.send(b"GET / HTTP/1.1\r\nHost: a.elb.localhost\r\n\r\n").await;
            if client.try_response().await.is_none() {
                return;
            }
        }
    })
    .await;
    assert_eq!(ask("b.elb.localhost").await.text(), "two", "each is judged by its own groups");
}

/// A network namespace with these addresses on its loopback; it is gone when this is dropped.
struct Namespace {
    name: String,
}

impl Namespace {
    fn new(addresses: &[Ipv4Addr]) -> Self {
        let namespace = Self { name: format!("vpc-lbtest-{}", std::process::id()) };
        ip(&["netns", "add", &namespace.name]);
        ip(&["-n", &namespace.name, "link", "set", "lo", "up"]);
        for address in addresses {
            ip(&["-n", &namespace.name, "address", "add", &format!("{address}/32"), "dev", "lo"]);
        }
        namespace
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).status();
    }
}

fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status().expect("iproute2 is installed");
    assert!(status.success(), "ip {} failed; this test needs root", arguments.join(" "));
}

#[tokio::test]
async fn inside_a_vpc_the_balancer_listens_and_connects_from_its_own_address() {
    let [balancer, target, client] = [10, 20, 30].map(|last| Ipv4Addr::new(172, 31, 0, last));
    let namespace = Namespace::new(&[balancer, target, client]);
    let directory = std::path::PathBuf::from("/run/netns");
    let inside = NamespaceSockets::open(&directory.join(&namespace.name)).expect("the namespace is there");
    let listener = inside.tcp_listener(SocketAddrV4::new(target, 8000)).unwrap();
    let listener = TcpListener::from_std(listener).unwrap();
    let peers: Arc<Mutex<Vec<SocketAddr>>> = Arc::default();
    let seen = peers.clone();
    let server = tokio::spawn(async move {
        loop {
            let (mut stream, peer) = listener.accept().await.unwrap();
            seen.lock().unwrap().push(peer);
            tokio::spawn(async move {
                let mut buffer = Vec::new();
                while let Some(head) = read_head(&mut stream, &mut buffer).await {
                    let client = crate::support::header(&head, "x-forwarded-for").unwrap_or("none");
                    stream.write_all(&ok(client)).await.unwrap();
                }
            });
        }
    });
    let upstream = Upstream::saying("unused").await;
    let mut record = upstream.record("g", 0);
    (record.address, record.port) = (target, 8000);
    let plan = Plan {
        network: Network::Namespaces(directory),
        vpc: namespace.name.clone(),
        inside: balancer,
        // What is inside, the VPC has judged.
        ingress: Vec::new(),
        ..Plan::default()
    };
    let mut world = World::start(plan, vec![group("g", vec![record])]).await;
    world.healthy(0).await;
    let socket = TcpSocket::from_std_stream(inside.tcp_stream_socket(client).unwrap());
    let stream = soon("a connection", socket.connect(SocketAddr::from((balancer, 80)))).await.unwrap();
    let mut client = Client::on(stream);
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.response().await.text(), "172.31.0.30");
    assert!(peers.lock().unwrap().iter().all(|peer| peer.ip() == balancer), "{peers:?}");
    drop(client);
    world.stop();
    world.ended().await;
    server.abort();
}

#[tokio::test]
async fn a_namespace_may_come_after_its_load_balancer() {
    let plan = Plan { network: Network::Namespaces("/nonexistent/netns".into()), ..Plan::default() };
    let mut world = World::start_unready(plan, vec![group("g", Vec::new())]).await;
    let report = world
        .control
        .expect("an error", |report| matches!(report, gantry_link::FromLb::Listener { error: Some(_), .. }))
        .await;
    let words = format!("{report:?}");
    assert!(words.contains("/nonexistent/netns/vpc-1"), "{words}");
    assert_eq!(world.get("/").await.status, 503, "outside it listens all the same");
}
