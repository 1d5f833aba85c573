//! Containers behind an instance: who reaches them, what they reach, and what is left of them.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;

use gantry_network::{BridgeConfig, CREDENTIALS_ADDRESS, METADATA_ADDRESS, PortForward, PortProtocol, Vpcs};

use crate::world::*;

/// An instance at 172.31.0.20, and a neighbour at 172.31.0.10.
const INSTANCE: u8 = 20;
const NEIGHBOUR: u8 = 10;

fn with_instance(test: impl FnOnce(Vpcs) + Send) {
    world(|| {
        let vpcs = vpcs();
        vpcs.ensure_vpc(&vpc_config(VPC)).unwrap();
        add(&vpcs, INSTANCE);
        add(&vpcs, NEIGHBOUR);
        vpcs.set_security(&VPC.into(), open_security(&[INSTANCE, NEIGHBOUR])).unwrap();
        test(vpcs);
    });
}

fn config(container: &str, ports: &[(PortProtocol, u16, u16)]) -> BridgeConfig {
    let forward = |(protocol, host_port, container_port): &(PortProtocol, u16, u16)| PortForward {
        protocol: *protocol,
        host_port: *host_port,
        container_port: *container_port,
    };
    BridgeConfig {
        container: container.to_owned(),
        instance: eni(VPC, INSTANCE).as_str().into(),
        instance_address: address(INSTANCE),
        ports: ports.iter().map(forward).collect(),
    }
}

fn bridge(vpcs: &Vpcs, container: &str, ports: &[(PortProtocol, u16, u16)]) -> (PathBuf, Ipv4Addr) {
    let address = vpcs.bridge_container(&config(container, ports)).expect("connect a container");
    (vpcs.container_namespace(container), address)
}

fn remove(vpcs: &Vpcs, container: &str) {
    vpcs.remove_container(container, Some(&eni(VPC, INSTANCE).as_str().into())).expect("remove a container");
}

fn at(last: u8, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(address(last), port)
}

use PortProtocol::{Tcp, Udp};

#[test]
fn a_port_of_the_instance_leads_to_the_container() {
    with_instance(|vpcs| {
        let (one, one_address) = bridge(&vpcs, "t-1", &[(Tcp, 32768, 80)]);
        let (two, two_address) = bridge(&vpcs, "t-2", &[(Tcp, 32769, 80)]);
        assert_ne!(one_address, two_address);
        let (first, second) = (Server::start(&one, one_address, 80), Server::start(&two, two_address, 80));
        let neighbour = namespace_of(NEIGHBOUR);
        for (port, server) in [(32768, &first), (32769, &second)] {
            let client = connect(&neighbour, at(INSTANCE, port), PATIENCE).unwrap();
            assert_eq!(server.accept(), address(NEIGHBOUR), "the client's address is not hidden");
            assert!(talks(&client, &server.connection()));
        }
        // From the instance's own processes, from another container, and from the container itself.
        for (from, port, server) in
            [(namespace_of(INSTANCE), 32768, &first), (two, 32768, &first), (one.clone(), 32768, &first)]
        {
            let client = connect(&from, at(INSTANCE, port), PATIENCE).unwrap();
            server.accept();
            assert!(talks(&client, &server.connection()), "from {}", from.display());
        }
        // No other port leads anywhere, and the container's own address is nobody's outside.
        assert!(connect(&neighbour, at(INSTANCE, 80), PATIENCE).is_err());
        assert!(connect(&neighbour, SocketAddrV4::new(one_address, 80), SILENCE).is_err());
        assert!(first.nobody_waits() && second.nobody_waits());
    });
}

#[test]
fn datagrams_find_their_container_and_their_way_back() {
    with_instance(|vpcs| {
        let (path, own) = bridge(&vpcs, "t-1", &[(Udp, 5353, 53), (Tcp, 5353, 80)]);
        let server = inside(&path).udp_socket(SocketAddrV4::new(own, 53)).unwrap();
        let client = inside(&namespace_of(NEIGHBOUR)).udp_socket(at(NEIGHBOUR, 0)).unwrap();
        client.send_to(b"question", at(INSTANCE, 5353)).unwrap();
        let (peer, question) = receive(&server);
        assert_eq!((peer, &question[..]), (address(NEIGHBOUR), &b"question"[..]));
        let port = client.local_addr().unwrap().port();
        server.send_to(b"answer", SocketAddrV4::new(peer, port)).unwrap();
        assert_eq!(receive(&client), (address(INSTANCE), b"answer".to_vec()));
    });
}

#[test]
fn a_container_goes_out_under_its_instances_address() {
    with_instance(|vpcs| {
        let (path, _) = bridge(&vpcs, "t-1", &[]);
        let neighbour = Server::start(&namespace_of(NEIGHBOUR), address(NEIGHBOUR), 80);
        let client = connect(&path, neighbour.address, PATIENCE).unwrap();
        assert_eq!(neighbour.accept(), address(INSTANCE));
        assert!(talks(&client, &neighbour.connection()));
        let vpc = vpcs.vpc_namespace(&VPC.into());
        let nobody = security(&[("a", group(&[]))], &[member(VPC, INSTANCE, &["a"])]);
        vpcs.set_security(&VPC.into(), nobody).unwrap();
        for own in [address(2), CREDENTIALS_ADDRESS, METADATA_ADDRESS] {
            let server = Server::start(&vpc, own, 80);
            assert!(reaches(&path, &server), "{own}");
            assert_eq!(server.accept(), address(INSTANCE));
        }
    });
}

#[test]
fn the_instances_security_groups_hold_for_its_containers() {
    with_instance(|vpcs| {
        let (path, own) = bridge(&vpcs, "t-1", &[(Tcp, 32768, 80)]);
        let server = Server::start(&path, own, 80);
        let members = [member(VPC, INSTANCE, &["a"]), member(VPC, NEIGHBOUR, &["b"])];
        let groups = |rules: &[_]| security(&[("a", group(rules)), ("b", group(&[]))], &members);
        vpcs.set_security(&VPC.into(), groups(&[])).unwrap();
        let port = SocketAddrV4::new(address(INSTANCE), 32768);
        assert!(!answers(&namespace_of(NEIGHBOUR), port));
        vpcs.set_security(&VPC.into(), groups(&[from_group("b")])).unwrap();
        assert!(answers(&namespace_of(NEIGHBOUR), port));
        assert_eq!(server.accept(), address(NEIGHBOUR));
    });
}

#[test]
fn connecting_again_disturbs_nobody() {
    with_instance(|mut vpcs| {
        let ports = [(Tcp, 32768, 80), (Udp, 32768, 80)];
        let (path, own) = bridge(&vpcs, "t-1", &ports);
        bridge(&vpcs, "t-2", &[(Tcp, 32769, 80)]);
        let server = Server::start(&path, own, 80);
        let client = connect(&namespace_of(NEIGHBOUR), at(INSTANCE, 32768), PATIENCE).unwrap();
        server.accept();
        for _ in 0..3 {
            vpcs = vpcs_again(vpcs);
            assert_eq!(bridge(&vpcs, "t-1", &ports), (path.clone(), own));
            assert!(talks(&client, &server.connection()));
            assert_eq!(vpcs.list_containers().unwrap(), ["t-1", "t-2"]);
        }
        let tables = run_inside(&namespace_of(INSTANCE), || nft("list tables"));
        assert_eq!(tables.matches("table inet port-").count(), 3, "{tables}");
    });
}

#[test]
fn nothing_is_left_of_a_container_and_its_port_is_free() {
    with_instance(|vpcs| {
        let links = || run_inside(&namespace_of(INSTANCE), || ip("-o link show"));
        bridge(&vpcs, "t-0", &[]);
        let before = links();
        let (_, first) = bridge(&vpcs, "t-1", &[(Tcp, 8080, 80)]);
        // The next one is there before the last one is gone, as a node that clears up late makes it.
        let (path, second) = bridge(&vpcs, "t-2", &[(Tcp, 8080, 80)]);
        assert_ne!(first, second);
        let server = Server::start(&path, second, 80);
        for _ in 0..2 {
            remove(&vpcs, "t-1");
            connect(&namespace_of(NEIGHBOUR), at(INSTANCE, 8080), PATIENCE).unwrap();
            server.accept();
        }
        drop(server);
        remove(&vpcs, "t-2");
        assert!(connect(&namespace_of(NEIGHBOUR), at(INSTANCE, 8080), PATIENCE).is_err());
        assert_eq!(links(), before);
        assert_eq!(vpcs.list_containers().unwrap(), ["t-0"]);
        let tables = run_inside(&namespace_of(INSTANCE), || nft("list tables"));
        assert!(!tables.contains("port-"), "{tables}");
        vpcs.teardown_all().unwrap();
        assert_eq!(ip("-o link show").lines().count(), 1, "only the loopback is left");
    });
}

#[test]
fn what_a_killed_process_left_is_made_anew() {
    with_instance(|vpcs| {
        let (path, own) = bridge(&vpcs, "t-1", &[(Tcp, 32768, 80)]);
        // Without its namespace, without its link, and without its address.
        let damages: [&(dyn Fn() + Sync); 3] = [
            &|| unmount(&path),
            &|| drop(run_inside(&namespace_of(INSTANCE), || ip("link delete c0002"))),
            &|| drop(run_inside(&path, || ip("addr flush dev eth0"))),
        ];
        for damage in damages {
            damage();
            let (path, again) = bridge(&vpcs, "t-1", &[(Tcp, 32768, 80)]);
            assert_eq!(again, own);
            let server = Server::start(&path, own, 80);
            connect(&namespace_of(NEIGHBOUR), at(INSTANCE, 32768), PATIENCE).unwrap();
            assert_eq!(server.accept(), address(NEIGHBOUR));
        }
    });
}

#[test]
fn an_isolated_container_has_a_loopback_and_nothing_else() {
    with_instance(|vpcs| {
        for _ in 0..2 {
            let path = vpcs.isolate_container("t-1").unwrap();
            let shown = run_inside(&path, || ip("-o -4 addr show"));
            assert!(shown.lines().count() == 1 && shown.contains("127.0.0.1"), "{shown}");
        }
        vpcs.remove_container("t-1", None).unwrap();
        assert!(vpcs.list_containers().unwrap().is_empty());
    });
}

#[test]
fn what_is_no_name_of_a_container_becomes_no_path() {
    with_instance(|vpcs| {
        for name in ["", "a/b", "..", "a b", "ä", "x".repeat(129).as_str()] {
            assert!(vpcs.isolate_container(name).is_err(), "{name:?}");
            assert!(vpcs.remove_container(name, None).is_err(), "{name:?}");
        }
    });
}
