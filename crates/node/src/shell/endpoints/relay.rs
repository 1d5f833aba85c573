//! The way from inside a VPC to the AWS APIs: bytes both ways, to `control`'s listener on the host, which holds connections for
//! a `control` that restarts.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;

use gantry_network::Places;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::shell::limits::{
    ACCEPT_PAUSE, RELAY_CONNECT_MAX, RELAY_CONNECTIONS_MAX, RELAY_CONNECTIONS_PER_CLIENT_MAX,
    RELAY_LINGER_MAX,
};

/// Relays until it is dropped; the connections go with it.
pub(super) async fn serve(listener: TcpListener, api: SocketAddr) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let places = Places::new(RELAY_CONNECTIONS_MAX, RELAY_CONNECTIONS_PER_CLIENT_MAX);
    let mut connections = JoinSet::new();
    loop {
        let (stream, client) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!("accepting a task's connection: {error}");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        if let Some(place) = places.take(client.ip()) {
            connections.spawn(async move {
                let _place = place;
                if let Err(error) = relay(stream, api).await {
                    tracing::debug!("a task's call of the AWS APIs was cut off: {error}");
                }
            });
        }
    }
}

async fn relay(mut client: TcpStream, api: SocketAddr) -> io::Result<()> {
    let connected = timeout(RELAY_CONNECT_MAX, TcpStream::connect(api)).await;
    let mut server = connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let mut asking = pin!(async {
        let copied = tokio::io::copy(&mut from_client, &mut to_server).await;
        let _ = to_server.shutdown().await;
        copied
    });
    let mut answering = pin!(async {
        let copied = tokio::io::copy(&mut from_server, &mut to_client).await;
        let _ = to_client.shutdown().await;
        copied
    });
    tokio::select! {
        // The server answers what it was asked, and closes what is idle.
        asked = &mut asking => asked.and(answering.await).map(drop),
        answered = &mut answering => {
            // A client that vanished without a word says no more.
            let _ = timeout(RELAY_LINGER_MAX, asking).await;
            answered.map(drop)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncReadExt as _;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    async fn world() -> (SocketAddr, tokio::net::TcpListener, tokio::task::JoinHandle<io::Result<()>>) {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let inside = TcpListener::bind("127.0.0.1:0").unwrap();
        inside.set_nonblocking(true).unwrap();
        let address = inside.local_addr().unwrap();
        let relaying = tokio::spawn(serve(inside, server.local_addr().unwrap()));
        (address, server, relaying)
    }

    #[tokio::test]
    async fn bytes_pass_both_ways_and_so_do_ends() {
        let (address, server, _relaying) = world().await;
        // Nobody accepts yet: the connection waits.
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let (mut accepted, _) = timeout(PATIENCE, server.accept()).await.unwrap().unwrap();
        let mut asked = String::new();
        timeout(PATIENCE, accepted.read_to_string(&mut asked)).await.unwrap().unwrap();
        accepted.write_all(b"answer").await.unwrap();
        drop(accepted);
        let mut answered = String::new();
        timeout(PATIENCE, client.read_to_string(&mut answered)).await.unwrap().unwrap();
        assert_eq!((asked.as_str(), answered.as_str()), ("question", "answer"));
    }

    #[tokio::test]
    async fn one_client_takes_no_more_than_its_places() {
        let (address, server, _relaying) = world().await;
        let mut clients = Vec::new();
        for _ in 0..RELAY_CONNECTIONS_PER_CLIENT_MAX {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        let mut served = Vec::new();
        for _ in 0..RELAY_CONNECTIONS_PER_CLIENT_MAX {
            served.push(timeout(PATIENCE, server.accept()).await.unwrap().unwrap());
        }
        let mut one_more = TcpStream::connect(address).await.unwrap();
        let end = timeout(PATIENCE, one_more.read(&mut [0])).await.unwrap();
        assert!(matches!(end, Ok(0) | Err(_)), "it is closed: {end:?}");
    }

    #[tokio::test]
    async fn ending_the_relay_ends_its_connections() {
        let (address, server, relaying) = world().await;
        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut accepted, _) = timeout(PATIENCE, server.accept()).await.unwrap().unwrap();
        relaying.abort();
        for stream in [&mut client, &mut accepted] {
            let end = timeout(PATIENCE, stream.read(&mut [0])).await.unwrap();
            assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
        }
    }
}
