//! Where sockets are made: inside a VPC's namespace, or on the machine itself.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use gantry_network::NamespaceSockets;
use gantry_types::VpcId;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpSocket, TcpStream};

use crate::limits::BACKLOG;

/// From where a target is reached: the load balancer's own address inside the VPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbound {
    pub vpc: VpcId,
    pub source: Ipv4Addr,
}

/// How sockets are made.
#[derive(Debug, Clone, Default)]
pub enum Network {
    /// Every socket is the machine's own, and targets are reached from whatever address its routes give.
    #[default]
    Machine,
    /// VPCs are network namespaces, mounted under this directory by their ids.
    Namespaces(PathBuf),
}

/// Makes sockets, and keeps the namespaces open in which it has made some.
pub(crate) struct Sockets {
    network: Network,
    open: Mutex<HashMap<VpcId, Opened>>,
}

#[derive(Clone)]
struct Opened {
    sockets: Arc<NamespaceSockets>,
    identity: (u64, u64),
}

impl Sockets {
    pub(crate) fn new(network: Network) -> Self {
        Self { network, open: Mutex::default() }
    }

    /// A connection to a target.
    pub(crate) async fn connect(&self, outbound: &Outbound, target: SocketAddrV4) -> io::Result<TcpStream> {
        let socket = match &self.network {
            Network::Machine => tcp_socket()?.into(),
            Network::Namespaces(directory) => {
                self.namespace(directory, &outbound.vpc)?.tcp_stream_socket(outbound.source)?
            }
        };
        let stream = TcpSocket::from_std_stream(socket).connect(target.into()).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Listening sockets that share one address.
    pub(crate) fn listen(
        &self,
        vpc: Option<&VpcId>,
        address: SocketAddrV4,
        count: usize,
    ) -> io::Result<Vec<OwnedFd>> {
        match (&self.network, vpc) {
            (Network::Namespaces(directory), Some(vpc)) => {
                let listeners = self.namespace(directory, vpc)?.tcp_listeners(address, count)?;
                Ok(listeners.into_iter().map(OwnedFd::from).collect())
            }
            (Network::Machine | Network::Namespaces(_), _) => (0..count).map(|_| listener(address)).collect(),
        }
    }

    fn namespace(&self, directory: &std::path::Path, vpc: &VpcId) -> io::Result<Arc<NamespaceSockets>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = open.get(vpc) {
            return Ok(Arc::clone(&opened.sockets));
        }
        let path = directory.join(vpc.as_str());
        let sockets = Arc::new(NamespaceSockets::open(&path)?);
        let identity = std::fs::metadata(&path).map(|file| (file.dev(), file.ino()))?;
        open.insert(vpc.clone(), Opened { sockets: Arc::clone(&sockets), identity });
        Ok(sockets)
    }

    /// Lets go of namespaces that no load balancer uses or that were made anew, and says which VPCs those were: sockets inside
    /// them lead nowhere.
    pub(crate) fn let_go(&self, used: impl Fn(&VpcId) -> bool) -> Vec<VpcId> {
        let Network::Namespaces(directory) = &self.network else { return Vec::new() };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = open.iter().filter(|(vpc, opened)| {
            let file = std::fs::metadata(directory.join(vpc.as_str())).map(|file| (file.dev(), file.ino()));
            !used(vpc) || file.ok() != Some(opened.identity)
        });
        let gone: Vec<VpcId> = gone.map(|(vpc, _)| vpc.clone()).collect();
        for vpc in &gone {
            open.remove(vpc);
        }
        gone
    }
}

fn tcp_socket() -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn listener(address: SocketAddrV4) -> io::Result<OwnedFd> {
    let socket = tcp_socket()?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
