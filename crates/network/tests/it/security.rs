//! Security groups, packet by packet.

use std::net::SocketAddrV4;

use gantry_network::{IcmpKind, Peer, PortRange, SecurityGroup, Traffic};

use crate::world::*;

#[test]
fn rules_name_groups_ranges_and_themselves() {
    world(|| {
        let vpcs = vpcs();
        vpcs.ensure_vpc(&vpc_config(VPC)).unwrap();
        for number in [10, 11, 12, 13] {
            add(&vpcs, number);
        }
        let web = Traffic::Tcp(PortRange::one(80));
        let groups = [
            // "a" takes anything from its own members, and port 80 from "b".
            ("a", group(&[from_group("a"), rule(web, from_group("b").peer)])),
            ("b", group(&[rule(web, Peer::Cidr(cidr("172.31.0.12/31")))])),
            ("c", group(&[])),
        ];
        let members = [
            member(VPC, 10, &["a"]),
            member(VPC, 11, &["a"]),
            member(VPC, 12, &["b"]),
            member(VPC, 13, &["c"]),
        ];
        vpcs.set_security(&VPC.into(), security(&groups, &members)).unwrap();
        let servers: Vec<_> = [10, 12, 13]
            .iter()
            .flat_map(|number| {
                [80, 81].map(|port| Server::start(&namespace_of(*number), address(*number), port))
            })
            .collect();
        let addresses: Vec<_> = servers.iter().map(|server| server.address).collect();
        // All at once, since most of it is waiting.
        let seen = std::thread::scope(|scope| {
            let mut attempts = Vec::new();
            for client in [10, 11, 12, 13] {
                for server in addresses.iter().filter(|server| *server.ip() != address(client)) {
                    attempts.push(scope.spawn(move || {
                        let outcome = if answers(&namespace_of(client), *server) { "passes" } else { "-" };
                        format!("{client} to {}:{} {outcome}\n", server.ip().octets()[3], server.port())
                    }));
                }
            }
            attempts.into_iter().map(|attempt| attempt.join().unwrap()).collect::<String>()
        });
        let expected = "\
10 to 12:80 -
10 to 12:81 -
10 to 13:80 -
10 to 13:81 -
11 to 10:80 passes
11 to 10:81 passes
11 to 12:80 -
11 to 12:81 -
11 to 13:80 -
11 to 13:81 -
12 to 10:80 passes
12 to 10:81 -
12 to 13:80 -
12 to 13:81 -
13 to 10:80 -
13 to 10:81 -
13 to 12:80 passes
13 to 12:81 -
";
        assert_eq!(seen, expected);
    });
}

#[test]
fn egress_rules_bind_the_sender() {
    world(|| {
        let vpcs = vpcs();
        vpcs.ensure_vpc(&vpc_config(VPC)).unwrap();
        let (one, two) = (add(&vpcs, 10), add(&vpcs, 11));
        let sender = SecurityGroup {
            ingress: vec![],
            egress: vec![rule(
                Traffic::Tcp(PortRange::new(80, 81).unwrap()),
                Peer::Group(group_id("b").as_str().into()),
            )],
        };
        let groups = [("a", sender), ("b", group(&[from_anywhere()]))];
        let members = [member(VPC, 10, &["a"]), member(VPC, 11, &["b"])];
        vpcs.set_security(&VPC.into(), security(&groups, &members)).unwrap();
        for (port, passes) in [(79, false), (80, true), (81, true), (82, false)] {
            let server = Server::start(&two.path, address(11), port);
            assert_eq!(reaches(&one.path, &server), passes, "port {port}");
        }
    });
}

#[test]
fn several_groups_add_up() {
    world(|| {
        let vpcs = vpcs();
        vpcs.ensure_vpc(&vpc_config(VPC)).unwrap();
        let (one, two) = (add(&vpcs, 10), add(&vpcs, 11));
        let takes = |port| group(&[rule(Traffic::Tcp(PortRange::one(port)), Peer::Cidr(ANYWHERE))]);
        let groups = [("a", takes(80)), ("b", takes(81)), ("c", takes(82))];
        let members = [member(VPC, 10, &["a"]), member(VPC, 11, &["a", "b"])];
        vpcs.set_security(&VPC.into(), security(&groups, &members)).unwrap();
        for (port, passes) in [(80, true), (81, true), (82, false)] {
            let server = Server::start(&two.path, address(11), port);
            assert_eq!(reaches(&one.path, &server), passes, "port {port}");
        }
    });
}

#[test]
fn a_change_of_rules_leaves_established_flows_alone() {
    world(|| {
        let vpcs = vpcs();
        vpcs.ensure_vpc(&vpc_config(VPC)).unwrap();
        let (one, two) = (add(&vpcs, 10), add(&vpcs, 11));
        vpcs.set_security(&VPC.into(), open_security(&[10, 11])).unwrap();
        let server = Server::start(&two.path, address(11), 80);
        let client = connect(&one.path, server.address, PATIENCE).unwrap();
        server.accept();
        let accepted = server.connection();
        assert!(talks(&client, &accepted));

        let members = [member(VPC, 10, &["b"]), member(VPC, 11, &["b"])];
        vpcs.set_security(&VPC.into(), security(&[("b", SecurityGroup::default())], &members)).unwrap();
        assert!(!reaches(&one.path, &server), "a new flow meets the new rules");
        assert!(talks(&client, &accepted), "the old one goes on");

        // The next process knows nothing of the rules that are there, and replaces them all the same.
        let next = vpcs_again(vpcs);
        next.ensure_vpc(&vpc_config(VPC)).unwrap();
        assert!(!reaches(&one.path, &server), "the rules outlive the process that made them");
        next.set_security(&VPC.into(), open_security(&[10, 11])).unwrap();
        assert!(reaches(&one.path, &server));
        assert!(talks(&client, &accepted));
    });
}

#[test]
fn a_load_balancers_address_has_groups_too() {
    world(|| {
        let vpcs = vpcs();
        let balancer = address(200);
        let mut config = vpc_config(VPC);
        config.local_addresses.insert(balancer);
        vpcs.ensure_vpc(&config).unwrap();
        let (client, target) = (add(&vpcs, 10), add(&vpcs, 11));
        let web = Traffic::Tcp(PortRange::one(80));
        let application = Traffic::Tcp(PortRange::one(8080));
        let balancer_group = SecurityGroup {
            ingress: vec![rule(web, Peer::Cidr(ANYWHERE))],
            egress: vec![rule(application, from_group("t").peer)],
        };
        let target_group = group(&[rule(Traffic::All, from_group("1").peer)]);
        let mut rules = security(
            &[("1", balancer_group), ("2", target_group.clone()), ("c", group(&[]))],
            &[member(VPC, 10, &["c"]), member(VPC, 11, &["2"])],
        );
        // The load balancer may send to its targets' group only.
        let to_targets = rule(application, from_group("2").peer);
        rules.groups.get_mut(&group_id("1").as_str().into()).unwrap().egress = vec![to_targets];
        rules.members.push(own_member(balancer, &["1"]));
        vpcs.set_security(&VPC.into(), rules).unwrap();

        let sockets = inside(&vpcs.vpc_namespace(&VPC.into()));
        let listen = |port| Server::of(sockets.tcp_listener(SocketAddrV4::new(balancer, port)).unwrap());
        assert!(reaches(&client.path, &listen(80)));
        assert!(!reaches(&client.path, &listen(81)));

        let server = |path, number, port| Server::start(path, address(number), port);
        let connects = |server: &Server| {
            let socket = sockets.tcp_stream_socket(balancer).unwrap();
            try_connect(socket, server.address, SILENCE).is_some()
        };
        assert!(connects(&server(&target.path, 11, 8080)));
        assert!(!connects(&server(&target.path, 11, 8081)), "its egress rules bind it");
        assert!(!connects(&server(&client.path, 10, 8080)), "and so do the target's ingress rules");
        assert!(
            !reaches(&client.path, &server(&target.path, 11, 8080)),
            "targets take from the load balancer alone"
        );
    });
}

#[test]
fn udp_and_icmp_are_told_apart() {
    world(|| {
        let vpcs = vpcs();
        vpcs.ensure_vpc(&vpc_config(VPC)).unwrap();
        let (one, two) = (add(&vpcs, 10), add(&vpcs, 11));
        let apply = |traffic| {
            let groups = [("a", group(&[rule(traffic, Peer::Cidr(ANYWHERE))]))];
            let rules = security(&groups, &[member(VPC, 10, &["a"]), member(VPC, 11, &["a"])]);
            vpcs.set_security(&VPC.into(), rules).unwrap();
        };
        let echo = |traffic| {
            apply(traffic);
            ping(&one.path, address(11))
        };
        assert!(echo(Traffic::Icmp(IcmpKind::Any)));
        assert!(echo(Traffic::Icmp(IcmpKind::Type(8))));
        assert!(echo(Traffic::Icmp(IcmpKind::TypeAndCode(8, 0))));
        assert!(!echo(Traffic::Icmp(IcmpKind::TypeAndCode(8, 1))));
        assert!(!echo(Traffic::Icmp(IcmpKind::Type(3))));
        assert!(!echo(Traffic::Udp(PortRange::ALL)));

        let server = Server::start(&two.path, address(11), 80);
        assert!(!reaches(&one.path, &server));
        apply(Traffic::Protocol(6));
        assert!(reaches(&one.path, &server));
    });
}

#[test]
fn refused_rules_leave_the_old_ones() {
    world(|| {
        let vpcs = vpcs();
        vpcs.ensure_vpc(&vpc_config(VPC)).unwrap();
        let (one, two) = (add(&vpcs, 10), add(&vpcs, 11));
        vpcs.set_security(&VPC.into(), open_security(&[10, 11])).unwrap();
        let twice = security(&[], &[member(VPC, 10, &[]), member(VPC, 10, &[])]);
        assert!(vpcs.set_security(&VPC.into(), twice).is_err());
        assert!(reaches(&one.path, &Server::start(&two.path, address(11), 80)));
    });
}
