//! Commands whose streams the test holds.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Child;

use gantry_runtime::{
    ContainerId, ExecError, Session, SessionRequest, SessionStreams, StartFailureKind, WindowSize,
};

use crate::harness::Test;
use crate::machine::{Machine, PATIENCE, wait_until};

pub(crate) const TESTS: &[Test] = &[
    ("sessions::pipes_carry_what_is_said_both_ways", pipes_carry_what_is_said_both_ways),
    (
        "sessions::a_terminal_has_a_size_and_ends_with_the_command",
        a_terminal_has_a_size_and_ends_with_the_command,
    ),
    ("sessions::signals_reach_the_command", signals_reach_the_command),
    (
        "sessions::a_command_ends_with_whoever_holds_its_session",
        a_command_ends_with_whoever_holds_its_session,
    ),
    ("sessions::a_session_that_cannot_start_says_why", a_session_that_cannot_start_says_why),
];

fn request(command: &[&str], terminal: Option<WindowSize>) -> SessionRequest {
    SessionRequest {
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        environment: vec![("FROM".to_owned(), "session".to_owned())],
        user: None,
        working_directory: None,
        terminal,
    }
}

struct Open {
    session: Session,
    terminal: Option<OwnedFd>,
    supervisor: Child,
}

fn open(
    machine: &Machine,
    id: &ContainerId,
    request: SessionRequest,
    streams: SessionStreams,
) -> Result<Open, ExecError> {
    let (near, far) = UnixStream::pair().unwrap();
    let mut supervisor = machine.runtime.open_session(id, far)?;
    match Session::begin(near, id, request, streams) {
        Ok((session, terminal)) => Ok(Open { session, terminal, supervisor }),
        Err(error) => {
            supervisor.wait().unwrap();
            Err(error)
        }
    }
}

/// The command's three ends, and the test's.
fn pipes() -> (SessionStreams, File, File, File) {
    let [stdin, stdout, stderr] = [(); 3].map(|()| std::io::pipe().unwrap());
    let streams = SessionStreams::Pipes([stdin.0.into(), stdout.1.into(), stderr.1.into()]);
    let file = |fd: OwnedFd| File::from(fd);
    (streams, file(stdin.1.into()), file(stdout.0.into()), file(stderr.0.into()))
}

fn text(mut stream: File) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn pipes_carry_what_is_said_both_ways() {
    let machine = Machine::new();
    let spec = machine.spec(&["wait"]);
    let _started = machine.start(&spec);
    let (streams, mut stdin, stdout, stderr) = pipes();
    let mut open = open(&machine, &spec.id, request(&["/bin/program", "echo", "7"], None), streams).unwrap();
    assert!(open.terminal.is_none());
    stdin.write_all(b"one\ntwo\n").unwrap();
    drop(stdin);
    assert_eq!(text(stdout), "one\ntwo\n");
    assert_eq!(text(stderr), "the end\n");
    assert_eq!(open.session.wait(Some(PATIENCE)).unwrap(), Some(7));
    assert!(open.supervisor.wait().unwrap().success());
    let directory = machine.config.state_directory.join(spec.id.as_str());
    let left = std::fs::read_dir(directory).unwrap().flatten().map(|entry| entry.file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with("exec-")).collect();
    assert!(left.is_empty(), "{left:?}");
}

fn a_terminal_has_a_size_and_ends_with_the_command() {
    let machine = Machine::new();
    let spec = machine.spec(&["wait"]);
    let _started = machine.start(&spec);
    let size = WindowSize { rows: 33, columns: 101 };
    let command = request(&["/bin/program", "window"], Some(size));
    let mut open = open(&machine, &spec.id, command, SessionStreams::Terminal).unwrap();
    let mut terminal = File::from(open.terminal.take().expect("a terminal"));
    terminal.write_all(b"go\n").unwrap();
    let mut said = Vec::new();
    let mut buffer = [0; 256];
    // The end of a terminal is an error to whoever reads its other side.
    while let Ok(count @ 1..) = terminal.read(&mut buffer) {
        said.extend_from_slice(&buffer[..count]);
    }
    assert_eq!(String::from_utf8(said).unwrap(), "go\r\nterminal 33 101 session\r\n");
    assert_eq!(open.session.wait(Some(PATIENCE)).unwrap(), Some(0));
    assert!(open.supervisor.wait().unwrap().success());
}

fn signals_reach_the_command() {
    let machine = Machine::new();
    let spec = machine.spec(&["wait"]);
    let _started = machine.start(&spec);
    let (streams, _stdin, mut stdout, _stderr) = pipes();
    let command = request(&["/bin/program", "handle-term", "9"], None);
    let mut open = open(&machine, &spec.id, command, streams).unwrap();
    let mut ready = [0; 6];
    stdout.read_exact(&mut ready).unwrap();
    assert_eq!(&ready, b"ready\n");
    let signals = open.session.signals().unwrap();
    signals.send(4096).unwrap();
    signals.send(15).unwrap();
    assert_eq!(open.session.wait(Some(PATIENCE)).unwrap(), Some(9));
    assert!(open.supervisor.wait().unwrap().success());
}

fn a_command_ends_with_whoever_holds_its_session() {
    let machine = Machine::new();
    let spec = machine.spec(&["wait"]);
    let _started = machine.start(&spec);
    let before = machine.processes();
    let (streams, _stdin, mut stdout, _stderr) = pipes();
    let command = request(&["/bin/program", "family", "2"], None);
    let mut open = open(&machine, &spec.id, command, streams).unwrap();
    let mut ready = [0; 6];
    stdout.read_exact(&mut ready).unwrap();
    drop(open.session);
    assert!(open.supervisor.wait().unwrap().success());
    assert_eq!(text(stdout), "", "nobody holds its output any more");
    wait_until("only the container is left", || machine.processes() == before);
}

fn a_session_that_cannot_start_says_why() {
    let machine = Machine::new();
    let spec = machine.spec(&["wait"]);
    let started = machine.start(&spec);
    let error = open(&machine, &spec.id, request(&["/no/such"], None), pipes().0).map(drop).unwrap_err();
    assert!(
        matches!(&error, ExecError::Failed(failure) if failure.kind == StartFailureKind::ExecutableNotFound),
        "{error}"
    );
    let error = open(
        &machine,
        &spec.id,
        request(&["no-such"], Some(WindowSize { rows: 1, columns: 1 })),
        SessionStreams::Terminal,
    );
    let error = error.map(drop).unwrap_err();
    assert!(
        matches!(&error, ExecError::Failed(failure) if failure.kind == StartFailureKind::ExecutableNotFound),
        "{error}"
    );
    let error = open(&machine, &spec.id, request(&[], None), pipes().0).map(drop).unwrap_err();
    assert!(matches!(error, ExecError::Spec(_)), "{error}");
    let nobody = ContainerId::new("nobody").unwrap();
    let error = open(&machine, &nobody, request(&["/bin/program", "exit", "0"], None), pipes().0);
    assert!(matches!(error.map(drop), Err(ExecError::NotRunning(_))));
    machine.runtime.kill(&spec.id).unwrap();
    drop(started);
    wait_until("it has ended", || machine.runtime.exit_record(&spec.id).is_some());
    let error = open(&machine, &spec.id, request(&["/bin/program", "exit", "0"], None), pipes().0);
    assert!(matches!(error.map(drop), Err(ExecError::NotRunning(_))));
}
