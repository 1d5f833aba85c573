//! The endpoint on a real socket: what hostile and broken clients get, and that it lives on.

use std::sync::Arc;
use std::time::Duration;

use gantry_domain::network::Cidr;
use gantry_services::{Context, RootKey, Settings};
use gantry_store::fault::FaultyDisk;
use gantry_store::{Database, Options};
use gantry_telemetry::logs::LogStore;
use gantry_types::{Ids, Timestamp};
use gantry_wire::{AuthMode, BODY_BYTES_MAX};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::api::{Api, Limits, respond, serve};
use crate::roles::Stop;

const LIMIT: Duration = Duration::from_secs(20);

struct Endpoint {
    address: std::net::SocketAddr,
    stop: watch::Sender<Stop>,
    _folder: tempfile::TempDir,
    serving: JoinHandle<()>,
}

async fn start(mode: AuthMode, limits: Limits) -> Endpoint {
    let database = Database::open(FaultyDisk::new(1), Options::default()).unwrap();
    let settings = Settings {
        dns_suffix: "localhost".to_owned(),
        load_balancer_range: Cidr::parse("127.64.0.0/10").unwrap(),
        account_created_at: Timestamp::EPOCH,
    };
    let root =
        RootKey { access_key_id: "AKIAAAAAAAAAAAAAAAAA".to_owned(), secret_access_key: "s".repeat(40) };
    let folder = tempfile::tempdir().unwrap();
    let log_store = LogStore::open(folder.path(), gantry_telemetry::logs::Limits::default()).unwrap();
    let context = Arc::new(Context::new(database, log_store, Ids::from_seed(1), root, settings));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(Stop::No);
    let api = Arc::new(Api::new(context, mode, Ids::from_seed(2), limits));
    Endpoint { address, stop, _folder: folder, serving: tokio::spawn(serve(listener, api, stopped)) }
}

impl Endpoint {
    /// What comes back until the answer is whole or the connection ends.
    async fn send(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // The server may answer and close before it has read everything.
        let _ = stream.write_all(request).await;
        timeout(LIMIT, read_answer(&mut stream)).await.expect("an answer comes")
    }

    async fn expect(&self, request: &[u8], status: u16, parts: &[&str]) {
        let answer = self.send(request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        for part in parts {
            assert!(answer.contains(part), "'{part}' is missing: {answer}");
        }
        self.expect_life().await;
    }

    /// Whatever a client did: the next one is served.
    async fn expect_life(&self) {
        let answer = self.send(&json("ListClusters", "{}")).await;
        assert!(answer.contains("x-amzn-requestid"), "{answer}");
    }
}

async fn read_answer(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    loop {
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => break,
            Ok(read) => bytes.extend_from_slice(&part[..read]),
        }
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        if length.is_some_and(|length| body.len() >= length) {
            break;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn json(operation: &str, body: &str) -> Vec<u8> {
    format!(
        "POST / HTTP/1.1\r\nHost: ecs\r\nX-Amz-Target: AmazonEC2ContainerServiceV20141113.{operation}\r\n\
         Content-Type: application/x-amz-json-1.1\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn form(body: &str) -> Vec<u8> {
    format!(
        "POST / HTTP/1.1\r\nHost: ec2\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[tokio::test]
async fn a_call_is_answered_and_an_unsigned_one_refused() {
    let open = start(AuthMode::AcceptAny, Limits::default()).await;
    open.expect(&json("ListClusters", "{}"), 200, &["\"clusterArns\":[]", "application/x-amz-json-1.1"])
        .await;
    open.expect(&form("Action=DescribeVpcs&Version=2016-11-15"), 200, &["<DescribeVpcsResponse"]).await;
    let closed = start(AuthMode::Verify, Limits::default()).await;
    closed.expect(&json("ListClusters", "{}"), 400, &["MissingAuthenticationToken"]).await;
    closed
        .expect(&form("Action=DescribeVpcs&Version=2016-11-15"), 403, &["MissingAuthenticationToken"])
        .await;
}

#[tokio::test]
async fn health_is_told_to_anybody() {
    let endpoint = start(AuthMode::Verify, Limits::default()).await;
    let request = |method: &str| format!("{method} /_gantry/health HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes();
    let version = format!("\"version\":\"{}\"", env!("CARGO_PKG_VERSION"));
    endpoint.expect(&request("GET"), 200, &["application/json", &version, "\"ready\":false"]).await;
    endpoint.expect(&request("DELETE"), 405, &["allow: GET, HEAD"]).await;
}

#[tokio::test]
async fn malformed_bodies_get_the_error_of_their_protocol() {
    let endpoint = start(AuthMode::AcceptAny, Limits::default()).await;
    endpoint.expect(&json("ListClusters", "{\"a\":"), 400, &["SerializationException"]).await;
    endpoint.expect(&json("NoSuchThing", "{}"), 400, &["UnknownOperationException"]).await;
    endpoint
        .expect(&form("Action=NoSuchThing&Version=2016-11-15"), 400, &["<Code>InvalidAction</Code>"])
        .await;
    endpoint.expect(&form("%%%"), 400, &["<Code>"]).await;
    endpoint.expect(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 404, &["UnknownOperationException"]).await;
}

#[tokio::test]
async fn a_body_that_never_ends_or_is_too_large_is_refused_in_time() {
    let limits = Limits { body_wait_max: Duration::from_millis(50), ..Limits::default() };
    let endpoint = start(AuthMode::AcceptAny, limits).await;
    let mut half = json("ListClusters", "{}");
    half.truncate(half.len() - 1);
    endpoint.expect(&half, 400, &["\"__type\":\"RequestTimeout\""]).await;
    let chunked = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                    Transfer-Encoding: chunked\r\n\r\n5\r\nActio\r\n";
    endpoint.expect(chunked, 400, &["<Code>RequestTimeout</Code>"]).await;

    let large = "a".repeat(BODY_BYTES_MAX + 4096);
    let endpoint = start(AuthMode::AcceptAny, Limits::default()).await;
    endpoint.expect(&json("ListClusters", &large), 413, &["RequestEntityTooLarge"]).await;
}

/// The head of a call whose body of so many bytes does not come, but for `sent` of them.
async fn promise(endpoint: &Endpoint, length: usize, sent: usize) -> TcpStream {
    let request = json("ListClusters", &"a".repeat(length));
    let mut stream = TcpStream::connect(endpoint.address).await.unwrap();
    stream.write_all(&request[..request.len() - length + sent]).await.unwrap();
    stream
}

#[tokio::test]
async fn bodies_that_do_not_come_keep_no_usual_call_waiting() {
    // Beyond LIMIT, in which each answer must have come: who waited for another's body would fail.
    let limits =
        Limits { bodies_kib_max: 16, body_free_bytes: 1024, body_wait_max: 3 * LIMIT, ..Limits::default() };
    let endpoint = start(AuthMode::AcceptAny, limits.clone()).await;
    let mut promised = Vec::new();
    for _ in 0..20 {
        promised.push(promise(&endpoint, 16 << 10, 10).await);
        promised.push(promise(&endpoint, 16 << 10, 4096).await);
    }
    endpoint.expect_life().await;

    // A large one waits for the large one before it, and no longer than that one is given.
    let limits = Limits { body_wait_max: Duration::from_millis(200), ..limits };
    let endpoint = start(AuthMode::AcceptAny, limits).await;
    let mut first = promise(&endpoint, 16 << 10, 4096).await;
    let answer = timeout(LIMIT, read_answer(&mut first)).await.unwrap();
    assert!(answer.contains("RequestTimeout"), "{answer}");
    endpoint.expect(&json("ListClusters", &"a".repeat(8192)), 400, &["SerializationException"]).await;
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_in_words() {
    let limits = Limits { head_bytes_max: 4096, headers_max: 20, ..Limits::default() };
    let endpoint = start(AuthMode::AcceptAny, limits).await;
    let with = |lines: &str| {
        let mut request = json("ListClusters", "{}");
        let at = request.windows(2).position(|bytes| bytes == b"\r\n").unwrap() + 2;
        request.splice(at..at, lines.bytes());
        request
    };
    let code = "RequestHeaderSectionTooLarge";
    endpoint.expect(&with(&format!("X-Large: {}\r\n", "a".repeat(8192))), 400, &[code]).await;
    endpoint.expect(&with(&"X-Many: a\r\n".repeat(50)), 400, &[code]).await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_and_are_served() {
    let limits =
        Limits { connections_max: 1, head_wait_max: Duration::from_millis(100), ..Limits::default() };
    let endpoint = start(AuthMode::AcceptAny, limits).await;
    // It says nothing and holds the only place, until its time is over.
    let _silent = TcpStream::connect(endpoint.address).await.unwrap();
    endpoint.expect(&json("ListClusters", "{}"), 200, &[]).await;
}

#[tokio::test]
async fn a_stop_finishes_what_is_in_flight() {
    let endpoint = start(AuthMode::AcceptAny, Limits::default()).await;
    let request = json("ListClusters", "{}");
    let mut stream = TcpStream::connect(endpoint.address).await.unwrap();
    stream.write_all(&request).await.unwrap();
    assert!(timeout(LIMIT, read_answer(&mut stream)).await.unwrap().starts_with("HTTP/1.1 200"));
    let mut busy = TcpStream::connect(endpoint.address).await.unwrap();
    let (first, last) = request.split_at(request.len() - 1);
    busy.write_all(first).await.unwrap();
    // The server reads in order: once the idle connection has answered again, the other one's head has been read.
    stream.write_all(&request).await.unwrap();
    assert!(timeout(LIMIT, read_answer(&mut stream)).await.unwrap().starts_with("HTTP/1.1 200"));
    endpoint.stop.send_replace(Stop::Ordered);
    assert_eq!(timeout(LIMIT, read_answer(&mut stream)).await.unwrap(), "", "idle, so it is closed");
    busy.write_all(last).await.unwrap();
    assert!(timeout(LIMIT, read_answer(&mut busy)).await.unwrap().starts_with("HTTP/1.1 200"));
    timeout(LIMIT, endpoint.serving).await.unwrap().unwrap();
    assert!(TcpStream::connect(endpoint.address).await.is_err());
}

#[tokio::test]
async fn a_handler_that_panics_costs_one_answer() {
    let service = gantry_api::SERVICES.iter().find(|service| service.name == "ecs").unwrap();
    let call = gantry_wire::Call {
        service,
        operation: &service.operations[0],
        protocol: service.protocols[0],
        region: "us-east-1".into(),
        request_id: "the-id".to_owned(),
        now: Timestamp::EPOCH,
        access_key: String::new(),
        principal: gantry_wire::Principal::root(),
        input: gantry_types::Value::map(),
        query_mode: false,
    };
    let response = respond(&call, async { panic!("a mistake of ours") }).await;
    assert_eq!(response.status, 500);
    let body = String::from_utf8(response.body).unwrap();
    assert!(body.contains("InternalFailure") && !body.contains("mistake"), "{body}");
    assert_eq!(response.headers["x-amzn-requestid"], "the-id");
}
