//! The host's resolvers.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::answer::{Forward, Transport};
use crate::limits;

/// Whom to ask for names that are not ours.
#[derive(Debug)]
pub struct Upstreams {
    source: Source,
}

#[derive(Debug)]
enum Source {
    Fixed(Vec<SocketAddr>),
    File { path: PathBuf, last_read: Mutex<Option<(Instant, Vec<SocketAddr>)>> },
}

impl Upstreams {
    /// The resolvers of the machine, read again from time to time, since they change when the machine changes networks.
    pub fn of_host() -> Self {
        Self::from_file("/etc/resolv.conf")
    }

    pub fn from_file(path: impl Into<PathBuf>) -> Self {
        Self { source: Source::File { path: path.into(), last_read: Mutex::default() } }
    }

    pub fn fixed(resolvers: Vec<SocketAddr>) -> Self {
        Self { source: Source::Fixed(resolvers) }
    }

    fn resolvers(&self) -> Vec<SocketAddr> {
        match &self.source {
            Source::Fixed(resolvers) => resolvers.clone(),
            Source::File { path, last_read } => {
                let mut last_read = last_read.lock().unwrap_or_else(PoisonError::into_inner);
                match &*last_read {
                    Some((when, resolvers)) if when.elapsed() < limits::RESOLV_CONF_AGE => resolvers.clone(),
                    _ => {
                        let resolvers =
                            std::fs::read_to_string(path).map(|text| parse(&text)).unwrap_or_default();
                        *last_read = Some((Instant::now(), resolvers.clone()));
                        resolvers
                    }
                }
            }
        }
    }

    /// Asks one after the other until one answers.
    pub(super) async fn ask(&self, forward: &Forward, transport: Transport) -> Vec<u8> {
        let everybody = async {
            for resolver in self.resolvers() {
                let asked = async {
                    match transport {
                        Transport::Udp => over_udp(forward, resolver).await,
                        Transport::Tcp => over_tcp(forward, resolver).await,
                    }
                };
                if let Ok(Ok(answer)) = timeout(limits::DNS_UPSTREAM_WAIT, asked).await {
                    return Some(answer);
                }
            }
            None
        };
        let answer = timeout(limits::DNS_FORWARD_WAIT, everybody).await.ok().flatten();
        answer.unwrap_or_else(|| forward.failure())
    }
}

/// A socket of its own for each question: a port that nobody can guess, as the id.
async fn over_udp(forward: &Forward, resolver: SocketAddr) -> io::Result<Vec<u8>> {
    let any: IpAddr =
        if resolver.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(resolver).await?;
    let request = forward.upstream_request(random_id()?);
    socket.send(&request).await?;
    let mut buffer = vec![0; limits::DNS_MESSAGE_BYTES];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // What is not the answer is somebody's try to pass for it.
        if let Some(answer) = forward.accept(&request, buffer[..length].to_vec()) {
            return Ok(answer);
        }
    }
}

async fn over_tcp(forward: &Forward, resolver: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(resolver).await?;
    let request = forward.upstream_request(random_id()?);
    write_message(&mut stream, &request).await?;
    let answer = read_message(&mut stream).await?;
    let unexpected = || io::Error::new(io::ErrorKind::InvalidData, "an answer to another question");
    forward.accept(&request, answer).ok_or_else(unexpected)
}

/// Over TCP each message has its length in front.
pub(super) async fn read_message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut message = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

pub(super) async fn write_message(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(message);
    stream.write_all(&framed).await
}

fn random_id() -> io::Result<u16> {
    Ok(getrandom::u32().map_err(io::Error::other)? as u16)
}

/// The name servers in a resolv.conf, as many as the C library asks.
fn parse(text: &str) -> Vec<SocketAddr> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let address = words.next().filter(|word| *word == "nameserver").and_then(|_| words.next())?;
            Some(SocketAddr::new(address.parse().ok()?, 53))
        })
        .take(limits::DNS_RESOLVERS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_read_from_resolv_conf() {
        let text = "# comment\nsearch example.com\nnameserver 127.0.0.53\n nameserver\t2001:db8::1 # two\n\
                    nameserver fe80::1%eth0\nnameserver nonsense\nnameserver\noptions edns0\nnameservers 1.1.1.1\n\
                    nameserver 192.0.2.1\nnameserver 192.0.2.2";
        let expected: Vec<SocketAddr> = ["127.0.0.53:53", "[2001:db8::1]:53", "192.0.2.1:53"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        assert_eq!(parse(text), expected);
    }

    #[test]
    fn a_missing_file_names_nobody() {
        assert_eq!(Upstreams::from_file("/nonexistent/resolv.conf").resolvers(), []);
    }
}
