//! Targets.

use std::net::SocketAddrV4;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gantry_domain::elb::{Target, TargetHealth};
use gantry_types::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{elb, own_address};

/// An HTTP server of the test's.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddrV4,
    pub(crate) requests: Arc<Mutex<Vec<Request>>>,
    pub(crate) connections: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

/// A request as the target got it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or("")
    }
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

pub(crate) fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

impl Upstream {
    /// Answers each request with what `answer` gives, on connections that are kept. Health checks are answered with 200.
    pub(crate) async fn answering(answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let answer = Arc::new(answer);
        Self::start(move |mut stream, requests| {
            let answer = answer.clone();
            async move {
                let mut buffer = Vec::new();
                while let Some(request) = read_request(&mut stream, &mut buffer).await {
                    let probe = request.path() == "/health";
                    let response = if probe { ok("") } else { answer(&request) };
                    if !probe {
                        requests.lock().expect("no panic").push(request);
                    }
                    if stream.write_all(&response).await.is_err() {
                        return;
                    }
                }
            }
        })
        .await
    }

    pub(crate) async fn saying(body: &'static str) -> Self {
        Self::answering(move |_| ok(body)).await
    }

    /// Does `serve` with each connection.
    pub(crate) async fn start<F, S>(serve: S) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
        S: Fn(TcpStream, Arc<Mutex<Vec<Request>>>) -> F + Send + Sync + 'static,
    {
        Self::start_at(SocketAddrV4::new(own_address(), 0), serve).await
    }

    pub(crate) async fn start_at<F, S>(address: SocketAddrV4, serve: S) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
        S: Fn(TcpStream, Arc<Mutex<Vec<Request>>>) -> F + Send + Sync + 'static,
    {
        let listener = TcpListener::bind(address).await.expect("the address is free");
        let std::net::SocketAddr::V4(address) = listener.local_addr().expect("it is bound") else {
            unreachable!("it is bound to IPv4")
        };
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let connections: Arc<AtomicUsize> = Arc::default();
        let (for_task, counter) = (requests.clone(), connections.clone());
        let task = tokio::spawn(async move {
            // Dropping the set ends every connection: the server dies as a process does.
            let mut open = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("the socket is ours");
                counter.fetch_add(1, Ordering::SeqCst);
                open.spawn(serve(stream, for_task.clone()));
            }
        });
        Self { address, requests, connections, task }
    }

    pub(crate) fn record(&self, group: &str, index: usize) -> Target {
        Target {
            target_group: elb(&format!("targetgroup/{group}/1")),
            registration: format!("r-{index}").as_str().into(),
            target_id: self.address.ip().to_string(),
            address: *self.address.ip(),
            port: self.address.port(),
            availability_zone: None,
            task: None,
            registered_at: Timestamp::EPOCH,
            draining_since: None,
            drained: false,
            health: TargetHealth::registering(),
        }
    }

    /// Dies with all its connections, as a killed process does.
    pub(crate) fn kill(&self) {
        self.task.abort();
    }

    pub(crate) fn seen(&self) -> Vec<Request> {
        self.requests.lock().expect("no panic").clone()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads up to the end of a head; `None` at the end of the stream.
pub(crate) async fn read_head(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head: Vec<u8> = buffer.drain(..at + 4).collect();
            return Some(String::from_utf8_lossy(&head).into_owned());
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// Reads a body as its head says; chunks are kept as they are.
pub(crate) async fn read_body(stream: &mut TcpStream, buffer: &mut Vec<u8>, head: &str) -> Option<Vec<u8>> {
    if header(head, "transfer-encoding").is_some() {
        loop {
            // Test bodies hold no such sequence.
            if let Some(at) = buffer.windows(5).position(|window| window == b"0\r\n\r\n") {
                return Some(buffer.drain(..at + 5).collect());
            }
            if stream.read_buf(buffer).await.ok()? == 0 {
                return None;
            }
        }
    }
    let length: usize = header(head, "content-length").map_or(0, |length| length.parse().expect("a number"));
    while buffer.len() < length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    Some(buffer.drain(..length).collect())
}

pub(crate) async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Request> {
    let head = read_head(stream, buffer).await?;
    let body = read_body(stream, buffer, &head).await?;
    Some(Request { head, body })
}

/// A listening socket whose backlog is full: it answers no SYN. What fills it comes along.
pub(crate) async fn full_backlog() -> (SocketAddrV4, (socket2::Socket, Vec<TcpStream>)) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&std::net::SocketAddr::from((own_address(), 0)).into()).expect("the address is free");
    socket.listen(0).expect("it is bound");
    let address = socket.local_addr().expect("it is bound").as_socket_ipv4().expect("it is IPv4");
    let mut fillers = Vec::new();
    loop {
        match tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
            Ok(filler) => fillers.push(filler.expect("a connection")),
            Err(_) => return (address, (socket, fillers)),
        }
        assert!(fillers.len() < 16, "the backlog never fills");
    }
}
