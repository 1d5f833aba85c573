//! `gantry exec`: a command in a task's container, as if it were here.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read, Write};
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::thread::JoinHandle;

use gantry_runtime::{
    ContainerId, ExecError, Session, SessionRequest, SessionSignals, SessionStreams, StartFailureKind,
    WindowSize,
};
use rustix::termios::{OptionalActions, Termios, Winsize, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::inside::{self, Meant};
use super::{Failure, StateDirArgument};

/// Run a command in a task's container.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
TASK is a task's id, the beginning of one, its ARN, or the name of a service or family that has one task here.
At a terminal the command gets one too, as with -i -t; elsewhere only what is asked for.
The exit code is the command's: 128 and a signal's number when one ended it, 126 when it may not be executed, 127 when it
is not in the image.

Examples:
  sudo gantry exec web
  sudo gantry exec web ls -la /srv
  sudo gantry exec 3f2a --container db -i psql < dump.sql")]
pub(crate) struct ExecArguments {
    #[command(flatten)]
    state_dir: StateDirArgument,
    /// The container [default: the task's first essential one]
    #[arg(long, short, value_name = "NAME")]
    container: Option<String>,
    /// Give it this command's standard input
    #[arg(long, short)]
    interactive: bool,
    /// Give it a terminal
    #[arg(long, short)]
    tty: bool,
    /// Give it no terminal, also at one
    #[arg(long, short = 'T', conflicts_with = "tty")]
    no_tty: bool,
    /// As this user of the image [default: the container's]
    #[arg(long, short, value_name = "USER")]
    user: Option<String>,
    /// In this directory [default: the container's]
    #[arg(long, short, value_name = "DIR")]
    workdir: Option<std::path::PathBuf>,
    /// With this variable; may be repeated
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
    task: String,
    /// The command and its arguments [default: /bin/sh]
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
}

const ATTEMPTED: &str = "running a command in a task";

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a variable is written NAME=VALUE".to_owned()),
    }
}

/// What of this process's terminal and input the command gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Joined {
    input: bool,
    terminal: bool,
}

impl Joined {
    fn of(arguments: &ExecArguments, at_terminal: bool) -> Self {
        let is_plain = !arguments.interactive && !arguments.tty && !arguments.no_tty;
        Self {
            input: arguments.interactive || (at_terminal && !arguments.tty),
            terminal: arguments.tty || (at_terminal && is_plain),
        }
    }
}

pub(crate) fn run(arguments: ExecArguments) -> Result<ExitCode, Failure> {
    let meant =
        inside::find(&arguments.state_dir, ATTEMPTED, &arguments.task, arguments.container.as_deref())?;
    let joined = Joined::of(&arguments, io::stdin().is_terminal() && io::stdout().is_terminal());
    if arguments.tty && !io::stdin().is_terminal() && joined.input {
        let next = "leave out --tty, or run it at a terminal";
        return Err(Failure::new(ATTEMPTED, "standard input is no terminal", next));
    }
    let is_default = arguments.command.is_empty();
    let request = request(arguments, joined);
    let failed = |error: &dyn std::fmt::Display| Failure::new(ATTEMPTED, error, "look at the server's log");
    let link = meant
        .client
        .open_session(&meant.container.id)
        .map_err(|error| inside::unreachable(ATTEMPTED, &error))?;
    let id = ContainerId::new(meant.container.id.clone()).map_err(|error| failed(&error))?;
    let opened = match joined.terminal {
        true => Session::begin(link, &id, request, SessionStreams::Terminal)
            .and_then(|(session, terminal)| Ok((session, Streams::terminal(terminal)?))),
        false => Streams::pipes(joined)
            .map_err(|source| ExecError::Io { attempted: "make pipes", source })
            .and_then(|(theirs, ours)| Ok((Session::begin(link, &id, request, theirs)?.0, ours))),
    };
    let (session, streams) = match opened {
        Ok(opened) => opened,
        Err(error) => return not_started(&error, &meant, is_default),
    };
    let code = attend(session, streams, joined).map_err(|error| failed(&error))?;
    let code = code.ok_or_else(|| {
        Failure::new(ATTEMPTED, "the command's end was not seen", "see whether the task still runs")
    })?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}

fn request(arguments: ExecArguments, joined: Joined) -> SessionRequest {
    let mut environment = arguments.env;
    if joined.terminal && !environment.iter().any(|(name, _)| name == "TERM") {
        let term = std::env::var("TERM").unwrap_or_else(|_| "xterm".to_owned());
        environment.push(("TERM".to_owned(), term));
    }
    let command = match arguments.command {
        command if command.is_empty() => vec!["/bin/sh".to_owned()],
        command => command,
    };
    SessionRequest {
        command,
        environment,
        user: arguments.user,
        working_directory: arguments.workdir,
        terminal: joined.terminal.then(window),
    }
}

/// A terminal that tells no size has the oldest one's.
fn window() -> WindowSize {
    match tcgetwinsize(io::stdout()).or_else(|_| tcgetwinsize(io::stdin())) {
        Ok(size) if size.ws_row > 0 => WindowSize { rows: size.ws_row, columns: size.ws_col },
        _ => WindowSize { rows: 24, columns: 80 },
    }
}

fn not_started(error: &ExecError, meant: &Meant, is_default: bool) -> Result<ExitCode, Failure> {
    let (code, next) = match error {
        ExecError::Failed(failure) => match failure.kind {
            StartFailureKind::ExecutableNotFound if is_default => (
                127,
                "the image has no shell: name a program that it has, for example the container's own"
                    .to_owned(),
            ),
            StartFailureKind::ExecutableNotFound => {
                (127, "name a program that is in the container's image".to_owned())
            }
            StartFailureKind::PermissionDenied | StartFailureKind::InvalidExecutable => {
                (126, "name a program that may be executed there".to_owned())
            }
            _ => (1, "look at the server's log".to_owned()),
        },
        ExecError::NotRunning(_) => (1, "name a task that runs".to_owned()),
        ExecError::Spec(_) => (1, "see `gantry exec --help`".to_owned()),
        ExecError::Io { .. } => (1, "look at the server's log".to_owned()),
    };
    let cause = match error {
        ExecError::NotRunning(_) => {
            format!("container {} of task {} does not run any more", meant.container.name, meant.task.id)
        }
        error => error.to_string(),
    };
    let failure = Failure::new(ATTEMPTED, cause, next);
    if code == 1 {
        return Err(failure);
    }
    eprint!("{failure}");
    Ok(ExitCode::from(code))
}

/// This side's ends of the command's streams.
struct Streams {
    input: Option<File>,
    /// What is said, and where it goes: standard error or not.
    outputs: Vec<(File, bool)>,
    /// For its size.
    terminal: Option<OwnedFd>,
}

impl Streams {
    fn terminal(terminal: Option<OwnedFd>) -> Result<Self, ExecError> {
        let io = |source| ExecError::Io { attempted: "take the terminal", source };
        let terminal = terminal.ok_or_else(|| io(io::ErrorKind::UnexpectedEof.into()))?;
        let copy = || terminal.try_clone().map(File::from).map_err(io);
        Ok(Self { input: Some(copy()?), outputs: vec![(copy()?, false)], terminal: Some(terminal) })
    }

    fn pipes(joined: Joined) -> io::Result<(SessionStreams, Self)> {
        let file = |fd: OwnedFd| File::from(fd);
        let (stdout, stdout_writer) = io::pipe()?;
        let (stderr, stderr_writer) = io::pipe()?;
        let (stdin, input): (OwnedFd, _) = match joined.input {
            true => {
                let (reader, writer) = io::pipe()?;
                (reader.into(), Some(file(writer.into())))
            }
            false => (File::open("/dev/null")?.into(), None),
        };
        let theirs = SessionStreams::Pipes([stdin, stdout_writer.into(), stderr_writer.into()]);
        let outputs = vec![(file(stdout.into()), false), (file(stderr.into()), true)];
        Ok((theirs, Self { input, outputs, terminal: None }))
    }
}

/// Carries everything both ways until the command ends; gives its code.
fn attend(mut session: Session, streams: Streams, joined: Joined) -> io::Result<Option<i32>> {
    let signals = session.signals()?;
    let _raw = (joined.terminal && joined.input).then(RawTerminal::enter).transpose()?;
    let Streams { input, outputs, terminal } = streams;
    if let Some(input) = input.filter(|_| joined.input) {
        // It ends with this process: nobody can take a read of the terminal back.
        std::thread::Builder::new().name("input".to_owned()).spawn(move || carry(io::stdin(), input))?;
    }
    let outputs: Vec<JoinHandle<()>> = outputs
        .into_iter()
        .map(|(from, is_error)| {
            let carry = move || match is_error {
                true => carry(from, io::stderr()),
                false => carry(from, io::stdout()),
            };
            std::thread::Builder::new().name("output".to_owned()).spawn(carry)
        })
        .collect::<io::Result<_>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let code = runtime.block_on(async move {
        let mut ended = tokio::task::spawn_blocking(move || session.wait(None));
        let mut heard = Heard::listen()?;
        loop {
            tokio::select! {
                code = &mut ended => return code.map_err(io::Error::other)?,
                which = heard.next() => which.pass_on(&signals, terminal.as_ref()),
            }
        }
    })?;
    for output in outputs {
        let _ = output.join();
    }
    Ok(code)
}

/// What this process is told and the command shall know.
#[derive(Debug, Clone, Copy)]
enum Told {
    Signal(SignalKind),
    Resized,
}

impl Told {
    /// A command that has ended wants to know nothing.
    fn pass_on(self, signals: &SessionSignals, terminal: Option<&OwnedFd>) {
        match self {
            Self::Signal(kind) => drop(signals.send(kind.as_raw_value())),
            Self::Resized => {
                let WindowSize { rows, columns } = window();
                let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
                if let Some(terminal) = terminal {
                    let _ = tcsetwinsize(terminal, size);
                }
            }
        }
    }
}

struct Heard {
    passed_on: [(SignalKind, Signal); 6],
    resized: Signal,
}

impl Heard {
    fn listen() -> io::Result<Self> {
        let listen = |kind| Ok::<_, io::Error>((kind, signal(kind)?));
        Ok(Self {
            passed_on: [
                listen(SignalKind::interrupt())?,
                listen(SignalKind::terminate())?,
                listen(SignalKind::hangup())?,
                listen(SignalKind::quit())?,
                listen(SignalKind::user_defined1())?,
                listen(SignalKind::user_defined2())?,
            ],
            resized: signal(SignalKind::window_change())?,
        })
    }

    async fn next(&mut self) -> Told {
        let [a, b, c, d, e, f] = &mut self.passed_on;
        tokio::select! {
            _ = a.1.recv() => Told::Signal(a.0),
            _ = b.1.recv() => Told::Signal(b.0),
            _ = c.1.recv() => Told::Signal(c.0),
            _ = d.1.recv() => Told::Signal(d.0),
            _ = e.1.recv() => Told::Signal(e.0),
            _ = f.1.recv() => Told::Signal(f.0),
            _ = self.resized.recv() => Told::Resized,
        }
    }
}

/// Until either side ends. The end of a terminal is an error to who reads its other side.
fn carry(mut from: impl Read, mut to: impl Write) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                if to.write_all(&buffer[..count]).and_then(|()| to.flush()).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// This process's terminal hands on every key, until this is dropped.
struct RawTerminal {
    before: Termios,
}

impl RawTerminal {
    fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Drain, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Wrapper {
        #[command(flatten)]
        arguments: ExecArguments,
    }

    fn parse(words: &[&str]) -> ExecArguments {
        Wrapper::try_parse_from(std::iter::once(&"exec").chain(words)).unwrap().arguments
    }

    #[test]
    fn the_command_keeps_its_own_options() {
        let arguments = parse(&["-c", "db", "web", "ls", "-la", "--", "-x"]);
        assert_eq!((arguments.task.as_str(), arguments.container.as_deref()), ("web", Some("db")));
        assert_eq!(arguments.command, ["ls", "-la", "--", "-x"]);
        assert_eq!(parse(&["web", "--", "ls", "-i"]).command, ["ls", "-i"]);
        assert_eq!(parse(&["-e", "A=b=c", "web"]).env, [("A".to_owned(), "b=c".to_owned())]);
    }

    #[test]
    fn a_terminal_is_joined_where_there_is_one_or_it_was_asked_for() {
        for (words, at_terminal, input, terminal) in [
            (&["web"][..], true, true, true),
            (&["web"], false, false, false),
            (&["-i", "web"], true, true, false),
            (&["-i", "web"], false, true, false),
            (&["-it", "web"], true, true, true),
            (&["-t", "web"], false, false, true),
            (&["-T", "web"], true, true, false),
            (&["-T", "web"], false, false, false),
        ] {
            let joined = Joined::of(&parse(words), at_terminal);
            assert_eq!(joined, Joined { input, terminal }, "{words:?} {at_terminal}");
        }
    }

    #[test]
    fn a_shell_is_the_default_and_a_terminal_has_a_kind() {
        let joined = Joined { input: true, terminal: true };
        let made = request(parse(&["-e", "TERM=vt100", "web"]), joined);
        assert_eq!(made.command, ["/bin/sh"]);
        assert_eq!(made.environment, [("TERM".to_owned(), "vt100".to_owned())]);
        assert!(made.terminal.is_some());
        let made = request(parse(&["web", "ls"]), Joined { input: false, terminal: false });
        assert_eq!((made.command, made.environment, made.terminal), (vec!["ls".to_owned()], vec![], None));
    }
}
