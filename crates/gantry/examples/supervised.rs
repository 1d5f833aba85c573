//! Stand-ins for the children of a supervisor, and a supervisor that runs them: the tests drive the real supervisor loop, the real
//! descriptor store and the real hand-over with them.
//!
//! `supervised supervise DIR` supervises `supervised lb|control|node DIR`. Each child writes its process id to DIR/<role>.pid.
//! The load balancer answers each connection with its process id, after the client has sent one byte.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gantry::descriptors::handoff::Offers;
use gantry::descriptors::{Channel, Client};
use gantry::supervisor::{self, ChildPlan, Plan, Role, ServerLock};
use nix::sys::signal::{SigSet, Signal};
use rustix::event::{PollFd, PollFlags, poll};

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let directory = PathBuf::from(&words[2]);
    match words[1].as_str() {
        "supervise" => supervise(&directory),
        "lb" => lb(&directory),
        role => worker(role, &directory),
    }
}

fn supervise(directory: &Path) {
    let _lock =
        ServerLock::take(&directory.join("lock"), Duration::from_secs(5)).expect("no other supervisor");
    let ready = directory.join("ready");
    let _ = fs::remove_file(&ready);
    let child = |role: Role| ChildPlan { role, arguments: vec![role.name().into(), directory.into()] };
    supervisor::run(Plan {
        program: "/proc/self/exe".into(),
        children: Role::ALL.map(child).into(),
        descriptors: Vec::new(),
        handoff_socket: directory.join("handoff.sock"),
        on_ready: Box::new(move || fs::write(ready, "").expect("the directory is there")),
    })
    .expect("the loop runs until a signal ends it");
}

fn connect(role: &str, directory: &Path) -> Arc<Client> {
    let channel: Channel = gantry::roles::take_supervisor_socket().expect("started by a supervisor");
    let starts = directory.join(format!("{role}.starts"));
    let mut file =
        fs::OpenOptions::new().create(true).append(true).open(starts).expect("the directory is there");
    writeln!(file, "{}", std::process::id()).expect("there is room");
    Arc::new(Client::new(channel))
}

/// `control` and `node`: live until the supervisor is gone; end at once while DIR/<role>.crash exists.
fn worker(role: &str, directory: &Path) {
    let client = connect(role, directory);
    if directory.join(format!("{role}.crash")).exists() {
        std::process::exit(7);
    }
    // A supervisor that was killed meanwhile is one more reason to end.
    let _ = client.ready();
    client.wait_for_end();
}

fn lb(directory: &Path) {
    let client = connect("lb", directory);
    // Blocked before there are threads: the waiting one below takes it.
    let mut term = SigSet::empty();
    term.add(Signal::SIGTERM);
    term.thread_block().expect("a valid set");
    let listener = listener(&client, directory);
    let offers = Offers::listen(&directory.join("handoff.sock")).expect("the path is free");
    let (drain, drained) = std::os::unix::net::UnixStream::pair().expect("a pair");
    std::thread::spawn({
        let (client, drain) = (client.clone(), drain.try_clone().expect("a duplicate"));
        move || {
            offers.serve(&client).expect("the socket stays");
            (&drain).write_all(b"d").expect("the main thread reads");
        }
    });
    std::thread::spawn(move || {
        term.wait().expect("a signal");
        (&drain).write_all(b"d").expect("the main thread reads");
    });
    client.ready().expect("a supervisor answers");

    let mut requests = Vec::new();
    listener.set_nonblocking(true).expect("a listener");
    loop {
        let mut descriptors = [PollFd::new(&listener, PollFlags::IN), PollFd::new(&drained, PollFlags::IN)];
        poll(&mut descriptors, None).expect("valid descriptors");
        if !descriptors[1].revents().is_empty() {
            break;
        }
        if let Ok((stream, _)) = listener.accept() {
            requests.push(std::thread::spawn(move || answer(stream)));
        }
    }
    drop(listener);
    for request in requests {
        let _ = request.join();
    }
}

fn listener(client: &Client, directory: &Path) -> TcpListener {
    if let Some(mut kept) = client.get("listener").expect("a supervisor answers") {
        return TcpListener::from(kept.remove(0));
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    client.put("listener", &[listener.as_fd()]).expect("a supervisor keeps it");
    let port = listener.local_addr().expect("bound").port().to_string();
    let new = directory.join("port.new");
    fs::write(&new, port)
        .and_then(|()| fs::rename(&new, directory.join("port")))
        .expect("the directory is there");
    listener
}

fn answer(mut stream: TcpStream) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
    let mut byte = [0];
    let began = Instant::now();
    if stream.read_exact(&mut byte).is_ok() {
        let _ = write!(stream, "{} {}", std::process::id(), began.elapsed().as_millis());
    }
}
