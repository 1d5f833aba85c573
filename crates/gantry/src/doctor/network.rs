//! The network: VPCs, ports, addresses, names, what else filters packets.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs as _};
use std::path::Path;

use gantry_network::{Firewall, FirewallEffect, Ipv4Cidr, Probe, UPLINK_RANGE_DEFAULT};

use super::{Finding, Subject};

/// The default VPC's range, the same as in every AWS account.
const DEFAULT_VPC: Ipv4Cidr = Ipv4Cidr::around(Ipv4Addr::new(172, 31, 0, 0), 16);

pub(super) fn examine(subject: &Subject) -> Vec<Finding> {
    let is_running = is_running(subject);
    let web = SocketAddr::new(subject.lb_address, 80);
    let first = IpAddr::V4(Ipv4Addr::from(u32::from(subject.lb_range.first) + 1));
    let instance = crate::config::instance_name(&subject.state_dir);
    let instance = crate::config::network_instance(&instance);
    let probe = gantry_network::probe(&instance, &[DEFAULT_VPC, UPLINK_RANGE_DEFAULT]);
    vec![
        vpc(&probe),
        forwarding(&probe),
        overlaps(&probe),
        firewalls(&probe),
        port("API port", subject.listen, is_running, "name another one with --listen"),
        port(
            "port 80",
            web,
            is_running,
            "stop what listens there, or give load balancers another --lb-address",
        ),
        addresses(first),
        hosts_file(&subject.hosts_file),
        localhost_names(),
    ]
}

fn is_running(subject: &Subject) -> bool {
    let lock = crate::layout::Layout::new(subject.state_dir.clone()).lock();
    matches!(crate::supervisor::running_pid(&lock), Ok(Some(_)))
}

fn vpc(probe: &Probe) -> Finding {
    let tried = [&probe.namespaces, &probe.veth, &probe.nf_tables];
    match tried.into_iter().find_map(|tried| tried.as_ref().err()) {
        None => Finding::good("VPCs", "namespaces, virtual interfaces and nftables rules work"),
        Some(error) => Finding::bad(
            "VPCs",
            error.clone(),
            "needs root and a kernel with CONFIG_NET_NS, CONFIG_VETH, CONFIG_NF_TABLES, CONFIG_NFT_NAT, CONFIG_NFT_MASQ",
        ),
    }
}

fn forwarding(probe: &Probe) -> Finding {
    let check = "forwarding";
    match &probe.forwards {
        Ok(true) => Finding::good(check, "on"),
        Ok(false) => {
            Finding::good(check, "off; the first VPC switches it on, so that tasks reach the outside")
        }
        Err(error) => {
            Finding::limited(check, error.clone(), "tasks may not reach anything outside their VPC")
        }
    }
}

/// Routes of the host inside a VPC's range: tasks would reach those hosts, or not, by chance.
fn overlaps(probe: &Probe) -> Finding {
    let found: Vec<String> = probe
        .overlaps
        .iter()
        .map(|overlap| format!("{} has {}, inside {}", overlap.link, overlap.route, overlap.range))
        .collect();
    match found.is_empty() {
        true => Finding::good("address ranges", format!("{DEFAULT_VPC} and {UPLINK_RANGE_DEFAULT} are free")),
        false => Finding::limited(
            "address ranges",
            found.join("; "),
            "from inside that VPC these hosts cannot be reached; everything else works",
        ),
    }
}

fn firewalls(probe: &Probe) -> Finding {
    let name = |firewall: &Firewall| firewall.program.unwrap_or("rules of somebody else").to_owned();
    let in_the_way: Vec<String> = probe
        .firewalls
        .iter()
        .filter(|firewall| firewall.effect != FirewallEffect::MakesRoom)
        .map(|firewall| format!("{} ({})", name(firewall), firewall.place))
        .collect();
    match (probe.firewalls.as_slice(), in_the_way.as_slice()) {
        ([], _) => Finding::good("firewalls", "no other one"),
        (all, []) => {
            let names: BTreeSet<String> = all.iter().map(name).collect();
            let names: Vec<String> = names.into_iter().collect();
            Finding::good("firewalls", format!("{}, beside which ours stands", names.join(", ")))
        }
        (_, in_the_way) => Finding::limited(
            "firewalls",
            format!("{} may drop what tasks send outside", in_the_way.join(", ")),
            "let traffic from and to interfaces named gt* be forwarded",
        ),
    }
}

fn port(check: &'static str, address: SocketAddr, is_running: bool, next: &str) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => Finding::good(check, format!("{address} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_running => {
            Finding::good(check, format!("{address} is in use while the server runs"))
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Finding::bad(check, format!("{address}: {error}"), "ports below 1024 need root")
        }
        Err(error) => Finding::bad(check, format!("{address}: {error}"), next),
    }
}

fn addresses(first: IpAddr) -> Finding {
    match TcpListener::bind((first, 0)) {
        Ok(_) => Finding::good("load balancers' addresses", format!("{first} and on can be listened on")),
        Err(error) => Finding::limited(
            "load balancers' addresses",
            format!("{first}: {error}"),
            "load balancers share one address, told apart by Host; or name a range of this machine with --lb-range",
        ),
    }
}

fn hosts_file(path: &Path) -> Finding {
    let check = "hosts file";
    match fs::OpenOptions::new().append(true).open(path) {
        Ok(_) => Finding::good(check, format!("{} can be written", path.display())),
        Err(error) => Finding::limited(
            check,
            format!("{}: {error}", path.display()),
            "programs that do not resolve *.localhost by themselves need the names of load balancers from you",
        ),
    }
}

fn localhost_names() -> Finding {
    let check = "names in .localhost";
    let resolved = ("gantry-doctor.localhost", 80).to_socket_addrs();
    match resolved.is_ok_and(|mut addresses| addresses.all(|address| address.ip().is_loopback())) {
        true => Finding::good(check, "this machine resolves them by itself"),
        false => Finding::good(check, "resolved by the hosts file, which the server keeps up to date"),
    }
}

#[cfg(test)]
mod tests {
    use gantry_network::RouteOverlap;

    use super::super::Verdict;
    use super::*;

    fn probe() -> Probe {
        Probe {
            namespaces: Ok(()),
            veth: Ok(()),
            nf_tables: Ok(()),
            forwards: Ok(true),
            overlaps: Vec::new(),
            firewalls: Vec::new(),
        }
    }

    #[test]
    fn what_is_in_the_way_is_named() {
        let mut probe = probe();
        for finding in [vpc(&probe), forwarding(&probe), overlaps(&probe), firewalls(&probe)] {
            assert_eq!(finding.verdict, Verdict::Good, "{finding:?}");
        }
        probe.veth = Err("no veth here".to_owned());
        assert_eq!((vpc(&probe).verdict, vpc(&probe).found.as_str()), (Verdict::Bad, "no veth here"));
        probe.forwards = Err("not readable".to_owned());
        assert_eq!(forwarding(&probe).verdict, Verdict::Limited);
        let route = Ipv4Cidr::around(Ipv4Addr::new(172, 31, 16, 0), 20);
        probe.overlaps.push(RouteOverlap { range: DEFAULT_VPC, route, link: "eth0".to_owned() });
        assert_eq!(overlaps(&probe).found, "eth0 has 172.31.16.0/20, inside 172.31.0.0/16");
        let firewall = |program, effect| Firewall {
            program: Some(program),
            place: "ip filter FORWARD".to_owned(),
            effect,
        };
        probe.firewalls.push(firewall("Docker", FirewallEffect::MakesRoom));
        assert_eq!(firewalls(&probe).found, "Docker, beside which ours stands");
        probe.firewalls.push(firewall("ufw", FirewallEffect::Drops));
        assert_eq!(firewalls(&probe).found, "ufw (ip filter FORWARD) may drop what tasks send outside");
        assert_eq!(firewalls(&probe).verdict, Verdict::Limited);
    }

    #[test]
    fn ports_that_are_taken() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let next = "name another one";
        assert_eq!(port("API port", address, true, next).verdict, Verdict::Good);
        let finding = port("API port", address, false, next);
        assert_eq!((finding.verdict, finding.next.as_deref()), (Verdict::Bad, Some(next)));
        drop(taken);
        assert_eq!(port("API port", address, false, next).verdict, Verdict::Good);
    }
}
