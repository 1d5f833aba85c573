//! Connections: requests in, the page out, and an end that loses nothing.

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::whoami::Whoami;

const PAGE: &str = include_str!("page.html");
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Longer than the 60 seconds for which a load balancer keeps an idle connection: so it is always that side that closes.
const IDLE_MAX: Duration = Duration::from_secs(75);

/// All open connections.
pub(crate) struct Connections {
    max: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    open: HashMap<u64, Open>,
    next: u64,
    is_stopping: bool,
}

struct Open {
    stream: TcpStream,
    is_busy: bool,
}

/// A connection's entry; it leaves when dropped.
pub(crate) struct Place {
    connections: Arc<Connections>,
    number: u64,
}

impl Connections {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Waits for a free place.
    pub(crate) fn enter(self: &Arc<Self>, stream: &TcpStream) -> Option<Place> {
        let stream = stream.try_clone().ok()?;
        let mut state = self.lock();
        while state.open.len() >= self.max {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let number = state.next;
        state.next += 1;
        state.open.insert(number, Open { stream, is_busy: false });
        Some(Place { connections: self.clone(), number })
    }

    /// Closes what is idle, waits for what is in flight; false if that took too long.
    pub(crate) fn finish(&self, wait_max: Duration) -> bool {
        let give_up = Instant::now() + wait_max;
        let mut state = self.lock();
        state.is_stopping = true;
        for open in state.open.values().filter(|open| !open.is_busy) {
            // What has already arrived is still read, and answered.
            let _ = open.stream.shutdown(Shutdown::Read);
        }
        while !state.open.is_empty() {
            let now = Instant::now();
            if now >= give_up {
                return false;
            }
            let waited = self.changed.wait_timeout(state, give_up - now);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// A request has begun, or has been answered. True when no further one shall be read.
    fn set_busy(&self, is_busy: bool) -> bool {
        let mut state = self.connections.lock();
        let is_stopping = state.is_stopping;
        if let Some(open) = state.open.get_mut(&self.number) {
            open.is_busy = is_busy;
        }
        is_stopping
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.lock().open.remove(&self.number);
        self.connections.changed.notify_all();
    }
}

/// Answers the connection's requests until one side closes it.
pub(crate) fn serve(mut stream: TcpStream, place: &Place, whoami: &OnceLock<Whoami>) {
    let _ = stream.set_nodelay(true);
    if stream.set_read_timeout(Some(IDLE_MAX)).is_err() || stream.set_write_timeout(Some(IDLE_MAX)).is_err() {
        return;
    }
    let mut buffer = Vec::new();
    while let Ok(Some(head)) = read_head(&mut stream, &mut buffer, place) {
        let answer = answer(&head, whoami);
        let is_last = place.set_busy(true) || answer.is_last;
        if stream.write_all(&answer.bytes(is_last)).is_err() || is_last {
            break;
        }
        // A stop that came meanwhile found this connection busy and has left it to us.
        if place.set_busy(!buffer.is_empty()) && buffer.is_empty() {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Write);
}

/// The next request's head; what follows it stays in the buffer. `None` at the end of the connection.
fn read_head(stream: &mut TcpStream, buffer: &mut Vec<u8>, place: &Place) -> io::Result<Option<String>> {
    loop {
        if let Some(end) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let rest = buffer.split_off(end + 4);
            let head = std::mem::replace(buffer, rest);
            return Ok(Some(String::from_utf8_lossy(&head).into_owned()));
        }
        if buffer.len() > HEAD_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut part = [0; 4096];
        let read = stream.read(&mut part)?;
        if read == 0 {
            return Ok(None);
        }
        if buffer.is_empty() {
            place.set_busy(true);
        }
        buffer.extend_from_slice(&part[..read]);
    }
}

struct Answer {
    status: &'static str,
    content_type: &'static str,
    body: String,
    has_body: bool,
    is_last: bool,
}

fn answer(head: &str, whoami: &OnceLock<Whoami>) -> Answer {
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, target, version) =
        (words.next().unwrap_or_default(), words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_ascii_lowercase()))
        .collect();
    let header = |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let has_request_body =
        header("transfer-encoding").is_some() || header("content-length").is_some_and(|length| length != "0");
    // A body is not read here, so the connection cannot be used again.
    let is_last = has_request_body || version != "HTTP/1.1" || header("connection") == Some("close");
    let unknown = Whoami { hostname: "unknown".to_owned(), task: "unknown".to_owned() };
    let whoami = whoami.get().unwrap_or(&unknown);
    let text = "text/plain; charset=utf-8";
    let (status, content_type, body) = match (method, target.split('?').next().unwrap_or_default()) {
        ("GET" | "HEAD", "/") => {
            let page = PAGE
                .replace("{{greeting}}", crate::whoami::greeting())
                .replace("{{task}}", &whoami.task)
                .replace("{{hostname}}", &whoami.hostname);
            ("200 OK", "text/html; charset=utf-8", page)
        }
        ("GET" | "HEAD", "/whoami") => ("200 OK", text, format!("{}\n", whoami.task)),
        ("GET" | "HEAD", "/health") => ("200 OK", text, "healthy\n".to_owned()),
        ("GET" | "HEAD", _) => ("404 Not Found", text, "not found\n".to_owned()),
        _ => ("405 Method Not Allowed", text, "only GET and HEAD\n".to_owned()),
    };
    Answer { status, content_type, body, has_body: method != "HEAD", is_last }
}

impl Answer {
    fn bytes(&self, is_last: bool) -> Vec<u8> {
        let connection = if is_last { "close" } else { "keep-alive" };
        let body = if self.has_body { self.body.as_str() } else { "" };
        format!(
            "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
             Connection: {connection}\r\n\r\n{body}",
            self.status,
            self.content_type,
            self.body.len(),
        )
        .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn who() -> Arc<OnceLock<Whoami>> {
        Arc::new(OnceLock::from(Whoami { hostname: "h".to_owned(), task: "0a1b".to_owned() }))
    }

    #[test]
    fn paths_and_methods() {
        for (head, status, is_last) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "200 OK", false),
            ("GET /?x=1 HTTP/1.1\r\n\r\n", "200 OK", false),
            ("HEAD / HTTP/1.1\r\n\r\n", "200 OK", false),
            ("GET /health HTTP/1.0\r\n\r\n", "200 OK", true),
            ("GET /nowhere HTTP/1.1\r\nConnection: Close\r\n\r\n", "404 Not Found", true),
            ("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n", "405 Method Not Allowed", true),
            ("nonsense\r\n\r\n", "405 Method Not Allowed", true),
        ] {
            let answer = answer(head, &who());
            assert_eq!((answer.status, answer.is_last), (status, is_last), "{head:?}");
        }
        assert!(answer("GET / HTTP/1.1\r\n\r\n", &who()).body.contains("0a1b"));
        let head = answer("HEAD / HTTP/1.1\r\n\r\n", &who()).bytes(false);
        assert!(head.ends_with(b"\r\n\r\n"), "a HEAD has no body");
    }

    /// A client's end of a served connection.
    fn connect(connections: &Arc<Connections>) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
        client.set_read_timeout(Some(Duration::from_secs(10))).expect("a valid time");
        let (stream, _) = listener.accept().expect("a connection waits");
        let place = connections.enter(&stream).expect("there is room");
        std::thread::spawn(move || serve(stream, &place, &who()));
        client
    }

    fn read_answer(client: &mut TcpStream) -> String {
        let mut text = Vec::new();
        let mut byte = [0];
        while !text.ends_with(b"0a1b\n") {
            match client.read(&mut byte).expect("an answer comes") {
                0 => break,
                _ => text.push(byte[0]),
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    #[test]
    fn a_stop_answers_what_has_begun_and_closes_what_is_idle() {
        let connections = Arc::new(Connections::new(8));
        let mut idle = connect(&connections);
        idle.write_all(b"GET /whoami HTTP/1.1\r\n\r\nGET /whoami HTTP/1.1\r\n\r\n").expect("open");
        for _ in 0..2 {
            assert!(read_answer(&mut idle).contains("keep-alive"), "requests in one packet are both answered");
        }
        let mut busy = connect(&connections);
        busy.write_all(b"GET /whoami HT").expect("open");
        let give_up = Instant::now() + Duration::from_secs(10);
        while !connections.lock().open.values().any(|open| open.is_busy) {
            assert!(Instant::now() < give_up, "the request begins");
            std::thread::yield_now();
        }
        let finish = std::thread::spawn({
            let connections = connections.clone();
            move || connections.finish(Duration::from_secs(10))
        });
        assert_eq!(read_answer(&mut idle), "", "closed");
        assert!(!finish.is_finished(), "one request is in flight");
        busy.write_all(b"TP/1.1\r\n\r\n").expect("open");
        let answer = read_answer(&mut busy);
        assert!(answer.contains("200 OK") && answer.contains("Connection: close"), "{answer}");
        assert!(finish.join().expect("it does not panic"));
    }
}
