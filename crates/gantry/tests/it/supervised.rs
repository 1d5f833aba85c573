//! The supervisor's loop, descriptor store and hand-over, with the stand-ins of `examples/supervised.rs`.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::wait::until;

/// A supervisor and its children in a directory of their own; all are gone when this is dropped.
struct World {
    directory: tempfile::TempDir,
    supervisor: Option<Child>,
}

impl World {
    fn new() -> Self {
        let mut world = Self { directory: tempfile::tempdir().unwrap(), supervisor: None };
        world.start();
        world
    }

    fn start(&mut self) {
        let _ = fs::remove_file(self.path("ready"));
        let child = Command::new(program())
            .arg("supervise")
            .arg(self.directory.path())
            .stdin(Stdio::null())
            .spawn()
            .expect("`cargo test` builds the examples; build it with `cargo build --example supervised`");
        self.supervisor = Some(child);
        until("every child serves", || self.path("ready").exists().then_some(()));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The processes that played a role, in order.
    fn starts(&self, role: &str) -> Vec<u32> {
        starts(self.directory.path(), role)
    }

    fn current(&self, role: &str) -> u32 {
        *self.starts(role).last().expect("it was started")
    }

    fn port(&self) -> u16 {
        until("the port is known", || fs::read_to_string(self.path("port")).ok()?.parse().ok())
    }

    fn supervisor_pid(&self) -> u32 {
        self.supervisor.as_ref().expect("started").id()
    }

    /// Sends the supervisor a signal and waits for its end.
    fn end_supervisor(&mut self, signal: Signal) {
        let mut child = self.supervisor.take().expect("started");
        kill(child.id(), signal);
        until("the supervisor ends", || child.try_wait().unwrap());
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut child) = self.supervisor.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        for role in ["lb", "control", "node"] {
            for pid in self.starts(role).into_iter().filter(|pid| plays(*pid, self.directory.path())) {
                kill(pid, Signal::KILL);
            }
        }
    }
}

fn program() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_gantry")).parent().unwrap().join("examples/supervised")
}

fn starts(directory: &Path, role: &str) -> Vec<u32> {
    let text = fs::read_to_string(directory.join(format!("{role}.starts"))).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

fn kill(pid: u32, signal: Signal) {
    let _ = kill_process(as_pid(pid), signal);
}

fn as_pid(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
}

fn is_alive(pid: u32) -> bool {
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    test_kill_process(as_pid(pid)).is_ok() && !state.contains(") Z ")
}

/// Whether the process is one of this world; a number may belong to another process by now.
fn plays(pid: u32, directory: &Path) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).contains(directory.to_str().unwrap())
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    served: usize,
    refused: usize,
    broken: usize,
    by: Vec<u32>,
}

/// One client that asks again and again.
struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Outcome>,
}

impl Load {
    fn start(port: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let stop = stop.clone();
            move || {
                let mut outcome = Outcome::default();
                while !stop.load(Ordering::Relaxed) {
                    match TcpStream::connect(("127.0.0.1", port)) {
                        Err(_) => outcome.refused += 1,
                        Ok(stream) => match ask(stream) {
                            Some(pid) => {
                                outcome.served += 1;
                                if outcome.by.last() != Some(&pid) {
                                    outcome.by.push(pid);
                                }
                            }
                            None => outcome.broken += 1,
                        },
                    }
                }
                outcome
            }
        });
        Self { stop, thread }
    }

    fn finish(self) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// The process that answered.
fn ask(mut stream: TcpStream) -> Option<u32> {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(b"?").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    text.split_once(' ')?.0.parse().ok()
}

#[test]
fn a_load_balancer_that_is_killed_again_and_again_breaks_only_what_is_in_flight() {
    let world = World::new();
    let load = Load::start(world.port());
    let kills = 5;
    for _ in 0..kills {
        let pid = world.current("lb");
        until("it serves", || {
            ask(TcpStream::connect(("127.0.0.1", world.port())).ok()?).filter(|by| *by == pid)
        });
        kill(pid, Signal::KILL);
        until("another one is started", || (world.current("lb") != pid).then_some(()));
    }
    let outcome = load.finish();
    assert_eq!(outcome.refused, 0, "the listening socket was never closed: {outcome:?}");
    assert!(outcome.broken <= kills, "at most the one request in flight at each kill: {outcome:?}");
    assert!(outcome.served > kills, "{outcome:?}");
    assert_eq!(world.starts("control").len(), 1, "the others do not notice");
}

#[test]
fn when_the_supervisor_is_killed_traffic_goes_on_and_the_next_one_takes_it_over() {
    for signal in [Signal::KILL, Signal::USR2] {
        let mut world = World::new();
        let load = Load::start(world.port());
        let (old_lb, control, node) = (world.current("lb"), world.current("control"), world.current("node"));
        world.end_supervisor(signal);
        until("control and node end by themselves", || (!is_alive(control) && !is_alive(node)).then_some(()));
        let port = world.port();
        assert_eq!(TcpStream::connect(("127.0.0.1", port)).ok().and_then(ask), Some(old_lb), "it serves on");

        world.start();
        let new_lb = world.current("lb");
        assert_ne!(new_lb, old_lb);
        until("the old load balancer drains and ends", || (!is_alive(old_lb)).then_some(()));
        until("the new one serves", || {
            (TcpStream::connect(("127.0.0.1", port)).ok().and_then(ask) == Some(new_lb)).then_some(())
        });
        let outcome = load.finish();
        assert_eq!((outcome.refused, outcome.broken), (0, 0), "{outcome:?}");
        assert_eq!(outcome.by.first(), Some(&old_lb), "{outcome:?}");
        assert_eq!(outcome.by.last(), Some(&new_lb), "{outcome:?}");
        assert_eq!(world.port(), port, "the same socket");
    }
}

#[test]
fn a_supervisor_that_comes_before_the_last_one_is_cold_still_finds_the_sockets() {
    let mut world = World::new();
    let load = Load::start(world.port());
    for _ in 0..5 {
        world.end_supervisor(Signal::KILL);
        world.start();
    }
    let outcome = load.finish();
    assert_eq!((outcome.refused, outcome.broken), (0, 0), "{outcome:?}");
    let last = world.current("lb");
    until("every earlier load balancer ends", || {
        world.starts("lb").iter().all(|pid| *pid == last || !is_alive(*pid)).then_some(())
    });
}

#[test]
fn an_end_in_order_finishes_what_is_in_flight() {
    let mut world = World::new();
    let (control, lb) = (world.current("control"), world.current("lb"));
    let mut slow = TcpStream::connect(("127.0.0.1", world.port())).unwrap();
    // It is accepted before another that was answered.
    assert_eq!(TcpStream::connect(("127.0.0.1", world.port())).ok().and_then(ask), Some(lb));
    kill(world.supervisor_pid(), Signal::TERM);
    until("control ends first", || (!is_alive(control)).then_some(()));
    until("nothing new is accepted by it", || TcpStream::connect(("127.0.0.1", world.port())).ok());
    assert!(is_alive(lb), "it waits for the request in flight");
    slow.write_all(b"?").unwrap();
    let mut text = String::new();
    slow.read_to_string(&mut text).unwrap();
    assert!(text.starts_with(&lb.to_string()), "{text}");
    let mut child = world.supervisor.take().unwrap();
    let status = until("the supervisor ends", || child.try_wait().unwrap());
    assert!(status.success());
    assert!(!is_alive(lb));
}

#[test]
fn a_child_that_ends_at_once_is_started_at_longer_and_longer_intervals() {
    let world = World::new();
    let first = world.current("node");
    fs::write(world.path("node.crash"), "").unwrap();
    let began = Instant::now();
    kill(first, Signal::KILL);
    until("it was started five times more", || (world.starts("node").len() >= 6).then_some(()));
    // 0 + 50 + 100 + 200 + 400 ms.
    assert!(began.elapsed() >= Duration::from_millis(750), "{:?}", began.elapsed());
    assert_eq!((world.starts("lb").len(), world.starts("control").len()), (1, 1));
    fs::remove_file(world.path("node.crash")).unwrap();
    let count = world.starts("node").len();
    until("it lives again", || {
        let starts = world.starts("node");
        (starts.len() > count && is_alive(*starts.last()?)).then_some(())
    });
}

#[test]
fn a_child_that_breaks_the_protocol_is_replaced() {
    let world = World::new();
    let control = world.current("control");
    kill(control, Signal::TERM);
    until("another one is started", || (world.current("control") != control).then_some(()));
    assert_eq!(world.starts("lb").len(), 1);
}
