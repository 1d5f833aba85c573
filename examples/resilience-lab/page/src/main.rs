//! The page of the resilience lab: a web server of one file, on the standard library alone.
//!
//! Flow: one thread accepts, each connection has a thread of its own up to a limit, the main thread waits for SIGTERM. Then
//! nothing more is accepted, idle connections are closed, every request that has begun is answered, and the process ends with
//! exit code 0. That is all that an application owes to the load balancer in front of it.
//!
//! `/` is the page, `/whoami` names the task that answers, `/health` says so in one word. `PORT` (8000) sets the port,
//! `GREETING` the heading.

mod connection;
mod signal;
mod whoami;

use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use connection::Connections;
use whoami::Whoami;

const PORT_DEFAULT: u16 = 8000;
/// Further ones wait in the backlog.
const CONNECTIONS_MAX: usize = 512;
/// ECS sends SIGKILL 30 seconds after SIGTERM; be gone before.
const FINISH_MAX: Duration = Duration::from_secs(25);

fn main() -> ExitCode {
    signal::block();
    let port = std::env::var("PORT").ok().and_then(|text| text.parse().ok()).unwrap_or(PORT_DEFAULT);
    let listener = match listen(port) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("listening on port {port} failed: {error}; set PORT to another one");
            return ExitCode::FAILURE;
        }
    };
    println!("listening on port {port}");
    let connections = Arc::new(Connections::new(CONNECTIONS_MAX));
    let stopping = Arc::new(AtomicBool::new(false));
    let whoami = whoami();
    let accepting = std::thread::spawn({
        let (connections, stopping) = (connections.clone(), stopping.clone());
        move || accept(&listener, &connections, &stopping, &whoami)
    });

    signal::wait_for_stop();
    println!("SIGTERM: finishing what is in flight");
    stopping.store(true, Ordering::SeqCst);
    // Wakes the accepting thread, which then closes the listener.
    let _ = TcpStream::connect(("127.0.0.1", port));
    let _ = accepting.join();
    match connections.finish(FINISH_MAX) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// On every address, of both families where the machine has both.
fn listen(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))
        .or_else(|_| TcpListener::bind(("0.0.0.0", port)))
}

/// Who answers is found out while the server already serves.
fn whoami() -> Arc<OnceLock<Whoami>> {
    let cell = Arc::new(OnceLock::new());
    let filled = cell.clone();
    std::thread::spawn(move || filled.set(Whoami::find()));
    cell
}

fn accept(
    listener: &TcpListener,
    connections: &Arc<Connections>,
    stopping: &AtomicBool,
    whoami: &Arc<OnceLock<Whoami>>,
) {
    for stream in listener.incoming() {
        if stopping.load(Ordering::SeqCst) {
            return;
        }
        // One that was reset before it was accepted concerns nobody.
        let Ok(stream) = stream else { continue };
        let Some(place) = connections.enter(&stream) else { continue };
        let whoami = whoami.clone();
        // Without a thread the connection is closed, and the load balancer tries another target.
        let _ = std::thread::Builder::new()
            .stack_size(128 << 10)
            .spawn(move || connection::serve(stream, &place, &whoami));
    }
}
