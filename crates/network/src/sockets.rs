//! Sockets inside a namespace for a process outside: the thread enters, makes the socket, and comes back; the socket
//! stays. That costs some 4 us beside the making, so nothing is pooled.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use nix::sys::socket::{
    AddressFamily, Backlog, SetSockOpt, SockFlag, SockType, SockaddrIn, bind, listen, setsockopt, socket,
    sockopt,
};

use crate::limits;
use crate::namespace::{self, NamespaceError};

/// Makes sockets in one network namespace. It keeps the namespace alive: drop it, and the sockets, before the VPC is torn
/// down.
pub struct NamespaceSockets {
    namespace: OwnedFd,
}

impl NamespaceSockets {
    /// Opens the namespace that is mounted at `path`; an error of the kind `NotFound` when there is none.
    pub fn open(path: &Path) -> io::Result<Self> {
        match namespace::open(path) {
            Ok(Some(namespace)) => Ok(Self { namespace }),
            Ok(None) => {
                let words = format!("no network namespace at {}", path.display());
                Err(io::Error::new(io::ErrorKind::NotFound, words))
            }
            Err(NamespaceError { source, .. }) => Err(source),
        }
    }

    /// Runs `make` on this thread inside the namespace and brings the thread back, also when `make` panics. `make` must
    /// not block and must not start threads: those would stay inside.
    pub fn with<T>(&self, make: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        namespace::within(&self.namespace, make)?
    }

    /// A listening socket, nonblocking. The address need not be in the namespace yet.
    pub fn tcp_listener(&self, address: SocketAddrV4) -> io::Result<TcpListener> {
        self.with(|| {
            let fd = inet_socket(SockType::Stream)?;
            set(&fd, sockopt::ReuseAddr, true)?;
            finish_listener(fd, address)
        })
    }

    /// Several listening sockets on one address, between which the kernel shares out connections (SO_REUSEPORT). Every one
    /// must be polled for as long as it is open.
    pub fn tcp_listeners(&self, address: SocketAddrV4, count: usize) -> io::Result<Vec<TcpListener>> {
        let make = || {
            let fd = inet_socket(SockType::Stream)?;
            set(&fd, sockopt::ReuseAddr, true)?;
            set(&fd, sockopt::ReusePort, true)?;
            finish_listener(fd, address)
        };
        self.with(|| (0..count).map(|_| make()).collect())
    }

    /// A nonblocking socket that will connect from `source`, an address of the namespace. It is not connected yet
    /// (`tokio::net::TcpSocket::from_std_stream` takes it); its port is chosen then, so there are as many ports as
    /// there are destinations times 64,512.
    pub fn tcp_stream_socket(&self, source: Ipv4Addr) -> io::Result<TcpStream> {
        self.with(|| {
            let fd = inet_socket(SockType::Stream)?;
            set(&fd, sockopt::IpBindAddressNoPort, true)?;
            bind(fd.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(source, 0)))?;
            Ok(TcpStream::from(fd))
        })
    }

    /// A bound socket, nonblocking. The address need not be in the namespace yet.
    pub fn udp_socket(&self, address: SocketAddrV4) -> io::Result<UdpSocket> {
        self.with(|| {
            let fd = inet_socket(SockType::Datagram)?;
            set(&fd, sockopt::IpFreebind, true)?;
            bind(fd.as_raw_fd(), &SockaddrIn::from(address))?;
            Ok(UdpSocket::from(fd))
        })
    }
}

fn inet_socket(kind: SockType) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socket(AddressFamily::Inet, kind, flags, None)?)
}

fn finish_listener(fd: OwnedFd, address: SocketAddrV4) -> io::Result<TcpListener> {
    // The node gives the namespace its addresses while the load balancer opens its listeners.
    set(&fd, sockopt::IpFreebind, true)?;
    bind(fd.as_raw_fd(), &SockaddrIn::from(address))?;
    listen(&fd, Backlog::new(limits::LISTEN_BACKLOG)?)?;
    Ok(TcpListener::from(fd))
}

fn set<O: SetSockOpt<Val = bool>>(fd: &OwnedFd, option: O, value: bool) -> io::Result<()> {
    Ok(setsockopt(fd, option, &value)?)
}
