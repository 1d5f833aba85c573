//! What `doctor` is told.

use gantry_network::{Firewall, FirewallEffect, Probe, RouteOverlap, UPLINK_RANGE_DEFAULT, probe};

use crate::world::*;

fn look() -> Probe {
    probe(&config().instance, &[cidr("172.31.0.0/16"), UPLINK_RANGE_DEFAULT])
}

#[test]
fn a_machine_that_runs_these_tests_can_run_vpcs() {
    world(|| {
        // A new namespace begins with the machine's own setting.
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        let before = (ip("-o link show"), nft("list ruleset"));
        let found = look();
        assert_eq!((found.namespaces, found.veth, found.nf_tables), (Ok(()), Ok(()), Ok(())));
        assert_eq!(found.forwards, Ok(false));
        assert_eq!((found.overlaps, found.firewalls), (vec![], vec![]));
        assert_eq!((ip("-o link show"), nft("list ruleset")), before, "looking changes nothing");

        let vpcs = vpcs();
        vpcs.ensure_vpc(&vpc_config(VPC)).unwrap();
        let found = look();
        assert_eq!(found.forwards, Ok(true));
        assert_eq!((found.overlaps, found.firewalls), (vec![], vec![]), "what is ours is no obstacle");
    });
}

#[test]
fn obstacles_are_named() {
    world(|| {
        let _outside = Outside::new();
        ip("route add 172.31.64.0/20 via 203.0.113.2");
        ip("addr add 169.254.7.1/16 dev wan");
        for command in [
            "add table ip filter",
            "add chain ip filter FORWARD { type filter hook forward priority 0 ; policy drop ; }",
            "add chain ip filter DOCKER-USER",
            "add table inet firewalld",
            "add chain inet firewalld filter_FORWARD { type filter hook forward priority 10 ; policy accept ; }",
            "add table inet mine",
            "add chain inet mine gate { type filter hook forward priority 0 ; policy drop ; }",
            "add chain inet mine watch { type filter hook forward priority 1 ; policy accept ; }",
        ] {
            nft(command);
        }
        let found = look();
        let overlap =
            |range, route: &str, link: &str| RouteOverlap { range, route: cidr(route), link: link.into() };
        let expected = [
            overlap(UPLINK_RANGE_DEFAULT, "169.254.0.0/16", "wan"),
            overlap(cidr("172.31.0.0/16"), "172.31.64.0/20", "wan"),
        ];
        assert_eq!(found.overlaps, expected);
        let firewall = |program, place: &str, effect| Firewall { program, place: place.into(), effect };
        let expected = [
            firewall(Some("Docker"), "filter FORWARD", FirewallEffect::MakesRoom),
            firewall(Some("firewalld"), "firewalld filter_FORWARD", FirewallEffect::MakesRoom),
            firewall(None, "mine gate", FirewallEffect::Drops),
        ];
        assert_eq!(found.firewalls, expected);
    });
}
