//! Who reaches whom.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream, UdpSocket};

use gantry_network::{CREDENTIALS_ADDRESS, METADATA_ADDRESS, VpcSecurity};

use crate::world::*;

#[test]
fn two_tasks_talk_through_the_vpc() {
    world(|| {
        let vpcs = vpcs();
        vpcs.ensure_vpc(&vpc_config(VPC)).unwrap();
        let (one, two) = (add(&vpcs, 10), add(&vpcs, 11));
        vpcs.set_security(&VPC.into(), open_security(&[10, 11])).unwrap();
        let server = Server::start(&two.path, address(11), 80);
        let client = connect(&one.path, server.address, PATIENCE).unwrap();
        assert_eq!(server.accept(), address(10));
        assert!(talks(&client, &server.connection()));
    });
}

#[test]
fn the_first_packet_gets_through_as_soon_as_the_interface_is_added() {
    world(|| {
        let vpcs = vpcs();
        vpcs.ensure_vpc(&vpc_config(VPC)).unwrap();
        vpcs.set_security(&VPC.into(), open_security(&[10, 11, 12, 13, 14, 15])).unwrap();
        let server = Server::start(&add(&vpcs, 10).path, address(10), 80);
        for number in 11..16 {
            let task = add(&vpcs, number);
            // A lost SYN is sent again after a second.
            connect(&task.path, server.address, SILENCE).unwrap();
            assert_eq!(server.accept(), address(number));
            let reverse = Server::start(&task.path, address(number), 80);
            connect(&namespace_of(10), reverse.address, SILENCE).unwrap();
        }
    });
}

#[test]
fn without_security_groups_only_dns_and_metadata_are_within_reach() {
    world(|| {
        let vpcs = vpcs();
        vpcs.ensure_vpc(&vpc_config(VPC)).unwrap();
        let (one, two) = (add(&vpcs, 10), add(&vpcs, 11));
        let vpc = vpcs.vpc_namespace(&VPC.into());
        let peer = Server::start(&two.path, address(11), 80);
        let dns = Server::start(&vpc, address(2), 53);
        let credentials = Server::start(&vpc, CREDENTIALS_ADDRESS, 80);
        let metadata = Server::start(&vpc, METADATA_ADDRESS, 80);

        // Nobody knows the interface yet, so its packets end at the first link.
        assert!(!reaches(&one.path, &credentials));
        let nobody = security(&[("a", group(&[]))], &[member(VPC, 10, &[]), member(VPC, 11, &["a"])]);
        vpcs.set_security(&VPC.into(), nobody).unwrap();
        for server in [&dns, &credentials, &metadata] {
            assert!(reaches(&one.path, server), "{}", server.address);
            assert_eq!(server.accept(), address(10), "the peer address tells which task asks");
        }
        assert!(!reaches(&one.path, &peer), "a task without groups sends nothing");
        assert!(!reaches(&two.path, &Server::start(&one.path, address(10), 80)), "and takes nothing");
    });
}

#[test]
fn a_task_reaches_outside_under_the_hosts_address() {
    world(|| {
        let outside = Outside::new();
        let vpcs = vpcs();
        vpcs.ensure_vpc(&vpc_config(VPC)).unwrap();
        let task = add(&vpcs, 10);
        vpcs.set_security(&VPC.into(), open_security(&[10])).unwrap();
        let server = outside.server(80);
        let client = connect(&task.path, server.address, PATIENCE).unwrap();
        assert_eq!(server.accept(), Outside::HOST_ADDRESS);
        assert!(talks(&client, &server.connection()));

        // The way back in is for answers alone, even for a router that knows the way.
        ip(&format!("-n outside route add 169.254.192.0/18 via {}", Outside::HOST_ADDRESS));
        let own = Server::start(&vpcs.vpc_namespace(&VPC.into()), Ipv4Addr::UNSPECIFIED, 80);
        let uplink = SocketAddrV4::new(Ipv4Addr::new(169, 254, 192, 2), own.address.port());
        let error = connect(&outside.namespace(), uplink, SILENCE).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let error = TcpStream::connect_timeout(&uplink.into(), SILENCE).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "nor does the host itself get in");

        // The host and the VPC each see to that alone.
        run_inside(&vpcs.vpc_namespace(&VPC.into()), || nft("flush ruleset"));
        let error = connect(&outside.namespace(), uplink, SILENCE).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "the host's table keeps it out");
    });
}

#[test]
fn a_link_carries_what_the_hosts_way_out_carries() {
    world(|| {
        let _outside = Outside::new();
        ip("link set wan mtu 1400");
        let vpcs = vpcs();
        vpcs.ensure_vpc(&vpc_config(VPC)).unwrap();
        let task = add(&vpcs, 10);
        assert!(run_inside(&task.path, || ip("link show eth0")).contains("mtu 1400"));
    });
}

#[test]
fn the_hosts_firewall_makes_room_for_vpcs() {
    world(|| {
        let outside = Outside::new();
        // As Docker leaves it: iptables' FORWARD chain drops by default.
        nft("add table ip filter");
        nft("add chain ip filter FORWARD { type filter hook forward priority 0 ; policy drop ; }");
        let vpcs = vpcs();
        vpcs.ensure_vpc(&vpc_config(VPC)).unwrap();
        vpcs.ensure_vpc(&vpc_config(VPC)).unwrap();
        let rules = nft("list chain ip filter FORWARD");
        assert_eq!(rules.matches("gantry-t1").count(), 2, "one rule for each direction:\n{rules}");
        let task = add(&vpcs, 10);
        vpcs.set_security(&VPC.into(), open_security(&[10])).unwrap();
        let server = outside.server(80);
        let client = connect(&task.path, server.address, PATIENCE).unwrap();
        server.accept();
        assert!(talks(&client, &server.connection()));

        vpcs.teardown_all().unwrap();
        let rules = nft("list chain ip filter FORWARD");
        assert!(!rules.contains("gantry") && rules.contains("policy drop"), "as it was before:\n{rules}");
    });
}

#[test]
fn a_false_source_address_gets_nowhere() {
    world(|| {
        let vpcs = vpcs();
        vpcs.ensure_vpc(&vpc_config(VPC)).unwrap();
        let (one, three) = (add(&vpcs, 10), add(&vpcs, 12));
        add(&vpcs, 11);
        vpcs.set_security(&VPC.into(), open_security(&[10, 11, 12])).unwrap();
        let receiver = inside(&three.path).with(|| UdpSocket::bind((address(12), 53))).unwrap();
        receiver.set_read_timeout(Some(PATIENCE)).unwrap();
        let send_as = |source: Ipv4Addr| {
            let socket = inside(&one.path).with(|| UdpSocket::bind((source, 0))).unwrap();
            socket.send_to(&source.octets(), (address(12), 53)).unwrap();
        };
        run_inside(&one.path, || {
            ip("addr add 172.31.0.11/32 dev eth0");
            ip("addr add 203.0.113.9/32 dev eth0");
        });
        send_as(address(11));
        send_as(Ipv4Addr::new(203, 0, 113, 9));
        // The true one is sent last and arrives first.
        send_as(address(10));
        let mut buffer = [0; 4];
        let (_, peer) = receiver.recv_from(&mut buffer).unwrap();
        assert_eq!((peer.ip(), buffer), (address(10).into(), address(10).octets()));
        receiver.set_read_timeout(Some(SILENCE)).unwrap();
        assert!(receiver.recv_from(&mut buffer).is_err(), "nothing else arrives");
    });
}

#[test]
fn equal_addresses_in_two_vpcs_are_apart() {
    const OTHER: &str = "vpc-00000000000000002";
    world(|| {
        let outside = Outside::new();
        let vpcs = vpcs();
        for vpc in [VPC, OTHER] {
            vpcs.ensure_vpc(&vpc_config(vpc)).unwrap();
            vpcs.add_interface(&interface(vpc, 10)).unwrap();
            vpcs.add_interface(&interface(vpc, 11)).unwrap();
            let members = [member(vpc, 10, &["a"]), member(vpc, 11, &["a"])];
            vpcs.set_security(&vpc.into(), security(&[("a", group(&[from_anywhere()]))], &members)).unwrap();
        }
        let path = |vpc: &str, number| std::path::Path::new(RUN_DIR).join("netns").join(eni(vpc, number));
        let here = Server::start(&path(VPC, 11), address(11), 80);
        let there = Server::start(&path(OTHER, 11), address(11), 80);
        let client = connect(&path(OTHER, 10), there.address, PATIENCE).unwrap();
        there.accept();
        assert!(talks(&client, &there.connection()));
        assert!(here.nobody_waits(), "the same address in the other VPC saw nothing");

        // Both go out at once, under one address.
        let server = outside.server(80);
        for vpc in [VPC, OTHER] {
            let client = connect(&path(vpc, 10), server.address, PATIENCE).unwrap();
            assert_eq!(server.accept(), Outside::HOST_ADDRESS);
            assert!(talks(&client, &server.connection()));
        }

        // A VPC's uplink is no way into another.
        let own = Server::start(&vpcs.vpc_namespace(&OTHER.into()), Ipv4Addr::UNSPECIFIED, 80);
        for last in [2, 6] {
            let uplink = SocketAddrV4::new(Ipv4Addr::new(169, 254, 192, last), own.address.port());
            assert!(connect(&path(VPC, 10), uplink, SILENCE).is_err());
        }
        assert!(own.nobody_waits());
    });
}

#[test]
fn an_address_that_nobody_has_is_refused_at_once() {
    world(|| {
        let _outside = Outside::new();
        let vpcs = vpcs();
        vpcs.ensure_vpc(&vpc_config(VPC)).unwrap();
        let task = add(&vpcs, 10);
        vpcs.set_security(&VPC.into(), open_security(&[10])).unwrap();
        let error = connect(&task.path, SocketAddrV4::new(address(99), 80), PATIENCE).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::HostUnreachable);
    });
}

#[test]
fn a_process_outside_uses_addresses_of_the_vpc() {
    world(|| {
        let vpcs = vpcs();
        let mut config = vpc_config(VPC);
        let balancer = address(200);
        config.local_addresses.insert(balancer);
        vpcs.ensure_vpc(&config).unwrap();
        let task = add(&vpcs, 10);
        let mut rules = open_security(&[10]);
        rules.members.push(own_member(balancer, &["a"]));
        vpcs.set_security(&VPC.into(), rules).unwrap();
        let sockets = inside(&vpcs.vpc_namespace(&VPC.into()));

        // To a target, from the load balancer's own address.
        let target = Server::start(&task.path, address(10), 8080);
        let socket = sockets.tcp_stream_socket(balancer).unwrap();
        let connected = finish_connect(socket, target.address);
        assert_eq!(target.accept(), balancer);
        assert!(talks(&connected, &target.connection()));

        // Many to the same target.
        let more: Vec<_> = (0..50)
            .map(|_| finish_connect(sockets.tcp_stream_socket(balancer).unwrap(), target.address))
            .collect();
        more.iter().for_each(|_| assert_eq!(target.accept(), balancer));

        // From a task to the load balancer.
        let listener = sockets.tcp_listener(SocketAddrV4::new(balancer, 80)).unwrap();
        let server = Server::of(listener);
        assert!(reaches(&task.path, &server));
        assert_eq!(server.accept(), address(10));

        let shards = sockets.tcp_listeners(SocketAddrV4::new(balancer, 81), 3).unwrap();
        assert_eq!(shards.len(), 3);

        // Before the address is there: the node gives it while the load balancer opens its listeners.
        let early = sockets.tcp_listener(SocketAddrV4::new(address(201), 80)).unwrap();
        assert_eq!(early.local_addr().unwrap().ip(), address(201));
        let error = sockets.tcp_stream_socket(address(201)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable, "but nothing is sent from it");

        let datagrams = sockets.udp_socket(SocketAddrV4::new(address(2), 53)).unwrap();
        let client = inside(&task.path).with(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
        client.send_to(b"?", (address(2), 53)).unwrap();
        assert_eq!(receive(&datagrams), (address(10), b"?".to_vec()));
    });
}

#[test]
fn a_thread_comes_back_from_a_namespace_also_when_its_work_panics() {
    world(|| {
        let vpcs = vpcs();
        vpcs.ensure_vpc(&vpc_config(VPC)).unwrap();
        let own = || std::fs::read_link("/proc/thread-self/ns/net").unwrap();
        let sockets = inside(&vpcs.vpc_namespace(&VPC.into()));
        let (before, inner) = (own(), sockets.with(|| Ok(own())).unwrap());
        assert_ne!(before, inner);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            sockets.with(|| -> io::Result<()> { panic!("expected by the test") })
        }));
        assert!(panicked.is_err());
        assert_eq!(own(), before);
    });
}

#[test]
fn what_does_not_exist_is_told() {
    world(|| {
        let vpcs = vpcs();
        let missing = vpcs.set_security(&VPC.into(), VpcSecurity::default()).unwrap_err();
        assert_eq!(missing.to_string(), "there is no vpc-00000000000000001 on this machine");
        assert!(vpcs.add_interface(&interface(VPC, 10)).is_err());
        let path = vpcs.vpc_namespace(&VPC.into());
        let error = gantry_network::NamespaceSockets::open(&path).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let mut config = vpc_config(VPC);
        config.cidrs.push(cidr("169.254.0.0/16"));
        let error = vpcs.ensure_vpc(&config).unwrap_err().to_string();
        assert!(error.contains("configure another uplink range"), "{error}");
    });
}
