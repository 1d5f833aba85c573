//! The DNS of a VPC, asked from inside a task.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gantry_network::dns::{Upstreams, Zone, ZoneConfig, serve};
use gantry_network::{NamespaceSockets, Vpcs};
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::sync::watch;

use crate::world::*;

const DNS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(172, 31, 0, 2), 53);

fn zone(names: &[(&str, Ipv4Addr)]) -> Arc<Zone> {
    let names = names.iter().map(|(name, address)| ((*name).to_owned(), vec![*address])).collect();
    let config = ZoneConfig { domains: vec!["localhost".into()], ranges: vec![cidr("172.31.0.0/16")], names };
    Arc::new(Zone::new(config).expect("a zone"))
}

/// Serves a VPC's DNS on a thread of its own until dropped.
struct Running {
    zone: watch::Sender<Arc<Zone>>,
    _stop: tokio::sync::oneshot::Sender<()>,
}

fn start(sockets: &NamespaceSockets, names: &[(&str, Ipv4Addr)], upstreams: Upstreams) -> Running {
    let (udp, tcp) = (sockets.udp_socket(DNS).unwrap(), sockets.tcp_listener(DNS).unwrap());
    let (sender, receiver) = watch::channel(zone(names));
    let (stop, stopped) = tokio::sync::oneshot::channel();
    // The thread is outside the VPC, as the real one.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            tokio::select! {
                outcome = serve(udp, tcp, receiver, Arc::new(upstreams)) => outcome.expect("serve"),
                _ = stopped => {}
            }
        });
    });
    Running { zone: sender, _stop: stop }
}

/// A resolver of the host that knows one address for every name. Silent when told so.
fn upstream() -> (SocketAddr, Arc<AtomicBool>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let silent = Arc::new(AtomicBool::new(false));
    let is_silent = silent.clone();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut buffer) {
            if !is_silent.load(Ordering::SeqCst) {
                let mut message = Message::from_vec(&buffer[..length]).unwrap().into_response();
                let name = message.queries[0].name().clone();
                message.add_answer(Record::from_rdata(name, 60, RData::A(A([198, 51, 100, 7].into()))));
                socket.send_to(&message.to_vec().unwrap(), client).unwrap();
            }
        }
    });
    (address, silent)
}

fn vpc_with_two_tasks() -> Vpcs {
    let vpcs = vpcs();
    vpcs.ensure_vpc(&vpc_config(VPC)).unwrap();
    add(&vpcs, 10);
    add(&vpcs, 11);
    let members = [member(VPC, 10, &[]), member(VPC, 11, &[])];
    vpcs.set_security(&VPC.into(), security(&[], &members)).unwrap();
    vpcs
}

fn question(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::new(4321, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message.to_vec().unwrap()
}

fn client(task: &Path) -> UdpSocket {
    let socket = inside(task).with(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(DNS).unwrap();
    socket
}

fn ask(task: &Path, name: &str, kind: RecordType) -> Message {
    let socket = client(task);
    socket.send(&question(name, kind)).unwrap();
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).unwrap();
    Message::from_vec(&buffer[..length]).unwrap()
}

fn ask_over_tcp(stream: &mut TcpStream, name: &str) -> Message {
    let question = question(name, RecordType::A);
    stream.write_all(&(question.len() as u16).to_be_bytes()).unwrap();
    stream.write_all(&question).unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut answer).unwrap();
    Message::from_vec(&answer).unwrap()
}

fn addresses(message: &Message) -> Vec<String> {
    assert_eq!(message.metadata.id, 4321);
    message.answers.iter().map(|record| record.data.to_string()).collect()
}

#[test]
fn own_names_are_answered_and_others_are_asked_for() {
    world(|| {
        let vpcs = vpc_with_two_tasks();
        let (resolver, _) = upstream();
        let sockets = inside(&vpcs.vpc_namespace(&VPC.into()));
        let dns = start(&sockets, &[("web.localhost", address(200))], Upstreams::fixed(vec![resolver]));
        let task = namespace_of(10);
        assert_eq!(addresses(&ask(&task, "web.localhost.", RecordType::A)), ["172.31.0.200"]);
        assert_eq!(addresses(&ask(&task, "200.0.31.172.in-addr.arpa.", RecordType::PTR)), ["web.localhost."]);
        let missing = ask(&task, "other.localhost.", RecordType::A);
        assert_eq!(missing.metadata.response_code, ResponseCode::NXDomain);
        assert_eq!(addresses(&ask(&task, "www.example.com.", RecordType::A)), ["198.51.100.7"]);

        // A name that changes is answered with its new address by the next answer.
        dns.zone.send_replace(zone(&[("web.localhost", address(201)), ("other.localhost", address(202))]));
        assert_eq!(addresses(&ask(&task, "web.localhost.", RecordType::A)), ["172.31.0.201"]);
        assert_eq!(addresses(&ask(&task, "other.localhost.", RecordType::A)), ["172.31.0.202"]);

        let mut stream = inside(&task).with(|| TcpStream::connect(DNS)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(addresses(&ask_over_tcp(&mut stream, "web.localhost.")), ["172.31.0.201"]);
        assert_eq!(addresses(&ask_over_tcp(&mut stream, "other.localhost.")), ["172.31.0.202"]);
    });
}

#[test]
fn a_resolver_that_does_not_answer_is_passed_over() {
    world(|| {
        let vpcs = vpc_with_two_tasks();
        let (silent, is_silent) = upstream();
        is_silent.store(true, Ordering::SeqCst);
        let (resolver, _) = upstream();
        let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
        let sockets = inside(&vpcs.vpc_namespace(&VPC.into()));
        let upstreams = Upstreams::fixed(vec![nobody, silent, resolver]);
        let _dns = start(&sockets, &[], upstreams);
        let answer = ask(&namespace_of(10), "www.example.com.", RecordType::A);
        assert_eq!(addresses(&answer), ["198.51.100.7"]);
    });
}

#[test]
fn without_a_resolver_the_client_is_told_at_once() {
    world(|| {
        let vpcs = vpc_with_two_tasks();
        let file = Path::new(RUN_DIR).join("resolv.conf");
        std::fs::write(&file, "# none\n").unwrap();
        let sockets = inside(&vpcs.vpc_namespace(&VPC.into()));
        let _dns = start(&sockets, &[], Upstreams::from_file(&file));
        let answer = ask(&namespace_of(10), "www.example.com.", RecordType::A);
        assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    });
}

#[test]
fn a_client_that_floods_takes_nobody_elses_place() {
    world(|| {
        let vpcs = vpc_with_two_tasks();
        let (resolver, silent) = upstream();
        silent.store(true, Ordering::SeqCst);
        let sockets = inside(&vpcs.vpc_namespace(&VPC.into()));
        let _dns = start(&sockets, &[("web.localhost", address(200))], Upstreams::fixed(vec![resolver]));
        // More questions than one client may have open: the last are refused while the first wait.
        let flood = client(&namespace_of(10));
        for _ in 0..100 {
            flood.send(&question("slow.example.com.", RecordType::A)).unwrap();
        }
        let mut buffer = [0; 512];
        let length = flood.recv(&mut buffer).unwrap();
        let refused = Message::from_vec(&buffer[..length]).unwrap();
        assert_eq!(refused.metadata.response_code, ResponseCode::ServFail);
        // Garbage ends nothing.
        flood.send(&[0xff; 40]).unwrap();
        flood.send(b"").unwrap();

        silent.store(false, Ordering::SeqCst);
        assert_eq!(addresses(&ask(&namespace_of(10), "web.localhost.", RecordType::A)), ["172.31.0.200"]);
        assert_eq!(addresses(&ask(&namespace_of(11), "www.example.com.", RecordType::A)), ["198.51.100.7"]);
    });
}
