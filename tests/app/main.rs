//! The program that the end-to-end tests put into containers: it serves, prints, fails and eats as it is told.
//!
//! Standard library only, so that `rustc -O -C target-feature=+crt-static` makes one static file of it.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

static HEALTHY: AtomicBool = AtomicBool::new(true);
static STOPPING: AtomicBool = AtomicBool::new(false);
static IN_FLIGHT: AtomicUsize = AtomicUsize::new(0);
static EATEN: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

unsafe extern "C" {
    fn signal(number: i32, handler: usize) -> usize;
}

extern "C" fn on_term(_: i32) {
    STOPPING.store(true, Ordering::SeqCst);
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", port] => serve(port.parse().expect("a port")),
        ["serve", port, "after", millis] => {
            thread::sleep(Duration::from_millis(millis.parse().expect("milliseconds")));
            serve(port.parse().expect("a port"));
        }
        ["exit", code] => std::process::exit(code.parse().expect("a code")),
        ["print", text] => println!("{text}"),
        ["print-error", text] => eprintln!("{text}"),
        ["env"] => std::env::vars().for_each(|(name, value)| println!("{name}={value}")),
        ["cwd"] => println!("{}", std::env::current_dir().expect("a directory").display()),
        ["user"] => println!("{}", user()),
        ["cat", path] => print!("{}", std::fs::read_to_string(path).expect("a file")),
        ["resolve", name] => println!("{:?}", std::net::ToSocketAddrs::to_socket_addrs(&(*name, 0)).map(Iterator::collect::<Vec<_>>)),
        ["get", url] => println!("{}", get(url)),
        ["flood", bytes] => flood(bytes.parse().expect("a number")),
        ["tick", millis] => tick(millis.parse().expect("milliseconds")),
        ["eat", megabytes] => {
            eat(megabytes.parse().expect("a number"));
            println!("ate {megabytes} MB");
        }
        ["burn"] => loop {
            std::hint::black_box(0u64.wrapping_add(1));
        },
        ["sleep"] => loop {
            thread::sleep(Duration::from_secs(3600));
        },
        ["sleep-politely"] => sleep_politely(),
        ["check", path] => std::process::exit(i32::from(!std::path::Path::new(path).exists())),
        _ => {
            eprintln!("unknown words: {words:?}");
            std::process::exit(64);
        }
    }
}

fn sleep_politely() {
    // SAFETY: the handler only stores an atomic flag, which is allowed in a signal handler.
    unsafe { signal(15, on_term as *const () as usize) };
    println!("ready");
    while !STOPPING.load(Ordering::SeqCst) {
        thread::sleep(Duration::from_millis(5));
    }
    println!("stopped politely");
}

fn user() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ids = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or("").to_owned();
        line.split_whitespace().nth(1).unwrap_or("?").to_owned()
    };
    format!("{}:{}", ids("Uid:"), ids("Gid:"))
}

fn flood(bytes: usize) {
    let line = "x".repeat(99);
    let stdout = std::io::stdout();
    let mut stdout = std::io::BufWriter::new(stdout.lock());
    for number in 0..bytes / 108 {
        writeln!(stdout, "{number:08}{line}").expect("standard output");
    }
    writeln!(stdout, "the end").expect("standard output");
    stdout.flush().expect("standard output");
    drop(stdout);
    sleep_politely();
}

fn tick(millis: u64) {
    for number in 0u64.. {
        println!("tick {number}");
        thread::sleep(Duration::from_millis(millis));
    }
}

fn eat(megabytes: usize) {
    for _ in 0..megabytes {
        EATEN.lock().expect("no thread panics here").push(vec![1; 1 << 20]);
    }
}

fn get(url: &str) -> String {
    let rest = url.strip_prefix("http://").expect("an http URL");
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let address = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let mut stream = match TcpStream::connect(address) {
        Ok(stream) => stream,
        Err(error) => return format!("error: {error}"),
    };
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

fn serve(port: u16) {
    // SAFETY: the handler only stores an atomic flag, which is allowed in a signal handler.
    unsafe { signal(15, on_term as *const () as usize) };
    let listener = TcpListener::bind(("0.0.0.0", port)).expect("the port is free");
    println!("listening on {port}");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let _ = talk(stream);
            });
        }
    });
    while !STOPPING.load(Ordering::SeqCst) {
        thread::sleep(Duration::from_millis(2));
    }
    while IN_FLIGHT.load(Ordering::SeqCst) > 0 {
        thread::sleep(Duration::from_millis(1));
    }
    println!("stopped politely");
}

struct InFlight;

impl InFlight {
    fn begin() -> Self {
        IN_FLIGHT.fetch_add(1, Ordering::SeqCst);
        Self
    }
}
impl Drop for InFlight {
    fn drop(&mut self) {
        IN_FLIGHT.fetch_sub(1, Ordering::SeqCst);
    }
}

fn talk(stream: TcpStream) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let _in_flight = InFlight::begin();
        let mut head = line.clone();
        let mut length = 0;
        let mut chunked = false;
        let mut last = false;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            if header.trim().is_empty() {
                break;
            }
            let lower = header.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            chunked |= lower.starts_with("transfer-encoding:") && lower.contains("chunked");
            last |= lower.starts_with("connection:") && lower.contains("close");
            head.push_str(&header);
        }
        let body = if chunked { read_chunks(&mut reader)? } else { read_body(&mut reader, length)? };
        let target = line.split_whitespace().nth(1).unwrap_or("/").to_owned();
        let (status, answer) = answer(&target, &head, &body);
        let close = last || STOPPING.load(Ordering::SeqCst);
        let connection = if close { "close" } else { "keep-alive" };
        let mut whole = format!(
            "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n",
            answer.len()
        )
        .into_bytes();
        whole.extend(answer);
        // One write: a second would wait for a delayed acknowledgement of the first, and a kill could come between them.
        writer.write_all(&whole)?;
        if close {
            return Ok(());
        }
    }
}

fn read_body(reader: &mut impl BufRead, length: usize) -> std::io::Result<Vec<u8>> {
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(body)
}

fn read_chunks(reader: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut size = String::new();
        reader.read_line(&mut size)?;
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        body.append(&mut read_body(reader, size)?);
        let mut end = String::new();
        reader.read_line(&mut end)?;
        if size == 0 {
            return Ok(body);
        }
    }
}

fn answer(target: &str, head: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query: HashMap<&str, &str> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let number = |name: &str| query.get(name).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let text = |text: String| (200, text.into_bytes());
    match path {
        "/" => text(format!("hello from {}\n", hostname())),
        "/health" if HEALTHY.load(Ordering::SeqCst) => text("healthy\n".to_owned()),
        "/health" => (500, b"unhealthy\n".to_vec()),
        "/sicken" => {
            HEALTHY.store(false, Ordering::SeqCst);
            text("sick\n".to_owned())
        }
        "/head" => text(head.to_owned()),
        "/echo" => (200, body.to_vec()),
        "/env" => text(std::env::vars().map(|(name, value)| format!("{name}={value}\n")).collect()),
        "/slow" => {
            thread::sleep(Duration::from_millis(number("ms")));
            text("slow\n".to_owned())
        }
        "/log" => {
            println!("{}", query.get("text").unwrap_or(&""));
            text("logged\n".to_owned())
        }
        "/bytes" => (200, vec![b'b'; number("n") as usize]),
        "/status" => (number("code") as u16, b"as asked\n".to_vec()),
        "/exit" => std::process::exit(number("code") as i32),
        "/eat" => {
            eat(number("mb") as usize);
            text("ate\n".to_owned())
        }
        _ => (404, b"not found\n".to_vec()),
    }
}

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}
