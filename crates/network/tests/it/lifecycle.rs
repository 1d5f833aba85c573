//! Repetition, restarts, crashes and clearing up.

use std::fs;
use std::path::Path;

use gantry_network::{ExistingInterface, MacAddress, Vpcs};

use crate::world::*;

/// What goes wrong, in words and deeds.
type Damage = (&'static str, fn(&Vpcs));

#[test]
fn everything_may_be_repeated_without_disturbing_anybody() {
    world(|| {
        let mut vpcs = vpcs();
        vpcs.ensure_vpc(&vpc_config(VPC)).unwrap();
        let (one, two) = (add(&vpcs, 10), add(&vpcs, 11));
        vpcs.set_security(&VPC.into(), open_security(&[10, 11])).unwrap();
        let server = Server::start(&two.path, address(11), 80);
        let client = connect(&one.path, server.address, PATIENCE).unwrap();
        server.accept();
        let links = || run_inside(&two.path, || ip("-o link show eth0"));
        let before = (links(), fs::read_to_string("/proc/thread-self/mountinfo").unwrap());
        for _ in 0..3 {
            // Each round by another process, so to speak.
            vpcs = vpcs_again(vpcs);
            vpcs.ensure_vpc(&vpc_config(VPC)).unwrap();
            vpcs.ensure_vpc(&vpc_config(VPC)).unwrap();
            assert_eq!((add(&vpcs, 10), add(&vpcs, 11)), (one.clone(), two.clone()));
            vpcs.set_security(&VPC.into(), open_security(&[10, 11])).unwrap();
            vpcs.set_security(&VPC.into(), open_security(&[10, 11])).unwrap();
            assert!(talks(&client, &server.connection()));
        }
        assert_eq!((links(), fs::read_to_string("/proc/thread-self/mountinfo").unwrap()), before);
        assert_eq!(ip("-o link show").matches("gtt1-").count(), 1, "one uplink");
    });
}

#[test]
fn the_next_process_finds_what_is_there() {
    world(|| {
        let vpcs = vpcs();
        vpcs.ensure_vpc(&vpc_config(VPC)).unwrap();
        add(&vpcs, 10);
        add(&vpcs, 11);
        let vpcs = vpcs_again(vpcs);
        let expected: Vec<_> = [10, 11]
            .iter()
            .map(|number| ExistingInterface {
                interface_id: eni(VPC, *number).as_str().into(),
                vpc_id: Some(VPC.into()),
                address: Some(address(*number)),
                namespace: Some(namespace_of(*number)),
            })
            .collect();
        assert_eq!(vpcs.list_interfaces().unwrap(), expected);

        // One has lost its namespace's file, the other its link.
        run_inside(&vpcs.vpc_namespace(&VPC.into()), || ip(&format!("link delete {}", link_of(10))));
        unmount(&namespace_of(11));
        let left = [
            ExistingInterface { namespace: None, ..expected[1].clone() },
            ExistingInterface { vpc_id: None, address: None, ..expected[0].clone() },
        ];
        assert_eq!(vpcs.list_interfaces().unwrap(), left);
        for number in [10, 11] {
            vpcs.remove_interface(&VPC.into(), &eni(VPC, number).as_str().into()).unwrap();
            vpcs.remove_interface(&VPC.into(), &eni(VPC, number).as_str().into()).unwrap();
        }
        assert_eq!(vpcs.list_interfaces().unwrap(), []);
    });
}

#[test]
fn an_interface_that_is_half_made_is_completed() {
    let damages: [Damage; 7] = [
        ("no namespace", |_| unmount(&namespace_of(11))),
        ("a file without a namespace", |_| {
            unmount(&namespace_of(11));
            fs::write(namespace_of(11), "").unwrap();
        }),
        ("no link", |_| drop(run_inside(&namespace_of(11), || ip("link delete eth0")))),
        ("no address inside", |_| drop(run_inside(&namespace_of(11), || ip("addr flush dev eth0")))),
        ("no way out", |_| drop(run_inside(&namespace_of(11), || ip("route flush all")))),
        ("another MAC address", |_| {
            drop(run_inside(&namespace_of(11), || ip("link set eth0 address 02:00:00:00:00:99")));
        }),
        ("no way in", |vpcs| {
            drop(run_inside(&vpcs.vpc_namespace(&VPC.into()), || ip("route delete 172.31.0.11")));
        }),
    ];
    world(|| {
        let mut vpcs = vpcs();
        vpcs.ensure_vpc(&vpc_config(VPC)).unwrap();
        let one = add(&vpcs, 10);
        vpcs.set_security(&VPC.into(), open_security(&[10, 11])).unwrap();
        for (damage, inflict) in damages {
            add(&vpcs, 11);
            inflict(&vpcs);
            vpcs = vpcs_again(vpcs);
            let two = add(&vpcs, 11);
            let server = Server::start(&two.path, address(11), 80);
            assert!(reaches(&one.path, &server), "after {damage}");
        }
    });
}

#[test]
fn an_address_moves_to_another_interface() {
    world(|| {
        let vpcs = vpcs();
        vpcs.ensure_vpc(&vpc_config(VPC)).unwrap();
        let (one, _) = (add(&vpcs, 10), add(&vpcs, 11));
        vpcs.remove_interface(&VPC.into(), &eni(VPC, 11).as_str().into()).unwrap();
        let mut next = interface(VPC, 12);
        next.address = address(11);
        next.mac = MacAddress([2, 0, 0, 0, 0, 77]);
        let two = vpcs.add_interface(&next).unwrap();
        let mut rules = open_security(&[10, 12]);
        rules.members[1].address = address(11);
        vpcs.set_security(&VPC.into(), rules).unwrap();
        assert!(reaches(&one.path, &Server::start(&two.path, address(11), 80)));
    });
}

#[test]
fn an_address_that_is_in_use_is_not_taken_away() {
    world(|| {
        let vpcs = vpcs();
        vpcs.ensure_vpc(&vpc_config(VPC)).unwrap();
        let (one, two) = (add(&vpcs, 10), add(&vpcs, 11));
        vpcs.set_security(&VPC.into(), open_security(&[10, 11])).unwrap();
        let mut thief = interface(VPC, 12);
        thief.address = address(11);
        let error = vpcs.add_interface(&thief).unwrap_err();
        assert_eq!(
            error.to_string(),
            "another interface in vpc-00000000000000001 has the address 172.31.0.11"
        );
        assert!(reaches(&one.path, &Server::start(&two.path, address(11), 80)));
        vpcs.remove_interface(&VPC.into(), &eni(VPC, 11).as_str().into()).unwrap();
        vpcs.add_interface(&thief).unwrap();
    });
}

#[test]
fn another_mount_namespace_keeps_no_network_alive() {
    world(|| {
        let vpcs = vpcs();
        vpcs.ensure_vpc(&vpc_config(VPC)).unwrap();
        add(&vpcs, 10);
        let mounts =
            || fs::read_to_string("/proc/thread-self/mountinfo").unwrap().matches(&eni(VPC, 10)).count();
        let (sender, receiver) = std::sync::mpsc::channel();
        let (go, gone) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            // As the shim of a container does.
            let shim = scope.spawn(move || {
                become_a_shim();
                sender.send(mounts()).unwrap();
                gone.recv_timeout(PATIENCE).unwrap();
                mounts()
            });
            assert_eq!(receiver.recv_timeout(PATIENCE).unwrap(), 1);
            vpcs.remove_interface(&VPC.into(), &eni(VPC, 10).as_str().into()).unwrap();
            go.send(()).unwrap();
            assert_eq!(shim.join().unwrap(), 0);
        });
    });
}

#[test]
fn a_vpc_that_is_half_made_is_completed() {
    world(|| {
        let outside = Outside::new();
        let mut vpcs = vpcs();
        vpcs.ensure_vpc(&vpc_config(VPC)).unwrap();
        add(&vpcs, 10);
        vpcs.set_security(&VPC.into(), open_security(&[10])).unwrap();
        let server = outside.server(80);
        let damages: [Damage; 4] = [
            ("no uplink", |_| drop(ip("link delete gtt1-0000"))),
            ("no address on the host", |_| drop(ip("addr flush dev gtt1-0000"))),
            ("no table on the host", |_| drop(nft("delete table inet gantry-t1"))),
            ("forwarding switched off", |_| fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap()),
        ];
        for (damage, inflict) in damages {
            inflict(&vpcs);
            vpcs = vpcs_again(vpcs);
            vpcs.ensure_vpc(&vpc_config(VPC)).unwrap();
            assert!(reaches(&namespace_of(10), &server), "after {damage}");
        }
        // A reboot that kept the files: everything else is gone.
        let path = vpcs.vpc_namespace(&VPC.into());
        drop(vpcs);
        ip("link delete gtt1-0000");
        unmount(&path);
        fs::write(&path, "").unwrap();
        let vpcs = crate::world::vpcs();
        vpcs.ensure_vpc(&vpc_config(VPC)).unwrap();
        add(&vpcs, 10);
        vpcs.set_security(&VPC.into(), open_security(&[10])).unwrap();
        assert!(reaches(&namespace_of(10), &server));
    });
}

#[test]
fn addresses_of_the_vpc_itself_follow_its_configuration() {
    world(|| {
        let vpcs = vpcs();
        let mut config = vpc_config(VPC);
        config.local_addresses.insert(address(200));
        config.service_addresses.insert(address(3));
        vpcs.ensure_vpc(&config).unwrap();
        let on_loopback = || {
            let listing = run_inside(&vpcs.vpc_namespace(&VPC.into()), || ip("-o -4 addr show lo"));
            listing
                .lines()
                .filter_map(|line| line.split_whitespace().nth(3))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let fixed = ["127.0.0.1/8", "169.254.169.254/32", "169.254.170.2/32", "172.31.0.2/32"];
        let with = |more: &[&str]| {
            let mut all: Vec<_> = fixed.iter().chain(more).map(|text| (*text).to_owned()).collect();
            all.sort();
            all
        };
        let sorted = || {
            let mut all = on_loopback();
            all.sort();
            all
        };
        assert_eq!(sorted(), with(&["172.31.0.200/32", "172.31.0.3/32"]));
        config.local_addresses = [address(201)].into();
        config.service_addresses.clear();
        vpcs.ensure_vpc(&config).unwrap();
        assert_eq!(sorted(), with(&["172.31.0.201/32"]));
    });
}

#[test]
fn nothing_is_left_after_clearing_up() {
    world(|| {
        let everything = || {
            [
                ip("-o link show"),
                ip("-o addr show"),
                ip("route show table all"),
                nft("list ruleset"),
                fs::read_to_string("/proc/thread-self/mountinfo").unwrap(),
                format!(
                    "{:?}",
                    fs::read_dir(RUN_DIR).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
                ),
            ]
        };
        let before = everything();
        let vpcs = vpcs();
        for vpc in [VPC, "vpc-00000000000000002"] {
            vpcs.ensure_vpc(&vpc_config(vpc)).unwrap();
            vpcs.add_interface(&interface(vpc, 10)).unwrap();
        }
        vpcs.set_security(&VPC.into(), open_security(&[10])).unwrap();
        // Somebody forgot a socket.
        let _held =
            inside(&vpcs.vpc_namespace(&VPC.into())).tcp_listener("172.31.0.2:53".parse().unwrap()).unwrap();
        let _held_inside = inside(&namespace_of(10)).tcp_listener("172.31.0.10:53".parse().unwrap()).unwrap();
        // The VPC whose namespace's file is gone is found by its uplink.
        unmount(&vpcs.vpc_namespace(&"vpc-00000000000000002".into()));
        vpcs_again(vpcs).teardown_all().unwrap();
        for (before, after) in before.iter().zip(everything()) {
            assert_eq!(before, &after);
        }
    });
}

#[test]
fn one_vpc_goes_and_the_others_stay() {
    world(|| {
        const OTHER: &str = "vpc-00000000000000002";
        let outside = Outside::new();
        let vpcs = vpcs();
        for vpc in [VPC, OTHER] {
            vpcs.ensure_vpc(&vpc_config(vpc)).unwrap();
            vpcs.add_interface(&interface(vpc, 10)).unwrap();
        }
        vpcs.set_security(&VPC.into(), open_security(&[10])).unwrap();
        vpcs.teardown_vpc(&OTHER.into()).unwrap();
        vpcs.teardown_vpc(&OTHER.into()).unwrap();
        assert_eq!(vpcs.list_interfaces().unwrap().len(), 1);
        assert!(!Path::new(RUN_DIR).join("netns").join(OTHER).exists());
        assert!(reaches(&namespace_of(10), &outside.server(80)));
        // Its pair of addresses is free again.
        vpcs.ensure_vpc(&vpc_config(OTHER)).unwrap();
        assert_eq!(ip("-o link show").matches("gtt1-0001").count(), 1);
    });
}

#[test]
fn one_interface_is_made_once_however_many_ask_for_it() {
    world(|| {
        let vpcs = vpcs();
        vpcs.ensure_vpc(&vpc_config(VPC)).unwrap();
        vpcs.set_security(&VPC.into(), open_security(&[10, 11])).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| add(&vpcs, 10));
            }
        });
        let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        assert_eq!(mounts.matches(&eni(VPC, 10)).count(), 1);
        assert!(reaches(&add(&vpcs, 11).path, &Server::start(&namespace_of(10), address(10), 80)));
    });
}

#[test]
fn many_interfaces_are_made_at_once() {
    world(|| {
        let vpcs = vpcs();
        vpcs.ensure_vpc(&vpc_config(VPC)).unwrap();
        let numbers: Vec<u8> = (10..42).collect();
        vpcs.set_security(&VPC.into(), open_security(&numbers)).unwrap();
        std::thread::scope(|scope| {
            let threads: Vec<_> = numbers.iter().map(|number| scope.spawn(|| add(&vpcs, *number))).collect();
            threads.into_iter().for_each(|thread| drop(thread.join().unwrap()));
        });
        let server = Server::start(&namespace_of(10), address(10), 80);
        for number in &numbers[1..] {
            assert!(reaches(&namespace_of(*number), &server));
            assert_eq!(server.accept(), address(*number));
        }
    });
}
