//! Moves messages between the VPC's sockets and the deciding function.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::answer::{Decision, Transport, decide};
use super::places::Places;
use super::upstream::{Upstreams, read_message, write_message};
use super::zone::Zone;
use crate::limits;

/// Answers on a VPC's DNS address for as long as it is polled; dropping the future ends it.
///
/// `udp` and `tcp` are nonblocking sockets made in the VPC's namespace (`NamespaceSockets`), where they stay, whoever holds
/// them. Returns when the sockets cannot be used.
pub async fn serve(
    udp: std::net::UdpSocket,
    tcp: std::net::TcpListener,
    zone: watch::Receiver<Arc<Zone>>,
    upstreams: Arc<Upstreams>,
) -> io::Result<()> {
    let server = Arc::new(Server {
        zone,
        upstreams,
        forwards: Places::new(limits::DNS_FORWARDS_MAX, limits::DNS_FORWARDS_PER_CLIENT_MAX),
        connections: Places::new(limits::DNS_CONNECTIONS_MAX, limits::DNS_CONNECTIONS_PER_CLIENT_MAX),
    });
    let udp = Arc::new(UdpSocket::from_std(udp)?);
    let tcp = TcpListener::from_std(tcp)?;
    tokio::try_join!(serve_udp(server.clone(), udp), serve_tcp(server, tcp)).map(drop)
}

struct Server {
    zone: watch::Receiver<Arc<Zone>>,
    upstreams: Arc<Upstreams>,
    forwards: Places,
    connections: Places,
}

impl Server {
    fn decide(&self, request: &[u8], transport: Transport) -> Decision {
        let zone = self.zone.borrow().clone();
        decide(&zone, request, transport)
    }
}

async fn serve_udp(server: Arc<Server>, socket: Arc<UdpSocket>) -> io::Result<()> {
    let mut forwards = JoinSet::new();
    let mut failures = Failures::default();
    let mut buffer = vec![0; limits::DNS_MESSAGE_BYTES];
    loop {
        let (length, client) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                failures.pause(error).await?;
                continue;
            }
        };
        failures = Failures::default();
        while forwards.try_join_next().is_some() {}
        match server.decide(&buffer[..length], Transport::Udp) {
            Decision::Answer(answer) => send(&socket, &answer, client).await,
            Decision::Forward(forward) => {
                // The place is taken here, so that no more tasks are started than there are places.
                let Some(place) = server.forwards.take(client.ip()) else {
                    send(&socket, &forward.failure(), client).await;
                    continue;
                };
                let (server, socket) = (server.clone(), socket.clone());
                forwards.spawn(async move {
                    let _place = place;
                    let answer = server.upstreams.ask(&forward, Transport::Udp).await;
                    send(&socket, &answer, client).await;
                });
            }
            Decision::Ignore => {}
        }
    }
}

/// A datagram that cannot be sent is a lost one, as on any network; the client asks again.
async fn send(socket: &UdpSocket, answer: &[u8], client: SocketAddr) {
    if let Err(error) = socket.send_to(answer, client).await {
        tracing::debug!(%error, %client, "a DNS answer was not sent");
    }
}

async fn serve_tcp(server: Arc<Server>, listener: TcpListener) -> io::Result<()> {
    let mut connections = JoinSet::new();
    let mut failures = Failures::default();
    loop {
        let (stream, client) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                failures.pause(error).await?;
                continue;
            }
        };
        failures = Failures::default();
        while connections.try_join_next().is_some() {}
        // Without a place the connection is closed; the client asks again.
        if let Some(place) = server.connections.take(client.ip()) {
            let server = server.clone();
            connections.spawn(async move {
                let _place = place;
                // A client that breaks off, or is too slow, has nobody to report to.
                drop(serve_connection(&server, stream, client.ip()).await);
            });
        }
    }
}

async fn serve_connection(server: &Server, mut stream: TcpStream, client: IpAddr) -> io::Result<()> {
    for _ in 0..limits::DNS_REQUESTS_PER_CONNECTION_MAX {
        let request = timeout(limits::DNS_CONNECTION_IDLE, read_message(&mut stream)).await??;
        let answer = match server.decide(&request, Transport::Tcp) {
            Decision::Answer(answer) => answer,
            Decision::Forward(forward) => match server.forwards.take(client) {
                Some(_place) => server.upstreams.ask(&forward, Transport::Tcp).await,
                None => forward.failure(),
            },
            Decision::Ignore => return Ok(()),
        };
        timeout(limits::DNS_CONNECTION_IDLE, write_message(&mut stream, &answer)).await??;
    }
    Ok(())
}

/// Failures to receive, one after the other.
#[derive(Default)]
struct Failures(u32);

impl Failures {
    /// A shortage of memory or descriptors passes, and until then the loop must not spin. What stays is an error.
    async fn pause(&mut self, error: io::Error) -> io::Result<()> {
        self.0 += 1;
        if self.0 > limits::DNS_FAILURES_MAX {
            return Err(error);
        }
        tokio::time::sleep(limits::DNS_ERROR_PAUSE).await;
        Ok(())
    }
}
