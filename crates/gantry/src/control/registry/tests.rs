//! The protocol on a real socket, endpoint by endpoint.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_domain::network::Cidr;
use gantry_images::registry::Registry;
use gantry_images::{Digest, Limits as StoreLimits, Store, media_type};
use gantry_services::ecr::RegistryHost;
use gantry_services::{Context, RootKey, Settings};
use gantry_store::fault::FaultyDisk;
use gantry_store::{Database, Options};
use gantry_telemetry::logs::LogStore;
use gantry_types::{Ids, Timestamp};
use gantry_wire::AuthMode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

use super::super::api::{self, Api, serve};
use crate::roles::Stop;

const LIMIT: Duration = Duration::from_secs(20);
const PLAIN: &str = "localhost:4566";
const ECR: &str = "123456789012.dkr.ecr.us-east-1.localhost:4566";

struct World {
    address: std::net::SocketAddr,
    registry: Registry,
    _stop: watch::Sender<Stop>,
    _folders: [tempfile::TempDir; 2],
}

/// An answer, its names of headers in lower case.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl World {
    async fn start(mode: AuthMode) -> Self {
        Self::with(mode, StoreLimits::default()).await
    }

    async fn with(mode: AuthMode, limits: StoreLimits) -> Self {
        let database = Database::open(FaultyDisk::new(1), Options::default()).unwrap();
        let settings = Settings {
            dns_suffix: "localhost".to_owned(),
            load_balancer_range: Cidr::parse("127.64.0.0/10").unwrap(),
            account_created_at: Timestamp::EPOCH,
        };
        let root =
            RootKey { access_key_id: "AKIAAAAAAAAAAAAAAAAA".into(), secret_access_key: "s".repeat(40) };
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let log_store = LogStore::open(folders[0].path(), gantry_telemetry::logs::Limits::default()).unwrap();
        let context = Arc::new(Context::new(database, log_store, Ids::from_seed(1), root, settings));
        let registry = Registry::open(Store::open_with(folders[1].path(), limits).unwrap()).unwrap();
        context.set_registry(RegistryHost {
            registry: registry.clone(),
            port: 4566,
            region: "us-east-1".into(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(Stop::No);
        let api = Arc::new(Api::new(context, mode, Ids::from_seed(2), api::Limits::default()));
        tokio::spawn(serve(listener, api, stopped));
        Self { address, registry, _stop: stop, _folders: folders }
    }

    async fn send(
        &self,
        host: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = request(host, method, path, headers, Some(body.len()));
        stream.write_all(request.as_bytes()).await.unwrap();
        // The server may answer before it has read everything.
        let _ = stream.write_all(body).await;
        timeout(LIMIT, read(&mut stream, method == "HEAD")).await.expect("an answer comes")
    }

    async fn ask(&self, method: &str, path: &str) -> Answer {
        self.send(PLAIN, method, path, &[], b"").await
    }

    /// Pushes a blob as docker does.
    async fn push(&self, content: &[u8]) -> String {
        let begun = self.ask("POST", "/v2/app/blobs/uploads/").await.expect(202);
        let location = begun.headers["location"].clone();
        self.send(PLAIN, "PATCH", &location, &[], content).await.expect(202);
        let digest = Digest::of(content).to_string();
        let done = self.ask("PUT", &format!("{location}?digest={digest}")).await.expect(201);
        assert_eq!(done.headers["docker-content-digest"], digest);
        digest
    }

    async fn put(&self, host: &str, path: &str, manifest: &str) -> Answer {
        let headers = [("content-type", media_type::OCI_MANIFEST)];
        self.send(host, "PUT", path, &headers, manifest.as_bytes()).await
    }

    /// A manifest whose blobs were pushed.
    async fn manifest(&self, seed: &str) -> String {
        let (config, layer) = (format!("{{\"seed\":\"{seed}\"}}"), format!("layer of {seed}"));
        self.push(config.as_bytes()).await;
        self.push(layer.as_bytes()).await;
        manifest(&config, &layer)
    }

    async fn create(&self, name: &str, more: Value) {
        let mut body = json!({ "repositoryName": name });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.ecr("CreateRepository", &body).await.expect(200);
    }

    async fn ecr(&self, operation: &str, body: &Value) -> Answer {
        let target = format!("AmazonEC2ContainerRegistry_V20150921.{operation}");
        let headers = [("x-amz-target", target.as_str()), ("content-type", "application/x-amz-json-1.1")];
        self.send("api.ecr.us-east-1.amazonaws.com", "POST", "/", &headers, body.to_string().as_bytes()).await
    }
}

impl Answer {
    #[track_caller]
    fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }
    /// An error of the protocol.
    #[track_caller]
    fn fails(self, status: u16, code: &str) -> Self {
        let answer = self.expect(status);
        assert_eq!(answer.json()["errors"][0]["code"], code, "{}", answer.json());
        assert_eq!(answer.headers["docker-distribution-api-version"], "registry/2.0");
        answer
    }
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

fn request(host: &str, method: &str, path: &str, headers: &[(&str, &str)], length: Option<usize>) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n");
    for (name, value) in headers {
        write!(text, "{name}: {value}\r\n").unwrap();
    }
    if let Some(length) = length {
        write!(text, "content-length: {length}\r\n").unwrap();
    }
    text + "\r\n"
}

async fn read(stream: &mut TcpStream, is_head: bool) -> Answer {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "the head is whole");
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length =
        headers.get("content-length").filter(|_| !is_head).map_or(0, |length| length.parse().unwrap());
    while bytes.len() < end + length {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "the body is whole");
    }
    Answer { status, headers, body: bytes[end..].to_vec() }
}

fn manifest(config: &str, layer: &str) -> String {
    let part = |media_type: &str, content: &str| json!({ "mediaType": media_type, "digest": Digest::of(content.as_bytes()).to_string(), "size": content.len() });
    json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": part(media_type::OCI_CONFIG, config),
        "layers": [part(media_type::OCI_LAYER_GZIP, layer)],
    })
    .to_string()
}

fn digest_of(text: &str) -> String {
    Digest::of(text.as_bytes()).to_string()
}

#[tokio::test]
async fn only_who_has_a_token_is_let_in() {
    let world = World::start(AuthMode::Verify).await;
    for host in [PLAIN, ECR] {
        let refused = world.send(host, "GET", "/v2/", &[], b"").await.fails(401, "UNAUTHORIZED");
        let challenge = format!("Basic realm=\"http://{host}/\",service=\"ecr.amazonaws.com\"");
        assert_eq!(refused.headers["www-authenticate"], challenge);
    }
    let made = |expires: i64| {
        let now = Timestamp::from_millis(expires * 1000);
        let basic = |text: String| format!("Basic {}", STANDARD.encode(text));
        (now, basic("AWS:wrong".to_owned()), basic("someone:gantry-1.1.00".to_owned()))
    };
    let (_, wrong, someone) = made(1);
    for authorization in [wrong.as_str(), &someone, "Bearer x", "Basic %%%", "Basic", ""] {
        world
            .send(PLAIN, "GET", "/v2/", &[("authorization", authorization)], b"")
            .await
            .fails(401, "UNAUTHORIZED");
        world
            .send(PLAIN, "POST", "/v2/app/blobs/uploads/", &[("authorization", authorization)], b"")
            .await
            .fails(401, "UNAUTHORIZED");
    }
    // Nobody can write anything into the challenge.
    let odd = world.send("a\"b", "GET", "/v2/", &[], b"").await;
    assert!(odd.status == 400 || !odd.headers["www-authenticate"].contains("a\"b"));
    // What AWS tools have signed is not for the registry.
    let signed = [("authorization", "AWS4-HMAC-SHA256 Credential=x")];
    let answer = world.send(PLAIN, "GET", "/v2/apis", &signed, b"").await;
    assert!(!answer.headers.contains_key("docker-distribution-api-version"), "{answer:?}");
}

#[tokio::test]
async fn a_token_of_the_api_lets_in() {
    let open = World::start(AuthMode::AcceptAny).await;
    let answer = open.ecr("GetAuthorizationToken", &json!({})).await.expect(200).json();
    let data = &answer["authorizationData"][0];
    assert_eq!(data["proxyEndpoint"], format!("http://{ECR}"));
    let token = data["authorizationToken"].as_str().unwrap();
    // The same account's secret, another server.
    let closed = World::start(AuthMode::Verify).await;
    let authorization = format!("Basic {token}");
    closed.send(ECR, "GET", "/v2/", &[("authorization", &authorization)], b"").await.expect(200);
    let text = String::from_utf8(STANDARD.decode(token).unwrap()).unwrap();
    let (before, proof) = text.rsplit_once('.').unwrap();
    let expired = before.rsplit_once('.').unwrap().0.to_owned() + ".1." + proof;
    let authorization = format!("Basic {}", STANDARD.encode(expired));
    closed
        .send(ECR, "GET", "/v2/", &[("authorization", &authorization)], b"")
        .await
        .fails(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn the_base_and_what_is_nothing() {
    let world = World::start(AuthMode::AcceptAny).await;
    for path in ["/v2", "/v2/"] {
        let answer = world.ask("GET", path).await.expect(200);
        assert_eq!(answer.headers["docker-distribution-api-version"], "registry/2.0");
        world.ask("HEAD", path).await.expect(200);
    }
    world.ask("POST", "/v2/").await.fails(405, "UNSUPPORTED");
    world.ask("GET", "/v2/nothing").await.fails(404, "NAME_INVALID");
    world.send(ECR, "GET", "/anything", &[], b"").await.fails(404, "NAME_INVALID");
    for name in ["App", "a..b", "%2e%2e/%2e%2e/etc", "a%00b", &"a".repeat(300)] {
        world.ask("POST", &format!("/v2/{name}/blobs/uploads/")).await.fails(400, "NAME_INVALID");
        world.ask("GET", &format!("/v2/{name}/manifests/latest")).await.fails(400, "NAME_INVALID");
    }
    for path in ["/v2/app/blobs/sha256:00", "/v2/app/blobs/uploads/x", "/v2/app/tags/list"] {
        world.ask("OPTIONS", path).await.fails(405, "UNSUPPORTED");
    }
}

#[tokio::test]
async fn a_blob_is_pushed_in_every_way_and_comes_back() {
    let world = World::start(AuthMode::AcceptAny).await;
    let content: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let digest = Digest::of(&content).to_string();
    let blob = format!("/v2/app/blobs/{digest}");
    world.ask("HEAD", &blob).await.expect(404);
    // At once.
    let path = format!("/v2/app/blobs/uploads/?digest={digest}");
    let created = world.send(PLAIN, "POST", &path, &[], &content).await.expect(201);
    assert_eq!(created.headers["location"], blob);
    let head = world.ask("HEAD", &blob).await.expect(200);
    assert_eq!(head.headers["content-length"], content.len().to_string());
    // The blob is there, but the repository is none before it has an image.
    world.ask("GET", &blob).await.fails(404, "NAME_UNKNOWN");
    let text = world.manifest("one").await;
    world.put(PLAIN, "/v2/app/manifests/one", &text).await.expect(201);
    let whole = world.ask("GET", &blob).await.expect(200);
    assert!(whole.body == content);
    assert_eq!(whole.headers["docker-content-digest"], digest);
    for (range, status, expected) in [
        ("bytes=10-19", 206, 10..20),
        ("bytes=799990-", 206, 799_990..800_000),
        ("bytes=-5", 206, 799_995..800_000),
    ] {
        let part = world.send(PLAIN, "GET", &blob, &[("range", range)], b"").await.expect(status);
        assert!(part.body == content[expected.clone()], "{range}");
        let told = format!("bytes {}-{}/800000", expected.start, expected.end - 1);
        assert_eq!(part.headers["content-range"], told);
    }
    let outside = world.send(PLAIN, "GET", &blob, &[("range", "bytes=800000-")], b"").await;
    assert_eq!(outside.fails(416, "RANGE_INVALID").headers["content-range"], "bytes */800000");
    world.ask("GET", &format!("/v2/app/blobs/{}", digest_of("none"))).await.fails(404, "BLOB_UNKNOWN");
    world.ask("GET", "/v2/app/blobs/sha256:00").await.fails(400, "DIGEST_INVALID");
    world.ask("GET", "/v2/app/blobs/md5:00").await.fails(400, "DIGEST_INVALID");
    world.ask("DELETE", &blob).await.fails(405, "UNSUPPORTED");
    // Mounted from elsewhere, or begun where that is not possible.
    let mount = format!("/v2/other/blobs/uploads/?mount={digest}&from=app");
    assert_eq!(world.ask("POST", &mount).await.expect(201).headers["docker-content-digest"], digest);
    let mount = format!("/v2/other/blobs/uploads/?mount={}&from=app", digest_of("none"));
    world.ask("POST", &mount).await.expect(202);
    // Nothing is a blob too.
    world.push(b"").await;
}

#[tokio::test]
async fn a_blob_comes_in_pieces() {
    let world = World::start(AuthMode::AcceptAny).await;
    let begun = world.ask("POST", "/v2/app/blobs/uploads/").await.expect(202);
    let location = begun.headers["location"].clone();
    assert_eq!((begun.headers["range"].as_str(), begun.headers["content-length"].as_str()), ("0-0", "0"));
    assert!(location.ends_with(&begun.headers["docker-upload-uuid"]));
    let patch = async |range: &'static str, content: &'static [u8]| {
        world.send(PLAIN, "PATCH", &location, &[("content-range", range)], content).await
    };
    assert_eq!(patch("0-4", b"01234").await.expect(202).headers["range"], "0-4");
    let refused = patch("7-8", b"78").await.fails(416, "BLOB_UPLOAD_INVALID");
    assert_eq!((refused.headers["range"].as_str(), &refused.headers["location"]), ("0-4", &location));
    patch("0-4", b"01234").await.fails(416, "BLOB_UPLOAD_INVALID");
    patch("5-6", b"56789").await.fails(400, "SIZE_INVALID");
    patch("five", b"5").await.fails(400, "BLOB_UPLOAD_INVALID");
    let status = world.ask("GET", &location).await.expect(204);
    assert_eq!(status.headers["range"], "0-4", "a piece that is too long leaves nothing");
    assert_eq!(patch("5-7", b"567").await.expect(202).headers["range"], "0-7");
    world
        .send(PLAIN, "PUT", &location, &[("content-range", "8-9")], b"89")
        .await
        .fails(400, "DIGEST_INVALID");
    let digest = digest_of("0123456789");
    let last = [("content-range", "8-9")];
    let done =
        world.send(PLAIN, "PUT", &format!("{location}?digest={digest}"), &last, b"89").await.expect(201);
    assert_eq!(done.headers["location"], format!("/v2/app/blobs/{digest}"));
    world.ask("GET", &location).await.fails(404, "BLOB_UPLOAD_UNKNOWN");
    patch("10-10", b"x").await.fails(404, "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn a_push_that_was_cut_goes_on() {
    let world = World::start(AuthMode::AcceptAny).await;
    let content: Vec<u8> = (0..500_000_u32).flat_map(u32::to_le_bytes).collect();
    let location = world.ask("POST", "/v2/app/blobs/uploads/").await.expect(202).headers["location"].clone();
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let head = request(PLAIN, "PATCH", &location, &[], Some(content.len()));
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&content[..1_234_567]).await.unwrap();
    // The server has not seen the end of the connection, and still: whoever goes on has the upload.
    let arrived = async {
        loop {
            let range = world.ask("GET", &location).await.expect(204).headers["range"].clone();
            if range == "0-1234566" {
                break;
            }
        }
    };
    timeout(LIMIT, arrived).await.expect("all of it arrives");
    let (first, last) = (1_234_567, content.len() - 1);
    let range = format!("{first}-{last}");
    let path = format!("{location}?digest={}", Digest::of(&content));
    world.send(PLAIN, "PUT", &path, &[("content-range", &range)], &content[first..]).await.expect(201);
    let _ = stream.write_all(b"late").await;
    let late = timeout(LIMIT, read(&mut stream, false)).await.unwrap();
    assert!([404, 409].contains(&late.status), "{late:?}");
    assert_eq!(world.registry.blob_size(&Digest::of(&content)).unwrap(), Some(content.len() as u64));
}

#[tokio::test]
async fn a_wrong_digest_is_refused() {
    let world = World::start(AuthMode::AcceptAny).await;
    let other = digest_of("other");
    let path = format!("/v2/app/blobs/uploads/?digest={other}");
    world.send(PLAIN, "POST", &path, &[], b"content").await.fails(400, "DIGEST_INVALID");
    let location = world.ask("POST", "/v2/app/blobs/uploads/").await.expect(202).headers["location"].clone();
    let path = format!("{location}?digest={other}");
    world.send(PLAIN, "PUT", &path, &[], b"content").await.fails(400, "DIGEST_INVALID");
    world.ask("GET", &location).await.fails(404, "BLOB_UPLOAD_UNKNOWN");
    world.ask("HEAD", &format!("/v2/app/blobs/{other}")).await.expect(404);
}

#[tokio::test]
async fn uploads_are_cancelled_and_bounded() {
    let limits = StoreLimits { uploads_max: 2, blob_bytes_max: 100, ..StoreLimits::default() };
    let world = World::with(AuthMode::AcceptAny, limits).await;
    let begin = async || world.ask("POST", "/v2/app/blobs/uploads/").await;
    let location = begin().await.expect(202).headers["location"].clone();
    begin().await.expect(202);
    assert_eq!(begin().await.fails(429, "TOOMANYREQUESTS").headers["retry-after"], "5");
    let id = location.rsplit('/').next().unwrap();
    world.ask("GET", &format!("/v2/other/blobs/uploads/{id}")).await.fails(404, "BLOB_UPLOAD_UNKNOWN");
    world.ask("DELETE", &location).await.expect(204);
    world.ask("DELETE", &location).await.fails(404, "BLOB_UPLOAD_UNKNOWN");
    let location = begin().await.expect(202).headers["location"].clone();
    world.send(PLAIN, "PATCH", &location, &[], &[0; 101]).await.fails(413, "SIZE_INVALID");
}

#[tokio::test]
async fn manifests_come_back_as_they_were() {
    let world = World::start(AuthMode::AcceptAny).await;
    let text = world.manifest("one").await;
    let digest = digest_of(&text);
    world.ask("GET", "/v2/app/manifests/latest").await.fails(404, "NAME_UNKNOWN");
    let put = world.put(PLAIN, "/v2/app/manifests/latest", &text).await.expect(201);
    assert_eq!(put.headers["docker-content-digest"], digest);
    assert_eq!(put.headers["location"], format!("/v2/app/manifests/{digest}"));
    for reference in ["latest", digest.as_str()] {
        let path = format!("/v2/app/manifests/{reference}");
        let got = world.ask("GET", &path).await.expect(200);
        assert_eq!(got.body, text.as_bytes());
        assert_eq!(got.headers["content-type"], media_type::OCI_MANIFEST);
        assert_eq!(got.headers["docker-content-digest"], digest);
        let head = world.ask("HEAD", &path).await.expect(200);
        assert_eq!(head.headers["content-length"], text.len().to_string());
    }
    world.ask("GET", "/v2/app/manifests/none").await.fails(404, "MANIFEST_UNKNOWN");
    world.ask("GET", "/v2/app/manifests/-x").await.fails(400, "TAG_INVALID");
    world
        .put(PLAIN, "/v2/app/manifests/x", &manifest("absent", "absent"))
        .await
        .fails(400, "MANIFEST_BLOB_UNKNOWN");
    world.put(PLAIN, "/v2/app/manifests/x", "{").await.fails(400, "MANIFEST_INVALID");
    let wrong = format!("/v2/app/manifests/{}", digest_of("other"));
    world.put(PLAIN, &wrong, &text).await.fails(400, "DIGEST_INVALID");
    let large = " ".repeat((4 << 20) + 1);
    world.put(PLAIN, "/v2/app/manifests/x", &large).await.fails(413, "SIZE_INVALID");
    // By tag only the tag goes, by digest everything.
    world.put(PLAIN, "/v2/app/manifests/v1", &text).await.expect(201);
    world.ask("DELETE", "/v2/app/manifests/v1").await.expect(202);
    world.ask("DELETE", "/v2/app/manifests/v1").await.fails(404, "MANIFEST_UNKNOWN");
    world.ask("GET", "/v2/app/manifests/latest").await.expect(200);
    world.ask("DELETE", &format!("/v2/app/manifests/{digest}")).await.expect(202);
    world.ask("GET", "/v2/app/manifests/latest").await.fails(404, "NAME_UNKNOWN");
}

#[tokio::test]
async fn lists_come_in_pages() {
    let world = World::start(AuthMode::AcceptAny).await;
    let text = world.manifest("one").await;
    for tag in ["c", "a", "b"] {
        world.put(PLAIN, &format!("/v2/app/manifests/{tag}"), &text).await.expect(201);
    }
    let list = async |path: &str| {
        let answer = world.ask("GET", path).await.expect(200);
        (answer.json(), answer.headers.get("link").cloned())
    };
    let all = json!({ "name": "app", "tags": ["a", "b", "c"] });
    assert_eq!(list("/v2/app/tags/list").await, (all, None));
    let next = Some("</v2/app/tags/list?last=b&n=2>; rel=\"next\"".to_owned());
    assert_eq!(list("/v2/app/tags/list?n=2").await, (json!({ "name": "app", "tags": ["a", "b"] }), next));
    assert_eq!(list("/v2/app/tags/list?last=b&n=2").await, (json!({ "name": "app", "tags": ["c"] }), None));
    assert_eq!(list("/v2/app/tags/list?n=0").await.0, json!({ "name": "app", "tags": [] }));
    world.ask("GET", "/v2/app/tags/list?n=many").await.fails(400, "PAGINATION_NUMBER_INVALID");
    world.ask("GET", "/v2/none/tags/list").await.fails(404, "NAME_UNKNOWN");
    world.create("made", json!({})).await;
    assert_eq!(list("/v2/_catalog").await.0, json!({ "repositories": ["app", "made"] }));
    let next = Some("</v2/_catalog?last=app&n=1>; rel=\"next\"".to_owned());
    assert_eq!(list("/v2/_catalog?n=1").await, (json!({ "repositories": ["app"] }), next));
    assert_eq!(list("/v2/made/tags/list").await.0, json!({ "name": "made", "tags": [] }));
}

#[tokio::test]
async fn referrers_are_an_index() {
    let world = World::start(AuthMode::AcceptAny).await;
    let text = world.manifest("one").await;
    world.put(PLAIN, "/v2/app/manifests/latest", &text).await.expect(201);
    let path = format!("/v2/app/referrers/{}", digest_of(&text));
    let index = world.ask("GET", &path).await.expect(200);
    assert_eq!(index.headers["content-type"], media_type::OCI_INDEX);
    assert_eq!(index.json()["manifests"], json!([]));
    let mut about: Value = serde_json::from_str(&world.manifest("about").await).unwrap();
    about["artifactType"] = json!("application/x-note");
    about["subject"] =
        json!({ "mediaType": media_type::OCI_MANIFEST, "digest": digest_of(&text), "size": text.len() });
    let about = about.to_string();
    let put = world.put(PLAIN, &format!("/v2/app/manifests/{}", digest_of(&about)), &about).await.expect(201);
    assert_eq!(put.headers["oci-subject"], digest_of(&text));
    let found = world.ask("GET", &path).await.expect(200).json();
    assert_eq!(found["manifests"][0]["digest"], digest_of(&about));
    assert_eq!(found["manifests"][0]["artifactType"], "application/x-note");
    let filtered = world.ask("GET", &format!("{path}?artifactType=application%2Fx-other")).await.expect(200);
    assert_eq!(filtered.headers["oci-filters-applied"], "artifactType");
    assert_eq!(filtered.json()["manifests"], json!([]));
}

#[tokio::test]
async fn by_ecrs_names_a_repository_has_to_be_created() {
    let world = World::start(AuthMode::AcceptAny).await;
    let text = world.manifest("one").await;
    let begin =
        async |name: &str| world.send(ECR, "POST", &format!("/v2/{name}/blobs/uploads/"), &[], b"").await;
    let refused = begin("made").await.fails(404, "NAME_UNKNOWN").json();
    let message = "The repository with name 'made' does not exist in the registry with id '123456789012'";
    assert_eq!(refused["errors"][0]["message"], message);
    world.put(ECR, "/v2/made/manifests/v1", &text).await.fails(404, "NAME_UNKNOWN");
    world.create("made", json!({ "imageTagMutability": "IMMUTABLE" })).await;
    begin("made").await.expect(202);
    world.put(ECR, "/v2/made/manifests/v1", &text).await.expect(201);
    // Pushing the same again changes nothing; another image may not have the tag.
    world.put(ECR, "/v2/made/manifests/v1", &text).await.expect(201);
    let other = world.manifest("other").await;
    world.put(ECR, "/v2/made/manifests/v1", &other).await.fails(400, "TAG_INVALID");
    world.put(ECR, "/v2/made/manifests/v2", &other).await.expect(201);
    // Another region has another repository of this name.
    let elsewhere = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
    world.send(elsewhere, "GET", "/v2/made/tags/list", &[], b"").await.fails(404, "NAME_UNKNOWN");
    // All names of this region's registry lead to it.
    for host in [PLAIN, "127.0.0.1:4566", "123456789012.dkr.ecr.us-east-1.amazonaws.com"] {
        let tags = world.send(host, "GET", "/v2/made/tags/list", &[], b"").await.expect(200);
        assert_eq!(tags.json()["tags"], json!(["v1", "v2"]), "{host}");
    }
    let images = world.ecr("ListImages", &json!({ "repositoryName": "made" })).await.expect(200).json();
    assert_eq!(images["imageIds"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_link_to_a_layer_is_for_this_layer_alone() {
    let open = World::start(AuthMode::AcceptAny).await;
    let text = open.manifest("one").await;
    open.put(PLAIN, "/v2/app/manifests/v1", &text).await.expect(201);
    let layer = digest_of("layer of one");
    let asked = json!({ "repositoryName": "app", "layerDigest": layer });
    let answer = open.ecr("GetDownloadUrlForLayer", &asked).await.expect(200).json();
    let url = answer["downloadUrl"].as_str().unwrap().to_owned();
    let path = url.strip_prefix(&format!("http://{ECR}")).unwrap();
    assert_eq!(open.send(ECR, "GET", path, &[], b"").await.expect(200).body, b"layer of one");
    let closed = World::start(AuthMode::Verify).await;
    // There it would be found if it were here.
    closed.send(ECR, "GET", path, &[], b"").await.fails(404, "NAME_UNKNOWN");
    closed
        .send(ECR, "GET", &path.replace(&layer, &digest_of("x")), &[], b"")
        .await
        .fails(401, "UNAUTHORIZED");
    let (blob, _) = path.split_once('?').unwrap();
    closed.send(ECR, "GET", blob, &[], b"").await.fails(401, "UNAUTHORIZED");
}
