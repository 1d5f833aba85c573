//! A registry as small as these tests need, which misbehaves where it is told to.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gantry_images::Digest;
use serde_json::Value;

use crate::archive::Layout;

/// Everything that these tests wait for happens within it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// With the query.
    pub(crate) target: String,
    headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
    /// A download of a blob.
    pub(crate) fn is_blob(&self) -> bool {
        self.path().contains("/blobs/")
    }
    /// From this byte on.
    pub(crate) fn first_byte(&self) -> usize {
        let range = self.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
        range.map_or(0, |from| from.parse().unwrap())
    }
}

/// What a server does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Full(Reply),
    /// Promises all of it, sends so much, and closes.
    Cut(Reply, usize),
    /// The same, but leaves the connection open.
    Stall(Reply, usize),
    /// A body that never ends.
    Endless(Reply),
    /// A head that never ends.
    EndlessHead,
}

#[derive(Clone, Debug)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Reply {
    pub(crate) fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Self::Full(reply)
    }
}

type Handler = dyn Fn(&Seen) -> Answer + Send + Sync;

/// Listens until it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    handler: Box<Handler>,
    tls: Option<Arc<rustls::ServerConfig>>,
    seen: Mutex<Vec<Seen>>,
    closed: Mutex<usize>,
    changed: Condvar,
    ends: AtomicBool,
}

impl Server {
    pub(crate) fn start(handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_with(None, handler)
    }

    pub(crate) fn start_with(
        tls: Option<Arc<rustls::ServerConfig>>,
        handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            handler: Box::new(handler),
            tls,
            seen: Mutex::default(),
            closed: Mutex::default(),
            changed: Condvar::new(),
            ends: AtomicBool::new(false),
        });
        let own = shared.clone();
        let thread = std::thread::spawn(move || {
            for connection in listener.incoming() {
                if own.ends.load(Ordering::SeqCst) {
                    return;
                }
                let (own, connection) = (own.clone(), connection.unwrap());
                std::thread::spawn(move || own.serve(connection));
            }
        });
        Self { address, shared, thread: Some(thread) }
    }

    /// The name of an image in this registry.
    pub(crate) fn name(&self, rest: &str) -> String {
        format!("{}/{rest}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, matches: impl Fn(&Seen) -> bool) -> usize {
        self.seen().iter().filter(|seen| matches(seen)).count()
    }

    /// Waits until so many requests of a kind came.
    pub(crate) fn wait_for(&self, count: usize, matches: impl Fn(&Seen) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = self.shared.seen.lock().unwrap();
        while seen.iter().filter(|seen| matches(seen)).count() < count {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited for {count} requests; there were {seen:?}");
            seen = self.shared.changed.wait_timeout(seen, left).unwrap().0;
        }
    }

    /// Waits until clients have closed so many connections on which an answer stalled.
    pub(crate) fn wait_for_closed(&self, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        let mut closed = self.shared.closed.lock().unwrap();
        while *closed < count {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited for {count} closed connections; there were {closed}");
            closed = self.shared.changed.wait_timeout(closed, left).unwrap().0;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn serve(&self, connection: TcpStream) {
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        connection.set_write_timeout(Some(PATIENCE)).unwrap();
        connection.set_nodelay(true).unwrap();
        // A client may go at any moment.
        let _ = match &self.tls {
            None => self.serve_all(connection),
            Some(config) => {
                let session = rustls::ServerConnection::new(config.clone()).unwrap();
                self.serve_all(rustls::StreamOwned::new(session, connection))
            }
        };
    }

    fn serve_all(&self, connection: impl Read + Write) -> io::Result<()> {
        let mut connection = BufReader::new(connection);
        while let Some(seen) = read_request(&mut connection)? {
            self.seen.lock().unwrap().push(seen.clone());
            self.changed.notify_all();
            let answer = (self.handler)(&seen);
            let goes_on = self.answer(connection.get_mut(), &seen, answer)?;
            if !goes_on {
                return Ok(());
            }
        }
        Ok(())
    }

    fn answer(&self, connection: &mut (impl Read + Write), seen: &Seen, answer: Answer) -> io::Result<bool> {
        match answer {
            Answer::Full(reply) => {
                write_head(connection, &reply, Some(reply.body.len()))?;
                if seen.method != "HEAD" {
                    connection.write_all(&reply.body)?;
                }
                connection.flush()?;
                Ok(true)
            }
            Answer::Cut(reply, after) => {
                write_head(connection, &reply, Some(reply.body.len()))?;
                connection.write_all(&reply.body[..after.min(reply.body.len())])?;
                connection.flush()?;
                Ok(false)
            }
            Answer::Stall(reply, after) => {
                // The client may have gone already.
                let _ = write_head(connection, &reply, Some(reply.body.len()))
                    .and_then(|()| connection.write_all(&reply.body[..after.min(reply.body.len())]))
                    .and_then(|()| connection.flush())
                    .and_then(|()| connection.read(&mut [0; 64]));
                *self.closed.lock().unwrap() += 1;
                self.changed.notify_all();
                Ok(false)
            }
            Answer::Endless(reply) => {
                write_head(connection, &reply, None)?;
                loop {
                    connection.write_all(&[b' '; 64 * 1024])?;
                }
            }
            Answer::EndlessHead => {
                write!(connection, "HTTP/1.1 200 OK\r\n")?;
                loop {
                    write!(connection, "X-More: {}\r\n", "x".repeat(1000))?;
                }
            }
        }
    }
}

fn write_head(connection: &mut impl Write, reply: &Reply, length: Option<usize>) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {} X\r\n", reply.status);
    if let Some(length) = length {
        head.push_str(&format!("Content-Length: {length}\r\n"));
    }
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    connection.write_all(head.as_bytes())
}

fn read_request(connection: &mut impl BufRead) -> io::Result<Option<Seen>> {
    let mut line = String::new();
    if connection.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (method, target) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        connection.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    connection.read_exact(&mut body)?;
    Ok(Some(Seen { method, target, headers, body: String::from_utf8(body).unwrap() }))
}

/// Images, and how a well-behaved registry answers for them.
#[derive(Clone, Default)]
pub(crate) struct Content {
    blobs: BTreeMap<String, Vec<u8>>,
    tags: BTreeMap<String, Digest>,
}

impl Content {
    pub(crate) fn new(layout: &Layout) -> Self {
        let mut content = Self::default();
        for (path, bytes) in &layout.files {
            content.blobs.insert(path.replace("blobs/sha256/", "sha256:"), bytes.clone());
        }
        content
    }

    /// Names a manifest or an index.
    pub(crate) fn tag(mut self, tag: &str, descriptor: &Value) -> Self {
        self.tags.insert(tag.to_owned(), digest_of(descriptor));
        self
    }

    /// Another content under the same digest.
    pub(crate) fn damage(&mut self, digest: &Digest, content: &[u8]) {
        self.blobs.insert(digest.to_string(), content.to_vec());
    }

    pub(crate) fn answer(&self, seen: &Seen) -> Answer {
        self.reply(seen).into()
    }

    pub(crate) fn reply(&self, seen: &Seen) -> Reply {
        let last = seen.path().rsplit('/').next().unwrap();
        if seen.path().contains("/manifests/") {
            let digest = self.tags.get(last).map_or_else(|| last.to_owned(), ToString::to_string);
            let Some(content) = self.blobs.get(&digest) else { return unknown("MANIFEST_UNKNOWN") };
            let written: Value = serde_json::from_slice(content).unwrap_or_default();
            let media_type = written["mediaType"].as_str().unwrap_or("application/json").to_owned();
            return Reply::new(200)
                .header("Content-Type", media_type)
                .header("Docker-Content-Digest", digest)
                .body(content.clone());
        }
        if seen.path().contains("/blobs/") {
            let Some(content) = self.blobs.get(last) else { return unknown("BLOB_UNKNOWN") };
            let from = seen.first_byte();
            if from == 0 {
                return Reply::new(200).body(content.clone());
            }
            let range = format!("bytes {from}-{}/{}", content.len() - 1, content.len());
            return Reply::new(206).header("Content-Range", range).body(&content[from..]);
        }
        unknown("UNSUPPORTED")
    }
}

pub(crate) fn unknown(code: &str) -> Reply {
    let message = code.to_lowercase().replace('_', " ");
    Reply::new(404).body(format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#))
}

pub(crate) fn digest_of(descriptor: &Value) -> Digest {
    descriptor["digest"].as_str().unwrap().parse().unwrap()
}
