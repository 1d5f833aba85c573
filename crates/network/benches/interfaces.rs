//! How long an interface and a change of security groups take. Run as root:
//! `cargo bench -p gantry-network`. It works in a network and a mount namespace of its own.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use gantry_network::{
    Attachment, Instance, InterfaceConfig, Ipv4Cidr, MacAddress, Member, NamespaceSockets, NetworkConfig,
    Peer, PortRange, Rule, SecurityGroup, Traffic, UPLINK_RANGE_DEFAULT, VpcConfig, VpcSecurity, Vpcs,
};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

const INTERFACES: u16 = 100;
const RULES_PER_GROUP: u16 = 10;

fn main() {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).expect("run this benchmark as root");
    let nothing = None::<&str>;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing).expect("private mounts");
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), nothing).expect("a /run of its own");
    let config = NetworkConfig {
        run_dir: PathBuf::from("/run/gantry-bench"),
        instance: Instance::new("bench").expect("a valid name"),
        uplink_range: UPLINK_RANGE_DEFAULT,
    };
    let vpcs = Vpcs::new(config.clone()).expect("open the network");
    let vpc = VpcConfig {
        vpc_id: "vpc-00000000000000001".into(),
        cidrs: vec!["172.31.0.0/16".parse().expect("a range")],
        dns_address: Ipv4Addr::new(172, 31, 0, 2),
        local_addresses: BTreeSet::new(),
        service_addresses: BTreeSet::new(),
    };
    let begin = Instant::now();
    vpcs.ensure_vpc(&vpc).expect("make a VPC");
    println!("ensure_vpc, new            {:>9.1?}", begin.elapsed());
    let begin = Instant::now();
    vpcs.ensure_vpc(&vpc).expect("make a VPC");
    println!("ensure_vpc, again          {:>9.1?}", begin.elapsed());

    report(
        "add_interface",
        (0..INTERFACES).map(|number| {
            let begin = Instant::now();
            vpcs.add_interface(&interface(number)).expect("add an interface");
            begin.elapsed()
        }),
    );
    report(
        "add_interface, again",
        (0..INTERFACES).map(|number| {
            let begin = Instant::now();
            vpcs.add_interface(&interface(number)).expect("add an interface");
            begin.elapsed()
        }),
    );

    let mut security = VpcSecurity::default();
    for group in 0..10 {
        security.groups.insert(group_id(group), a_group(group));
    }
    let mut times = Vec::new();
    for number in 0..INTERFACES {
        security.members.push(Member {
            address: address(number),
            attachment: Attachment::Interface(interface(number).interface_id),
            groups: [group_id(number % 10), group_id((number + 1) % 10)].into(),
        });
        let begin = Instant::now();
        vpcs.set_security(&vpc.vpc_id, security.clone()).expect("apply security groups");
        times.push(begin.elapsed());
    }
    report("set_security, one more member", times.into_iter());
    report(
        "set_security, one rule changed",
        (0..100).map(|round| {
            let rule =
                Rule { traffic: Traffic::Tcp(PortRange::one(round + 1)), peer: Peer::Cidr(Ipv4Cidr::ANY) };
            let group = security.groups.get_mut(&group_id(0)).expect("the group exists");
            group.ingress[0] = rule;
            let begin = Instant::now();
            vpcs.set_security(&vpc.vpc_id, security.clone()).expect("apply security groups");
            begin.elapsed()
        }),
    );
    report(
        "set_security, after a restart",
        (0..20).map(|_| {
            let vpcs = Vpcs::new(config.clone()).expect("open the network");
            vpcs.ensure_vpc(&vpc).expect("find the VPC");
            let begin = Instant::now();
            vpcs.set_security(&vpc.vpc_id, security.clone()).expect("apply security groups");
            begin.elapsed()
        }),
    );
    {
        let sockets = NamespaceSockets::open(&vpcs.vpc_namespace(&vpc.vpc_id)).expect("open the namespace");
        report(
            "tcp_stream_socket",
            (0..1000).map(|_| {
                let begin = Instant::now();
                sockets.tcp_stream_socket(vpc.dns_address).expect("make a socket");
                begin.elapsed()
            }),
        );
    }
    report(
        "remove_interface",
        (0..INTERFACES).map(|number| {
            let begin = Instant::now();
            vpcs.remove_interface(&vpc.vpc_id, &interface(number).interface_id).expect("remove an interface");
            begin.elapsed()
        }),
    );
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for number in 0..50 {
            let vpcs = &vpcs;
            scope.spawn(move || vpcs.add_interface(&interface(number)).expect("add an interface"));
        }
    });
    println!("50 x add_interface at once {:>9.1?}", begin.elapsed());
    let begin = Instant::now();
    vpcs.teardown_all().expect("clear up");
    println!("teardown_all of these      {:>9.1?}", begin.elapsed());
}

fn report(what: &str, times: impl Iterator<Item = Duration>) {
    let mut times: Vec<_> = times.collect();
    times.sort();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    println!("{what:<30} p50 {:>9.1?}  p95 {:>9.1?}  max {:>9.1?}", at(50), at(95), at(100));
}

fn interface(number: u16) -> InterfaceConfig {
    let [high, low] = number.to_be_bytes();
    InterfaceConfig {
        vpc_id: "vpc-00000000000000001".into(),
        interface_id: format!("eni-{number:08x}000000000").as_str().into(),
        mac: MacAddress([2, 0, 0, 0, high, low]),
        address: address(number),
    }
}

fn address(number: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(Ipv4Addr::new(172, 31, 1, 0)) + u32::from(number))
}

fn group_id(number: u16) -> gantry_types::SecurityGroupId {
    format!("sg-{number:017x}").as_str().into()
}

fn a_group(number: u16) -> SecurityGroup {
    let port = |rule: u16| Traffic::Tcp(PortRange::one(8000 + rule));
    let from_group = Rule { traffic: Traffic::All, peer: Peer::Group(group_id((number + 3) % 10)) };
    let ingress =
        (0..RULES_PER_GROUP).map(|rule| Rule { traffic: port(rule), peer: Peer::Cidr(Ipv4Cidr::ANY) });
    SecurityGroup {
        ingress: ingress.chain([from_group]).collect(),
        egress: vec![Rule { traffic: Traffic::All, peer: Peer::Cidr(Ipv4Cidr::ANY) }],
    }
}
