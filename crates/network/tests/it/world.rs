//! A machine of its own for one test.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use gantry_network::{
    Attachment, Instance, InterfaceConfig, Ipv4Cidr, MacAddress, Member, NamespaceSockets, NetworkConfig,
    Peer, Rule, SecurityGroup, TaskNamespace, Traffic, UPLINK_RANGE_DEFAULT, VpcConfig, VpcSecurity, Vpcs,
};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

/// Long enough for a busy machine, short enough to end a failing test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How long "no answer" is waited for. Packets that pass are answered in well below a millisecond; a lost one is sent again
/// after a second, so this must be less.
pub(crate) const SILENCE: Duration = Duration::from_millis(700);

pub(crate) const RUN_DIR: &str = "/run/gantry-test";
pub(crate) const ANYWHERE: Ipv4Cidr = Ipv4Cidr::ANY;

/// Runs a test as if it were alone on a machine. Threads that it starts are on that machine too.
pub(crate) fn world(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
                .expect("these tests make network namespaces: run them as root");
            let nothing = None::<&str>;
            mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
                .expect("detach from the machine's mounts");
            mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), nothing)
                .expect("a /run of its own");
            std::fs::create_dir_all(RUN_DIR).expect("create the run directory");
            ip("link set lo up");
            test();
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

pub(crate) fn config() -> NetworkConfig {
    NetworkConfig {
        run_dir: RUN_DIR.into(),
        instance: Instance::new("t1").expect("a valid instance name"),
        uplink_range: UPLINK_RANGE_DEFAULT,
    }
}

pub(crate) fn vpcs() -> Vpcs {
    Vpcs::new(config()).expect("open the world's network")
}

pub(crate) const VPC: &str = "vpc-00000000000000001";

pub(crate) fn vpc_config(id: &str) -> VpcConfig {
    VpcConfig {
        vpc_id: id.into(),
        cidrs: vec![cidr("172.31.0.0/16")],
        dns_address: Ipv4Addr::new(172, 31, 0, 2),
        local_addresses: BTreeSet::new(),
        service_addresses: BTreeSet::new(),
    }
}

pub(crate) fn cidr(text: &str) -> Ipv4Cidr {
    text.parse().expect("a range")
}

/// The address 172.31.0.`last`.
pub(crate) fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(172, 31, 0, last)
}

pub(crate) fn interface(vpc_id: &str, number: u8) -> InterfaceConfig {
    InterfaceConfig {
        vpc_id: vpc_id.into(),
        interface_id: eni(vpc_id, number).as_str().into(),
        mac: MacAddress([2, 0, 0, 0, 0, number]),
        address: address(number),
    }
}

/// An id that differs between VPCs.
pub(crate) fn eni(vpc_id: &str, number: u8) -> String {
    format!("eni-0abcdefabcdef0{}{number:02x}", &vpc_id[vpc_id.len() - 1..])
}

pub(crate) fn add(vpcs: &Vpcs, number: u8) -> TaskNamespace {
    vpcs.add_interface(&interface(VPC, number)).expect("add an interface")
}

pub(crate) fn member(vpc_id: &str, number: u8, groups: &[&str]) -> Member {
    Member {
        address: address(number),
        attachment: Attachment::Interface(eni(vpc_id, number).as_str().into()),
        groups: groups.iter().map(|group| group_id(group).as_str().into()).collect(),
    }
}

pub(crate) fn group_id(letter: &str) -> String {
    format!("sg-{letter:0>17}")
}

pub(crate) fn rule(traffic: Traffic, peer: Peer) -> Rule {
    Rule { traffic, peer }
}

pub(crate) fn from_anywhere() -> Rule {
    rule(Traffic::All, Peer::Cidr(ANYWHERE))
}

pub(crate) fn from_group(letter: &str) -> Rule {
    rule(Traffic::All, Peer::Group(group_id(letter).as_str().into()))
}

/// A group that takes what is listed and sends anything.
pub(crate) fn group(ingress: &[Rule]) -> SecurityGroup {
    SecurityGroup { ingress: ingress.to_vec(), egress: vec![from_anywhere()] }
}

pub(crate) fn security(groups: &[(&str, SecurityGroup)], members: &[Member]) -> VpcSecurity {
    VpcSecurity {
        groups: groups
            .iter()
            .map(|(letter, group)| (group_id(letter).as_str().into(), group.clone()))
            .collect(),
        members: members.to_vec(),
    }
}

/// Everybody may do everything.
pub(crate) fn open_security(members: &[u8]) -> VpcSecurity {
    let members: Vec<_> = members.iter().map(|number| member(VPC, *number, &["a"])).collect();
    security(&[("a", group(&[from_anywhere()]))], &members)
}

pub(crate) fn inside(path: &Path) -> NamespaceSockets {
    NamespaceSockets::open(path).expect("open a namespace")
}

/// Runs something on a thread inside a namespace.
pub(crate) fn run_inside<T: Send>(path: &Path, action: impl FnOnce() -> T + Send) -> T {
    inside(path).with(|| Ok(action())).expect("enter a namespace")
}

/// A server that answers each connection with a greeting and then echoes. It ends with its listener's namespace, at the
/// latest with the test.
pub(crate) struct Server {
    pub(crate) address: SocketAddrV4,
    listener: TcpListener,
    accepted: RefCell<Vec<TcpStream>>,
}

impl Server {
    /// Listens inside a namespace on any of its addresses.
    pub(crate) fn start(namespace: &Path, address: Ipv4Addr, port: u16) -> Self {
        let address = SocketAddrV4::new(address, port);
        Self::of(inside(namespace).with(|| TcpListener::bind(address)).expect("listen"))
    }

    pub(crate) fn of(listener: TcpListener) -> Self {
        listener.set_nonblocking(true).expect("a nonblocking listener");
        let SocketAddr::V4(address) = listener.local_addr().expect("a bound listener") else {
            panic!("an IPv4 listener")
        };
        Self { address, listener, accepted: RefCell::default() }
    }

    pub(crate) fn nobody_waits(&self) -> bool {
        self.listener.accept().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Accepts one connection and tells who it is from.
    pub(crate) fn accept(&self) -> Ipv4Addr {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            match self.listener.accept() {
                Ok((stream, SocketAddr::V4(peer))) => {
                    self.accepted.borrow_mut().push(stream);
                    return *peer.ip();
                }
                Ok((_, other)) => panic!("a client from {other}"),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    assert!(std::time::Instant::now() < deadline, "nobody connects to {}", self.address);
                    std::thread::yield_now();
                }
                Err(error) => panic!("accept: {error}"),
            }
        }
    }

    /// The latest accepted connection.
    pub(crate) fn connection(&self) -> TcpStream {
        let accepted = self.accepted.borrow();
        accepted.last().expect("a connection was accepted").try_clone().expect("clone a socket")
    }
}

/// Connects from inside a namespace. Errors tell a refusal (reset, unreachable) from silence (timed out).
pub(crate) fn connect(from: &Path, to: SocketAddrV4, patience: Duration) -> io::Result<TcpStream> {
    inside(from).with(|| TcpStream::connect_timeout(&to.into(), patience))
}

pub(crate) fn reaches(from: &Path, server: &Server) -> bool {
    answers(from, server.address)
}

pub(crate) fn answers(from: &Path, address: SocketAddrV4) -> bool {
    match connect(from, address, SILENCE) {
        Ok(_) => true,
        Err(error) if error.kind() == io::ErrorKind::TimedOut => false,
        Err(error) => panic!("expected an answer or silence: {error}"),
    }
}

/// A message through a connection and back.
pub(crate) fn talks(client: &TcpStream, server: &TcpStream) -> bool {
    use std::io::{Read, Write};
    let exchange = || -> io::Result<()> {
        for (mut from, mut to) in [(client, server), (server, client)] {
            to.set_nonblocking(false)?;
            to.set_read_timeout(Some(SILENCE))?;
            from.write_all(b"hello")?;
            let mut buffer = [0; 5];
            to.read_exact(&mut buffer)?;
        }
        Ok(())
    };
    exchange().is_ok()
}

/// Runs `ip` to set up what stands around a VPC: the tests' way to build a host that the crate did not.
pub(crate) fn ip(arguments: &str) -> String {
    command("ip", arguments)
}

pub(crate) fn nft(arguments: &str) -> String {
    command("nft", arguments)
}

fn command(program: &str, arguments: &str) -> String {
    let output = std::process::Command::new(program).args(arguments.split_whitespace()).output();
    let output = output.unwrap_or_else(|error| panic!("these tests need the {program} program: {error}"));
    assert!(output.status.success(), "{program} {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn namespace_of(number: u8) -> PathBuf {
    Path::new(RUN_DIR).join("netns").join(eni(VPC, number))
}

/// A second process on the same machine, after the first has ended.
pub(crate) fn vpcs_again(first: Vpcs) -> Vpcs {
    drop(first);
    vpcs()
}

pub(crate) fn own_member(address: Ipv4Addr, groups: &[&str]) -> Member {
    Member { address, attachment: Attachment::Loopback, ..member(VPC, 0, groups) }
}

/// The VPC's end of an interface.
pub(crate) fn link_of(number: u8) -> String {
    let id = eni(VPC, number);
    format!("e{}", &id[id.len() - 14..])
}

pub(crate) fn unmount(path: &Path) {
    umount2(path, MntFlags::MNT_DETACH).expect("unmount a namespace");
    std::fs::remove_file(path).expect("remove its file");
}

/// A network beyond the host, with a server in it.
pub(crate) struct Outside;

impl Outside {
    pub(crate) const HOST_ADDRESS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);

    pub(crate) fn new() -> Self {
        ip("netns add outside");
        ip("link add wan type veth peer name lan netns outside");
        ip("addr add 203.0.113.1/24 dev wan");
        ip("link set wan up");
        ip("-n outside addr add 203.0.113.2/24 dev lan");
        ip("-n outside link set lan up");
        ip("route add default via 203.0.113.2");
        Self
    }

    pub(crate) fn namespace(&self) -> PathBuf {
        "/run/netns/outside".into()
    }

    pub(crate) fn server(&self, port: u16) -> Server {
        Server::start(&self.namespace(), Self::ADDRESS, port)
    }
}

/// Connects a socket that was made nonblocking; None when nobody answers in time.
pub(crate) fn try_connect(socket: TcpStream, to: SocketAddrV4, patience: Duration) -> Option<TcpStream> {
    use std::os::fd::{AsFd, AsRawFd};

    use nix::errno::Errno;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use nix::sys::socket::{SockaddrIn, connect, getpeername};

    match connect(socket.as_raw_fd(), &SockaddrIn::from(to)) {
        Ok(()) | Err(Errno::EINPROGRESS) => {}
        Err(errno) => panic!("connect to {to}: {errno}"),
    }
    let mut polled = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
    let timeout = PollTimeout::try_from(patience).expect("a short time");
    poll(&mut polled, timeout).expect("poll");
    getpeername::<SockaddrIn>(socket.as_raw_fd()).is_ok().then_some(socket)
}

pub(crate) fn finish_connect(socket: TcpStream, to: SocketAddrV4) -> TcpStream {
    try_connect(socket, to, PATIENCE).expect("the other side answers")
}

/// The next datagram of a nonblocking socket.
pub(crate) fn receive(socket: &UdpSocket) -> (Ipv4Addr, Vec<u8>) {
    socket.set_nonblocking(false).expect("a blocking socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a bound for the wait");
    let mut buffer = [0; 1500];
    match socket.recv_from(&mut buffer).expect("a datagram arrives") {
        (length, SocketAddr::V4(peer)) => (*peer.ip(), buffer[..length].to_vec()),
        (_, other) => panic!("a datagram from {other}"),
    }
}

/// One ICMP echo and its answer.
pub(crate) fn ping(from: &Path, to: Ipv4Addr) -> bool {
    use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd};

    use nix::sys::socket::{
        AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, sendto, socket,
    };

    let fd: std::os::fd::OwnedFd = inside(from)
        .with(|| {
            std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 0")?;
            Ok(socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, SockProtocol::Icmp)?)
        })
        .expect("an ICMP socket");
    // The kernel fills in checksum and identifier.
    let echo = [8, 0, 0, 0, 0, 0, 0, 1];
    sendto(fd.as_raw_fd(), &echo, &SockaddrIn::from(SocketAddrV4::new(to, 0)), MsgFlags::empty())
        .expect("send");
    // SAFETY: the descriptor was just made and is owned by nobody else.
    let socket = unsafe { UdpSocket::from_raw_fd(fd.into_raw_fd()) };
    socket.set_read_timeout(Some(SILENCE)).expect("a bound for the wait");
    socket.recv(&mut [0; 64]).is_ok()
}

/// A mount namespace of one's own that still follows what is unmounted outside.
pub(crate) fn become_a_shim() {
    unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace");
    let nothing = None::<&str>;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_SLAVE, nothing)
        .expect("follow the mounts outside");
}
