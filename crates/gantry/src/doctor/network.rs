//! The network: VPCs, ports, addresses, names, what else filters packets.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs as _};
use std::path::Path;

use gantry_network::{Instance, Ipv4Cidr, NetworkConfig, UPLINK_RANGE_DEFAULT, VpcConfig, Vpcs};
use gantry_types::VpcId;

use super::{Finding, Subject};

/// The default VPC's range, the same as in every AWS account.
const DEFAULT_VPC: Ipv4Cidr = Ipv4Cidr::around(Ipv4Addr::new(172, 31, 0, 0), 16);

pub(super) fn examine(subject: &Subject) -> Vec<Finding> {
    let is_running = is_running(subject);
    let web = SocketAddr::new(subject.lb_address, 80);
    let first = IpAddr::V4(Ipv4Addr::from(u32::from(subject.lb_range.first) + 1));
    vec![
        vpc(),
        overlaps(&fs::read_to_string("/proc/net/route").unwrap_or_default()),
        firewalls(Path::new("/")),
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

/// Makes a whole VPC, with its uplink and rules, in a network namespace that ends with its thread.
fn vpc() -> Finding {
    let tried = std::thread::spawn(|| -> Result<(), String> {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)
            .map_err(|error| format!("making a network namespace: {error}"))?;
        try_vpc().map_err(|error| error.to_string())
    });
    match tried.join().unwrap_or_else(|_| Err("the attempt panicked".to_owned())) {
        Ok(()) => Finding::good("VPCs", "namespaces, virtual interfaces and nftables rules work"),
        Err(error) => Finding::bad(
            "VPCs",
            error,
            "needs root and a kernel with CONFIG_NET_NS, CONFIG_VETH, CONFIG_NF_TABLES, CONFIG_NFT_NAT, CONFIG_NFT_MASQ",
        ),
    }
}

fn try_vpc() -> Result<(), Box<dyn std::error::Error>> {
    let run_dir = std::env::temp_dir().join(format!("gantry-doctor-{}", std::process::id()));
    fs::create_dir_all(&run_dir)?;
    let attempt = || -> Result<(), Box<dyn std::error::Error>> {
        let config = NetworkConfig {
            run_dir: run_dir.clone(),
            instance: Instance::new("doctor")?,
            uplink_range: UPLINK_RANGE_DEFAULT,
        };
        let vpcs = Vpcs::new(config)?;
        let vpc_id = VpcId::from("vpc-0d0c70d0c70d0c700");
        let made = vpcs.ensure_vpc(&VpcConfig {
            vpc_id,
            cidrs: vec![DEFAULT_VPC],
            dns_address: Ipv4Addr::new(172, 31, 0, 2),
            local_addresses: BTreeSet::new(),
            service_addresses: BTreeSet::new(),
        });
        vpcs.teardown_all()?;
        Ok(made?)
    };
    let outcome = attempt();
    let _ = fs::remove_dir_all(&run_dir);
    outcome
}

/// Routes of the host inside the default VPC's range: tasks would reach those hosts, or not, by chance.
fn overlaps(routes: &str) -> Finding {
    let ours = [("the default VPC", DEFAULT_VPC), ("uplinks", UPLINK_RANGE_DEFAULT)];
    let found: Vec<String> = routes
        .lines()
        .skip(1)
        .filter_map(route)
        // Our own links are what these ranges are for; the default route leads everywhere.
        .filter(|(link, destination)| !link.starts_with("gt") && destination.prefix() > 0)
        .filter_map(|(link, destination)| {
            let (name, _) = ours.iter().find(|(_, range)| range.overlaps(destination))?;
            Some(format!("{link} has {destination}, as {name}"))
        })
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

/// One line of /proc/net/route: interface, destination and mask in hexadecimal, least byte first.
fn route(line: &str) -> Option<(&str, Ipv4Cidr)> {
    let mut words = line.split_whitespace();
    let link = words.next()?;
    let number = |word: Option<&str>| u32::from_str_radix(word?, 16).ok().map(u32::swap_bytes);
    let address = number(words.next())?;
    let mask = number(words.nth(5))?;
    Some((link, Ipv4Cidr::around(Ipv4Addr::from(address), u8::try_from(mask.leading_ones()).ok()?)))
}

fn firewalls(root: &Path) -> Finding {
    let present = |path: &str| root.join(path).exists();
    let ufw = fs::read_to_string(root.join("etc/ufw/ufw.conf")).unwrap_or_default();
    let mut found = Vec::new();
    if present("sys/class/net/docker0") {
        found.push("docker");
    }
    if present("run/firewalld") {
        found.push("firewalld");
    }
    if ufw.lines().any(|line| line.trim() == "ENABLED=yes") {
        found.push("ufw");
    }
    match found.as_slice() {
        [] => Finding::good("firewalls", "no other one"),
        ["docker"] => Finding::good("firewalls", "docker's, beside which ours stands"),
        found => Finding::limited(
            "firewalls",
            format!("{} may drop what tasks send outside", found.join(" and ")),
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
    use super::super::Verdict;
    use super::*;

    #[test]
    fn routes_that_overlap_are_named() {
        let header = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n";
        let route = |link: &str, destination: &str, mask: &str| {
            format!("{link}\t{destination}\t00000000\t0001\t0\t0\t0\t{mask}\t0\t0\t0\n")
        };
        let fine = format!(
            "{header}{}{}{}",
            route("eth0", "00000000", "00000000"),
            route("docker0", "000011AC", "0000FFFF"),
            route("gtabc123-0000", "00C0FEA9", "FCFFFFFF")
        );
        assert_eq!(overlaps(&fine).verdict, Verdict::Good, "{}", overlaps(&fine).found);
        let bad = format!("{header}{}", route("eth0", "00101FAC", "00F0FFFF"));
        assert_eq!(overlaps(&bad).found, "eth0 has 172.31.16.0/20, as the default VPC");
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

    #[test]
    fn firewalls_are_recognised() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(firewalls(root.path()).verdict, Verdict::Good);
        fs::create_dir_all(root.path().join("etc/ufw")).unwrap();
        fs::write(root.path().join("etc/ufw/ufw.conf"), "# x\nENABLED=yes\n").unwrap();
        fs::create_dir_all(root.path().join("run/firewalld")).unwrap();
        assert_eq!(firewalls(root.path()).found, "firewalld and ufw may drop what tasks send outside");
    }

    #[test]
    fn a_vpc_can_be_made_here_and_leaves_nothing() {
        let finding = vpc();
        assert_eq!(finding.verdict, Verdict::Good, "these tests need root: {}", finding.found);
        let left = std::env::temp_dir().join(format!("gantry-doctor-{}", std::process::id()));
        assert!(!left.exists());
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(left.to_str().unwrap()));
    }
}
